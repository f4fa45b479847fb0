//! `rollcall simulate` runs the simulator.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cli::shared::failure::Failure;
use crate::ops::stop;
use crate::simulator::{Quotas, Seed, ServiceLimits, Simulator, SimulatorOptions, UndocumentedBehaviours};

/// A local simulator of Amazon Chime SDK messaging: no AWS account, no cost, and nothing leaves the
/// machine.
///
/// Point any AWS SDK at it with AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING and any credentials. It
/// answers as the service does, with the service's errors, roles, quotas and paging. All data is in
/// memory. /_admin lists the data, and what can be changed over HTTP.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  rollcall simulate --seed examples/simulator/seed.yaml
  rollcall simulate --address 127.0.0.1:4010 --no-quotas --limit members-of-channel=100")]
pub(in crate::cli) struct Args {
    /// Address to listen on. The simulator checks no permissions, so keep it on loopback. Port 0
    /// selects a free port.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4010")]
    address: SocketAddr,

    /// YAML file of the initial app instances, users, bots, admins and channels.
    #[arg(long, value_name = "FILE")]
    seed: Option<PathBuf>,

    /// Answer every call, where the service would answer 429 above its rates.
    #[arg(long)]
    no_quotas: bool,

    /// Multiply the service's rates by this factor.
    #[arg(long, value_name = "FACTOR", conflicts_with = "no_quotas", value_parser = positive)]
    quota_scale: Option<f64>,

    /// The delay after which lists and descriptions of memberships show a change (3s, 500ms).
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    visibility_delay: Duration,

    /// Refuse calls that are not signed for this region. Default: any region is accepted.
    #[arg(long, value_name = "REGION")]
    region: Option<String>,

    /// Choose a behaviour that the service's documentation leaves open; repeatable.
    #[arg(long = "switch", value_name = "NAME=VALUE", long_help = switches_help())]
    switches: Vec<String>,

    /// Change a limit of the service; repeatable.
    #[arg(long = "limit", value_name = "NAME=NUMBER", long_help = limits_help())]
    limits: Vec<String>,

    /// The seed of the random numbers that decide about injected faults.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    random_seed: u64,
}

/// The reason why the simulator did not start.
#[derive(Debug, thiserror::Error)]
enum InputError {
    #[error("failed to read seed {}: {source}", .path.display())]
    SeedFile { path: PathBuf, source: std::io::Error },
    #[error("{}: {source}", .path.display())]
    Seed { path: PathBuf, source: crate::simulator::SeedError },
    #[error("--{flag} {given:?} is not {wanted}")]
    Setting { flag: &'static str, given: String, wanted: String },
    #[error(transparent)]
    Start(#[from] crate::simulator::StartError),
}

/// Serves until SIGTERM or Ctrl-C.
pub(in crate::cli) fn run(args: &Args) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::of)?;
    runtime.block_on(serve(args))
}

async fn serve(args: &Args) -> Result<(), Failure> {
    let simulator = start(args).await.map_err(|error| Failure::of(in_one_line(&error.to_string())))?;
    // The signal handler is installed before the greeting: the reader of the greeting may stop the
    // simulator at once.
    let stop = stop::on_signal().map_err(Failure::of)?;
    // The reader may be gone already (`| head -1`): the simulator goes on.
    let _ = std::io::stdout().write_all(greeting(&simulator.endpoint(), args.seed.is_some()).as_bytes());
    stop.cancelled().await;
    simulator.shutdown().await;
    Ok(())
}

async fn start(args: &Args) -> Result<Simulator, InputError> {
    let seed = args.seed.as_deref().map(read_seed).transpose()?;
    let quotas = match (args.no_quotas, args.quota_scale) {
        (true, _) => Quotas::Off,
        (false, Some(scale)) => Quotas::Scaled(scale),
        (false, None) => Quotas::Aws,
    };
    let options = SimulatorOptions {
        address: args.address,
        seed: seed.unwrap_or_default(),
        quotas,
        limits: settings::<ServiceLimits>("limit", &args.limits)?,
        behaviours: settings::<UndocumentedBehaviours>("switch", &args.switches)?,
        visibility_delay: args.visibility_delay,
        region: args.region.clone(),
        random_seed: args.random_seed,
    };
    Simulator::start(options).await.map_err(|error| named(error, args.seed.as_deref()))
}

/// Adds the file name to an error about the seed.
fn named(error: crate::simulator::StartError, path: Option<&Path>) -> InputError {
    match (error, path) {
        (crate::simulator::StartError::Seed(source), Some(path)) => InputError::Seed { path: path.to_owned(), source },
        (error, _) => InputError::Start(error),
    }
}

fn read_seed(path: &Path) -> Result<Seed, InputError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| InputError::SeedFile { path: path.to_owned(), source })?;
    Seed::from_yaml(&text).map_err(|source| InputError::Seed { path: path.to_owned(), source })
}

/// Parses settings given as `name=value`, over the defaults. Each is tried alone, so that the error
/// names the wrong setting.
fn settings<T: Default + DeserializeOwned + Serialize>(flag: &'static str, given: &[String]) -> Result<T, InputError> {
    let mut lines = String::new();
    for setting in given {
        let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
        let line = format!("{name}: {value}\n");
        let well_formed = !setting.contains(['\n', '#', '{', '[']);
        if !well_formed || value.is_empty() || serde_yaml::from_str::<T>(&line).is_err() {
            let wanted = format!("one of {}", defaults::<T>().join(", "));
            return Err(InputError::Setting { flag, given: setting.clone(), wanted });
        }
        lines += &line;
    }
    if lines.is_empty() {
        return Ok(T::default());
    }
    let twice = |_| InputError::Setting { flag, given: given.join(" "), wanted: "given once a name".into() };
    serde_yaml::from_str(&lines).map_err(twice)
}

/// Returns `name=value` of each setting's default.
fn defaults<T: Default + Serialize>() -> Vec<String> {
    let values = serde_json::to_value(T::default()).unwrap_or_default();
    let values = values.as_object().cloned().unwrap_or_default();
    values.iter().map(|(name, value)| format!("{name}={}", value.to_string().trim_matches('"'))).collect()
}

fn switches_help() -> String {
    format!(
        "Choose where the service's documentation leaves it open; repeatable. By default:\n  {}\n\
         existing-member and duplicate-in-batch: conflict or success; delete-of-non-member: no-content, not-found or \
         conflict; missing-channel-read, missing-channel-write and unknown-member: forbidden or not-found",
        defaults::<UndocumentedBehaviours>().join("\n  ")
    )
}

fn limits_help() -> String {
    format!(
        "Change how much of everything there may be; repeatable. By default:\n  {}",
        defaults::<ServiceLimits>().join("\n  ")
    )
}

fn greeting(endpoint: &str, seeded: bool) -> String {
    let mut text = format!(
        "Simulating Amazon Chime SDK messaging on {endpoint}; stop with Ctrl-C. To use it:\n\n  \
         export AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING={endpoint}\n  \
         export AWS_ACCESS_KEY_ID=simulator AWS_SECRET_ACCESS_KEY=simulator\n  \
         export AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1\n\n\
         What is there, and what was called: curl {endpoint}/_admin\n"
    );
    if !seeded {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "Nothing is there yet: start with --seed FILE, or create it through AWS_ENDPOINT_URL_CHIME_SDK_IDENTITY={endpoint}"
        );
    }
    text
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| "not a duration such as 3s or 500ms".to_owned())?;
    Duration::try_from(parsed).map_err(|_| "negative".to_owned())
}

fn positive(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|factor: &f64| factor.is_finite() && *factor > 0.0)
        .ok_or_else(|| "not a number above 0".to_owned())
}

fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::RepeatedMember;

    #[test]
    fn setting_changes_only_its_own_value() {
        let given = ["existing-member=success".to_owned(), "default-page-size=10".to_owned()];
        let switches: UndocumentedBehaviours = settings("switch", &given).unwrap();
        let expected = UndocumentedBehaviours {
            existing_member: RepeatedMember::Success,
            default_page_size: 10,
            ..UndocumentedBehaviours::default()
        };
        assert_eq!(switches, expected);
        assert_eq!(settings::<ServiceLimits>("limit", &[]).unwrap(), ServiceLimits::default());
    }

    #[test]
    fn wrong_setting_is_reported_with_the_valid_ones() {
        for wrong in ["existing-member=maybe", "nonsense=1", "existing-member", "", "a: {}\n=", "default-page-size=-1"]
        {
            let error = settings::<UndocumentedBehaviours>("switch", &[wrong.to_owned()]).unwrap_err().to_string();
            assert!(error.contains(&format!("{wrong:?}")) && error.contains("existing-member=conflict"), "{error}");
        }
        let twice = ["default-page-size=1".to_owned(), "default-page-size=2".to_owned()];
        assert!(settings::<UndocumentedBehaviours>("switch", &twice).unwrap_err().to_string().contains("once"));
    }

    #[test]
    fn duration_is_parsed_with_its_units() {
        assert_eq!(duration("3s"), Ok(Duration::from_secs(3)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert!(duration("3").is_err() && duration("-3s").is_err() && duration("").is_err());
    }
}
