//! stub
/// Stub.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}
pub(super) fn run(_: &Args) -> Result<(), super::Failure> {
    Ok(())
}
