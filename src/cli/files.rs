//! Which manifests does a command read?

use super::Failure;
use crate::manifests::{self, Input, Manifests, Problem};

/// The files, and where in the cluster they go.
#[derive(Debug, clap::Args)]
pub(super) struct Files {
    /// Read this file, this folder with those below it (*.yaml, *.yml, *.json), or - for standard input; can be given several
    /// times.
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

impl Files {
    /// What stands in the files, checked. Otherwise all that is wrong is told on standard error, a line each.
    pub fn read(&self) -> Result<Manifests, Failure> {
        manifests::read_manifests(&self.filenames, &self.namespace).map_err(|problems| refused(&problems))
    }
}

/// So many problems are told: nobody reads more at once.
const MAX_TOLD: usize = 200;

/// Tells the problems, and the failure that they are.
pub(super) fn refused(problems: &[Problem]) -> Failure {
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
