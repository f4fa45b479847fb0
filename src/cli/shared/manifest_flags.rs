//! The flags that name manifests.

use crate::cli::shared::failure::Failure;
use crate::manifests::{self, Input, Manifests, Problem};

/// The files, and the namespace of their objects.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ManifestArgs {
    /// Read this file, this folder with all below it (*.yaml, *.yml, *.json), or - for standard
    /// input; repeatable.
    #[arg(
        short = 'f',
        long = "filename",
        value_name = "FILE|DIR|-",
        required = true,
        env = "ROLLCALL_FILENAME",
        value_delimiter = ','
    )]
    pub filenames: Vec<Input>,

    /// The namespace of objects that name none.
    #[arg(short = 'n', long, value_name = "NAMESPACE", default_value = "default", env = "ROLLCALL_NAMESPACE")]
    pub namespace: String,
}

impl ManifestArgs {
    /// Reads and checks the files. Problems are printed on standard error, one a line.
    pub fn read(&self) -> Result<Manifests, Failure> {
        manifests::read_manifests(&self.filenames, &self.namespace).map_err(|problems| report_problems(&problems))
    }
}

/// The most problems that are printed.
const MAX_TOLD: usize = 200;

/// Prints the problems, and returns the failure that counts them.
pub(in crate::cli) fn report_problems(problems: &[Problem]) -> Failure {
    for problem in problems.iter().take(MAX_TOLD) {
        eprintln!("{problem}");
    }
    if let Some(more) = problems.len().checked_sub(MAX_TOLD).filter(|more| *more > 0) {
        eprintln!("and {more} more");
    }
    Failure(match problems.len() {
        1 => "1 problem in these manifests".to_owned(),
        count => format!("{count} problems in these manifests"),
    })
}
