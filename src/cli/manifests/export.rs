//! `rollcall export` writes manifests that declare channels as they are.

mod folder;

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write as _, stdout};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use futures::StreamExt as _;

use self::folder::{Folder, Found};
use crate::api::{MAX_MEMBERS, MembershipType};
use crate::chime::client::Client;
use crate::chime::port::{CallError, CallErrorClass, ChannelsQuery, Operation, Privacy, Target};
use crate::chime::rate_limit::QuotaShare;
use crate::chime::reader::Reader;
use crate::chime::sdk::Sdk;
use crate::cli::shared::cluster::{self, namespace};
use crate::cli::shared::failure::Failure;
use crate::cli::shared::progress::Progress;
use crate::cli::shared::service_flags::{self, ServiceArgs};
use crate::membership::arn::ChannelArn;
use crate::offline::export::naming::Naming;
use crate::offline::export::{LiveChannel, Style, manifests};

/// The number of channels that are read at once. It is more than one because an answer takes longer
/// than a permit of the rate limiter at high rates.
const AT_ONCE: usize = 8;

/// The number of attempts of a call, which take about two minutes: a short outage does not end an
/// export of hours.
const TRIES: u32 = 7;

/// Write channels as ChannelMembership manifests. Applying the manifests changes no channel.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rollcall export --channel arn:aws:chime:us-east-1:123456789012:app-instance/1f0a/channel/care
  rollcall export --app-instance arn:aws:chime:us-east-1:123456789012:app-instance/1f0a -o out")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    which: Which,

    #[command(flatten)]
    service: ServiceArgs,

    /// Write one file for each channel into this folder, instead of all to standard output.
    /// Channels that have a file are left out.
    #[arg(short, long, env = "ROLLCALL_OUTPUT_DIR", value_name = "DIR")]
    output_dir: Option<PathBuf>,

    /// Write files again that exist.
    #[arg(long, env = "ROLLCALL_OVERWRITE", value_parser = BoolishValueParser::new(), requires = "output_dir")]
    overwrite: bool,

    /// The namespace of the manifests. Default: the manifests name none.
    #[arg(short, long, env = "ROLLCALL_NAMESPACE", value_name = "NAMESPACE", value_parser = namespace)]
    namespace: Option<String>,

    /// Write mode: Observe, so that the operator lists the channels and changes nothing.
    #[arg(long, env = "ROLLCALL_OBSERVE", value_parser = BoolishValueParser::new())]
    observe: bool,

    /// Write each member's display name after the id, as a comment.
    #[arg(long, env = "ROLLCALL_NAMES", value_parser = BoolishValueParser::new())]
    names: bool,

    /// Read the members of one type only: DEFAULT or HIDDEN. HIDDEN members are shown to moderators
    /// and admins only.
    #[arg(long = "type", env = "ROLLCALL_TYPE", value_name = "TYPE", value_parser = membership_type)]
    membership_type: Option<MembershipType>,

    /// The most members of one resource; further members go into another resource.
    #[arg(long, env = "ROLLCALL_MAX_MEMBERS", value_name = "MEMBERS", default_value_t = 10_000, value_parser = clap::value_parser!(u16).range(1..=MAX_MEMBERS as i64))]
    max_members: u16,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// A channel to export, by ARN; repeatable.
    #[arg(long, env = "ROLLCALL_CHANNEL", value_name = "ARN", value_delimiter = ',', value_parser = service_flags::channel)]
    channel: Vec<ChannelArn>,

    /// Export all channels of this app instance, by ARN. The bearer must be an AppInstanceAdmin.
    #[arg(long, env = "ROLLCALL_APP_INSTANCE", value_name = "ARN", value_parser = service_flags::app_instance)]
    app_instance: Option<String>,
}

fn membership_type(text: &str) -> Result<MembershipType, String> {
    [MembershipType::Default, MembershipType::Hidden]
        .into_iter()
        .find(|it| it.as_str().eq_ignore_ascii_case(text))
        .ok_or_else(|| "write DEFAULT or HIDDEN".to_owned())
}

pub(in crate::cli) fn run(args: &Args) -> Result<(), Failure> {
    args.service.check_bearers()?;
    cluster::run_async(export(args))
}

async fn export(args: &Args) -> Result<(), Failure> {
    let folder = args.output_dir.as_deref().map(Folder::open).transpose()?;
    let (client, endpoint) = args.service.client(QuotaShare::BESIDE_OPERATOR).await?;
    if let Some(endpoint) = endpoint {
        eprintln!("note: the service is {endpoint}, not AWS");
    }
    let export = Export { args, client, progress: Progress::new("wrote", "channels") };
    let channels = export.channels().await?;
    let all = channels.len();
    let failed = match folder {
        Some(folder) => export.to_folder(&folder, channels).await?,
        None => export.to_stdout(channels).await?,
    };
    drop(export);
    match failed {
        0 => Ok(()),
        _ => Err(Failure(format!("{failed} of {all} channels were not exported: see the errors above"))),
    }
}

struct Export<'a> {
    args: &'a Args,
    client: Client<Sdk>,
    progress: Progress,
}

/// A channel and the name of its first object.
type Named = (String, ChannelArn);

impl Export<'_> {
    /// Returns the channels to export, sorted by name.
    async fn channels(&self) -> Result<Vec<Named>, Failure> {
        let channels = match &self.args.which.app_instance {
            None => self.args.which.channel.clone(),
            Some(instance) => self.all_of(instance).await?,
        };
        // A missing bearer is reported before the first call.
        channels.iter().try_for_each(|channel| self.args.service.bearer_of(channel.app_instance()).map(|_| ()))?;
        let naming = Naming::of(&channels);
        let mut named = BTreeMap::new();
        for channel in channels {
            if let Some(other) = named.insert(naming.name(&channel), channel.clone()).filter(|other| *other != channel)
            {
                return Err(Failure(format!("failed to name {channel} apart from {other}: export them one by one")));
            }
        }
        Ok(named.into_iter().collect())
    }

    async fn all_of(&self, app_instance: &str) -> Result<Vec<ChannelArn>, Failure> {
        let bearer = self.args.service.bearer_of(app_instance)?;
        let mut channels = Vec::new();
        for privacy in [Privacy::Public, Privacy::Private] {
            let whose = ChannelsQuery { bearer: bearer.clone(), privacy };
            let listed = self.reader(&|error, rest| self.remark(app_instance, error, rest)).list_channels(&whose).await;
            let listed = listed.map_err(|error| {
                let advice = match error.class {
                    CallErrorClass::ChannelNotAccessible => {
                        format!("; make {bearer} an AppInstanceAdmin, or name the channels by --channel")
                    }
                    _ => advice(&error),
                };
                Failure(format!("failed to list the channels of {app_instance}: {error}{advice}"))
            })?;
            for arn in listed {
                channels.push(ChannelArn::parse(&arn).map_err(Failure::of)?);
            }
        }
        Ok(channels)
    }

    /// Writes each channel to its file. Returns the number of failures.
    async fn to_folder(&self, folder: &Folder, channels: Vec<Named>) -> Result<usize, Failure> {
        let (mut missing, mut kept, mut failed) = (Vec::new(), 0, 0);
        for (name, channel) in channels {
            match folder.check_file(&name, &channel) {
                Ok(Found::Nothing) => missing.push((name, channel)),
                Ok(Found::Channel) if self.args.overwrite => missing.push((name, channel)),
                Ok(Found::Channel) => kept += 1,
                Err(Failure(why)) => {
                    eprintln!("error: {why}");
                    failed += 1;
                }
            }
        }
        if kept > 0 {
            eprintln!("left {kept} files as they are; --overwrite writes them again");
        }
        self.progress.set(0, missing.len());
        let mut read = std::pin::pin!(self.read(&missing));
        while let Some((name, text)) = read.next().await {
            let written = text.and_then(|text| folder.write(name, &text));
            failed += self.count(written);
        }
        Ok(failed)
    }

    /// Writes all channels to standard output, one after the other. Returns the number of failures.
    async fn to_stdout(&self, channels: Vec<Named>) -> Result<usize, Failure> {
        self.progress.set(0, channels.len());
        let mut read = std::pin::pin!(self.read(&channels));
        let mut failed = 0;
        while let Some((_, text)) = read.next().await {
            let mut write = |text: &str| {
                self.progress.aside(|| stdout().write_all(text.as_bytes()).and_then(|()| stdout().flush()))
            };
            match text.as_deref().map(&mut write) {
                // A reader that stops reading, such as `head`, is no failure.
                Ok(Err(error)) if error.kind() == ErrorKind::BrokenPipe => return Ok(failed),
                Ok(Err(error)) => return Err(Failure(format!("failed to write to the standard output: {error}"))),
                _ => failed += self.count(text.map(|_| ())),
            }
        }
        Ok(failed)
    }

    /// Counts one more channel. Prints a failure, and returns 1 for it.
    fn count(&self, done: Result<(), Failure>) -> usize {
        self.progress.more();
        let Err(Failure(why)) = done else { return 0 };
        self.progress.aside(|| eprintln!("error: {why}"));
        1
    }

    /// Returns the manifests of each channel, in the given order.
    fn read<'c>(&self, channels: &'c [Named]) -> impl futures::Stream<Item = (&'c str, Result<String, Failure>)> {
        futures::stream::iter(channels)
            .map(async |(name, channel)| (name.as_str(), self.manifests(name, channel).await))
            .buffered(AT_ONCE)
    }

    async fn manifests(&self, name: &str, channel: &ChannelArn) -> Result<String, Failure> {
        let target = Target {
            channel: channel.clone(),
            membership_type: MembershipType::Default,
            bearer: self.args.service.bearer_of(channel.app_instance())?.clone(),
            sub_channel: None,
        };
        let live = self
            .live(&target)
            .await
            .map_err(|error| Failure(format!("failed to read {channel}: {error}{}", advice(&error))))?;
        let style = Style {
            namespace: self.args.namespace.clone(),
            names: self.args.names,
            observe: self.args.observe,
            max_members: self.args.max_members.into(),
        };
        manifests(&live, name, &style).map_err(Failure::of)
    }

    async fn live(&self, target: &Target) -> Result<LiveChannel, CallError> {
        let remark = |error: &CallError, rest: Duration| self.remark(target.channel.as_str(), error, rest);
        let reader = self.reader(&remark);
        let info = reader.describe_channel(target).await?;
        let mut members = Vec::new();
        for kind in [MembershipType::Default, MembershipType::Hidden] {
            // An elastic channel has no HIDDEN members (Chime SDK Developer Guide).
            let asked_for = self.args.membership_type.is_none_or(|only| only == kind);
            if asked_for && !(info.elastic && kind == MembershipType::Hidden) {
                let target = Target { membership_type: kind, ..target.clone() };
                let listed = reader.list_members(&target, info.elastic).await;
                members.push((kind, listed.map_err(|error| advise_about_hidden(kind, error))?));
            }
        }
        Ok(LiveChannel { channel: target.channel.clone(), title: info.name, elastic: info.elastic, members })
    }

    fn reader<'r>(&'r self, remark: &'r dyn Fn(&CallError, Duration)) -> Reader<'r, Sdk> {
        Reader::new(&self.client, TRIES, remark)
    }

    fn remark(&self, about: &str, error: &CallError, rest: Duration) {
        self.progress.aside(|| eprintln!("{about}: {error}; retry in {:.1} s", rest.as_secs_f64()));
    }
}

/// Adds advice to a refused listing of HIDDEN members: a bearer that may read the channel may still
/// not list them.
fn advise_about_hidden(kind: MembershipType, error: CallError) -> CallError {
    if kind == MembershipType::Hidden && error.class == CallErrorClass::ChannelNotAccessible {
        let message = format!(
            "{}; HIDDEN members are shown to moderators and admins, --type DEFAULT leaves them out",
            error.message
        );
        return CallError { message, ..error };
    }
    error
}

/// Returns advice for a refused call.
fn advice(error: &CallError) -> String {
    match error.class {
        CallErrorClass::AccessDenied => {
            format!("; the AWS identity needs chime:{}, see rollcall doctor", error.operation)
        }
        CallErrorClass::BearerRejected => "; the bearer has to exist, see rollcall doctor".to_owned(),
        CallErrorClass::ChannelNotAccessible if error.operation == Operation::ListSubChannels => {
            "; sub-channels are shown to moderators and admins".to_owned()
        }
        _ => String::new(),
    }
}
