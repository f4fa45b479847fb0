//! `rollcall crd` prints the custom resource definition, or the JSON schema that editors use.

use crate::api::{crd_yaml, json_schema};
use crate::cli::shared::failure::Failure;

/// Print the custom resource definition as YAML, for `kubectl apply --server-side -f -`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  rollcall crd | kubectl apply --server-side -f -
  rollcall crd --json-schema > channelmembership.schema.json")]
pub(in crate::cli) struct Args {
    /// Print the JSON schema of a manifest instead. Editors check a manifest by it while it is
    /// written.
    #[arg(long)]
    json_schema: bool,
}

pub(in crate::cli) fn run(args: &Args) -> Result<(), Failure> {
    let text = if args.json_schema { json_schema().map_err(Failure::of)? } else { crd_yaml().map_err(Failure::of)? };
    // A reader that stops reading, such as `head`, is no failure.
    let _ = std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes());
    Ok(())
}
