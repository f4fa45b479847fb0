//! How is the simulator run from a shell?

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Failure;
use crate::ops::stop;
use crate::simulator::{Quotas, Seed, ServiceLimits, Simulator, SimulatorOptions, UndocumentedBehaviours};

/// A local stand-in for Amazon Chime SDK messaging: no AWS account, no cost, nothing leaves the machine.
///
/// Point any AWS SDK at it with AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING and any credentials. It answers as the service does,
/// with its errors, roles, quotas and paging. Everything is in memory. /_admin lists what can be seen and changed over HTTP.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  rollcall simulate --seed examples/simulator/seed.yaml
  rollcall simulate --address 127.0.0.1:4010 --no-quotas --limit members-of-channel=100")]
pub(super) struct Args {
    /// Address to listen on. Anybody who reaches it can do everything, so keep it on loopback; port 0 is any free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4010")]
    address: SocketAddr,

    /// YAML file of app instances, users, bots, admins and channels to begin with.
    #[arg(long, value_name = "FILE")]
    seed: Option<PathBuf>,

    /// Answer as fast as callers ask, instead of 429 beyond the service's rates.
    #[arg(long)]
    no_quotas: bool,

    /// The service's rates times this.
    #[arg(long, value_name = "FACTOR", conflicts_with = "no_quotas", value_parser = positive)]
    quota_scale: Option<f64>,

    /// How long lists and descriptions of memberships lag behind changes (3s, 500ms).
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    visibility_delay: Duration,

    /// Refuse calls that are not signed for this region. Without it any region will do.
    #[arg(long, value_name = "REGION")]
    region: Option<String>,

    /// Choose where the service's documentation leaves it open; repeatable.
    #[arg(long = "switch", value_name = "NAME=VALUE", long_help = switches_help())]
    switches: Vec<String>,

    /// Change how much of everything there may be; repeatable.
    #[arg(long = "limit", value_name = "NAME=NUMBER", long_help = limits_help())]
    limits: Vec<String>,

    /// From which the probabilities of injected faults are drawn.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    random_seed: u64,
}

/// Why the simulator was not started.
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
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::of)?;
    runtime.block_on(serve(args))
}

async fn serve(args: &Args) -> Result<(), Failure> {
    let simulator = start(args).await.map_err(|error| Failure::of(in_one_line(&error.to_string())))?;
    // Listened for before it is said that we serve: who reads that may stop us at once.
    let stop = stop::on_signal().map_err(Failure::of)?;
    // Who reads this may be gone already (`| head -1`): serving goes on.
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

/// An error about the seed says which file it came from.
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

/// Settings given as `name=value`, over the defaults. Each is tried by itself so that the error names the wrong one.
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

/// `name=value` of each setting as it is without the flag.
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
    fn settings_change_only_what_they_name() {
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
    fn a_wrong_setting_is_named_along_with_the_right_ones() {
        for wrong in ["existing-member=maybe", "nonsense=1", "existing-member", "", "a: {}\n=", "default-page-size=-1"]
        {
            let error = settings::<UndocumentedBehaviours>("switch", &[wrong.to_owned()]).unwrap_err().to_string();
            assert!(error.contains(&format!("{wrong:?}")) && error.contains("existing-member=conflict"), "{error}");
        }
        let twice = ["default-page-size=1".to_owned(), "default-page-size=2".to_owned()];
        assert!(settings::<UndocumentedBehaviours>("switch", &twice).unwrap_err().to_string().contains("once"));
    }

    #[test]
    fn durations_are_those_people_write() {
        assert_eq!(duration("3s"), Ok(Duration::from_secs(3)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert!(duration("3").is_err() && duration("-3s").is_err() && duration("").is_err());
    }
}
