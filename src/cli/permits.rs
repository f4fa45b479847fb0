//! What are resources allowed? The flags of the operator that decide what would happen, for all commands that say so.

use std::path::PathBuf;
use std::sync::Arc;

use clap::builder::BoolishValueParser;

use super::Failure;
use super::service;
use crate::engine::settings::Granting;
use crate::membership::arn::MemberArn;
use crate::ops::grants::GrantsFile;

#[derive(Debug, clap::Args)]
pub(super) struct Permits {
    /// Honour spec.chimeBearer.
    #[arg(long, env = "ROLLCALL_ALLOW_BEARER_OVERRIDE", value_parser = BoolishValueParser::new())]
    pub allow_bearer_override: bool,

    /// A file of grants: which namespace may reach which channels, in whose name, and remove whom; all else is NotGranted.
    #[arg(long, env = "ROLLCALL_GRANTS", value_name = "FILE")]
    grants: Option<PathBuf>,

    /// Honour prune: Authoritative, which removes members that no resource declares. For an operator that sees every resource.
    #[arg(long, env = "ROLLCALL_ALLOW_AUTHORITATIVE", value_parser = BoolishValueParser::new())]
    pub allow_authoritative: bool,

    /// A bearer of earlier days: whom it added, Rollcall added; repeatable.
    #[arg(long, env = "ROLLCALL_FORMER_BEARER", value_name = "ARN", value_delimiter = ',', value_parser = service::bearer)]
    pub former_bearer: Vec<MemberArn>,
}

impl Permits {
    /// The file of grants, if there is one.
    pub(super) fn grants(&self) -> Result<Option<Arc<GrantsFile>>, Failure> {
        let file = self.grants.as_deref().map(GrantsFile::open).transpose().map_err(Failure::of)?;
        Ok(file.map(Arc::new))
    }
}

/// What a file grants, or everything without one.
pub(super) fn granting(file: Option<&Arc<GrantsFile>>) -> Granting {
    let Some(file) = file else { return Granting::everything() };
    let grants = Arc::clone(file);
    Granting::by(&file.path().display().to_string(), move || grants.current_grants())
}
