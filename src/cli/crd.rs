//! `rollcall crd`: what does a cluster have to know of the kind?

use super::Failure;
use crate::api::crd_yaml;

/// Print the custom resource definition as YAML, for `kubectl apply --server-side -f -`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_: &Args) -> Result<(), Failure> {
    let yaml = crd_yaml().map_err(Failure::of)?;
    // A reader that stops reading, such as `head`, is none of our failures.
    let _ = std::io::Write::write_all(&mut std::io::stdout(), yaml.as_bytes());
    Ok(())
}
