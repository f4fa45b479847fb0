//! `rollcall crd`: what does a cluster, or an editor, have to know of the kind?

use super::Failure;
use crate::api::{crd_yaml, json_schema};

/// Print the custom resource definition as YAML, for `kubectl apply --server-side -f -`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  rollcall crd | kubectl apply --server-side -f -
  rollcall crd --json-schema > channelmembership.schema.json")]
pub(super) struct Args {
    /// Print the JSON schema of a manifest instead, by which editors check it while it is written.
    #[arg(long)]
    json_schema: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let text = if args.json_schema { json_schema().map_err(Failure::of)? } else { crd_yaml().map_err(Failure::of)? };
    // A reader that stops reading, such as `head`, is none of our failures.
    let _ = std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes());
    Ok(())
}
