//! `rollcall validate` checks manifests as the API server and the operator would.

use std::io::Write as _;
use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::json;

use crate::cli::shared::failure::Failure;
use crate::cli::shared::manifest_flags;
use crate::manifests::{Manifests, read_manifests};

/// Check manifests as the API server would, with neither a cluster nor AWS.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  rollcall validate --filename channels/
  kustomize build overlays/production | rollcall validate --filename -
  rollcall validate -f support.yaml -f on-call.yaml -n care --output json")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    manifests: manifest_flags::ManifestArgs,

    /// The format of the result.
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t = Output::Text, env = "ROLLCALL_OUTPUT")]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// One line if all manifests are valid; else a line for each problem, on standard error.
    Text,
    /// One object on standard output, with any result.
    Json,
}

pub(in crate::cli) fn run(args: &Args) -> Result<ExitCode, Failure> {
    if args.output == Output::Json {
        return Ok(print_json(args));
    }
    let manifests = args.manifests.read()?;
    for warning in &manifests.warnings {
        eprintln!("warning: {warning}");
    }
    print(&summary(&manifests));
    Ok(ExitCode::SUCCESS)
}

fn print_json(args: &Args) -> ExitCode {
    let (result, code) = match read_manifests(&args.manifests.filenames, &args.manifests.namespace) {
        Ok(found) => {
            let (memberships, config_maps) = (found.memberships.len(), found.config_maps.len());
            let counts =
                json!({"channelMemberships": memberships, "configMaps": config_maps, "skipped": found.skipped});
            (json!({"valid": true, "objects": counts, "problems": [], "warnings": found.warnings}), ExitCode::SUCCESS)
        }
        Err(problems) => (json!({"valid": false, "problems": problems}), ExitCode::FAILURE),
    };
    print(&format!("{result:#}"));
    code
}

/// Prints a line. A reader that stops reading is no failure.
fn print(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn summary(manifests: &Manifests) -> String {
    let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let memberships = count(manifests.memberships.len(), "ChannelMembership");
    let config_maps = count(manifests.config_maps.len(), "ConfigMap");
    let skipped = match manifests.skipped {
        0 => String::new(),
        some => format!(" ({} skipped)", count(some, "other object")),
    };
    format!("{memberships} and {config_maps} are valid{skipped}")
}
