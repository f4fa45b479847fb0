//! The flags of the operator that decide which resources it reconciles, for all commands that
//! predict its decisions.

use std::path::PathBuf;
use std::sync::Arc;

use clap::builder::BoolishValueParser;

use crate::cli::shared::failure::Failure;
use crate::cli::shared::service_flags;
use crate::engine::settings::{Granting, RemovalSwitch, Settings};
use crate::membership::arn::MemberArn;
use crate::ops::grants::GrantsFile;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct PolicyArgs {
    /// Honour spec.chimeBearer.
    #[arg(long, env = "ROLLCALL_ALLOW_BEARER_OVERRIDE", value_parser = BoolishValueParser::new())]
    pub allow_bearer_override: bool,

    /// A file of grants: which namespaces may use which channels and bearers, and remove which
    /// members. All else is NotGranted.
    #[arg(long, env = "ROLLCALL_GRANTS", value_name = "FILE")]
    grants: Option<PathBuf>,

    /// Honour prune: Authoritative, which removes members that no resource declares. Use it for an
    /// operator that sees every resource.
    #[arg(long, env = "ROLLCALL_ALLOW_AUTHORITATIVE", value_parser = BoolishValueParser::new())]
    pub allow_authoritative: bool,

    /// A former bearer: members that it added count as added by Rollcall; repeatable.
    #[arg(long, env = "ROLLCALL_FORMER_BEARER", value_name = "ARN", value_delimiter = ',', value_parser = service_flags::bearer)]
    pub former_bearer: Vec<MemberArn>,
}

impl PolicyArgs {
    /// Opens the grants file, if one is given.
    pub fn grants(&self) -> Result<Option<Arc<GrantsFile>>, Failure> {
        let file = self.grants.as_deref().map(GrantsFile::open).transpose().map_err(Failure::of)?;
        Ok(file.map(Arc::new))
    }

    /// Returns the engine's settings by these flags. Removals are on and have no hourly limit, and
    /// the intervals are the defaults.
    pub fn settings(
        &self,
        bearers: &[MemberArn],
        grants: Option<&Arc<GrantsFile>>,
        endpoint: Option<&str>,
    ) -> Settings {
        Settings {
            bearers: bearers.to_vec(),
            allow_bearer_override: self.allow_bearer_override,
            resync_interval: Settings::RESYNC_INTERVAL,
            min_resync_interval: Settings::MIN_RESYNC_INTERVAL,
            read_only: false,
            removals: RemovalSwitch::new(|| true),
            max_removals_per_hour: 0,
            allow_authoritative: self.allow_authoritative,
            former_bearers: self.former_bearer.clone(),
            grants: granting(grants),
            custom_endpoint: endpoint.map(str::to_owned),
        }
    }
}

/// Returns what a grants file grants; without a file, everything.
fn granting(file: Option<&Arc<GrantsFile>>) -> Granting {
    let Some(file) = file else { return Granting::everything() };
    let grants = Arc::clone(file);
    Granting::by(&file.path().display().to_string(), move || grants.current_grants())
}
