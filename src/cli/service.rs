//! How is the service reached, in whose name, and how fast? The flags that all commands have that call it.

use std::collections::HashSet;
use std::num::NonZeroU16;
use std::sync::Arc;

use super::Failure;
use crate::chime::client::Client;
use crate::chime::rate_limit::{FixedRate, QuotaShare, RateLimiter, Rates};
use crate::chime::sdk::{Sdk, SdkOptions};
use crate::membership::arn::{ChannelArn, MemberArn};

#[derive(Debug, clap::Args)]
pub(super) struct ServiceArgs {
    /// The user or bot ARN in whose name the service is called; one an app instance, chosen by the channel's.
    #[arg(long, env = "ROLLCALL_CHIME_BEARER", value_name = "ARN", value_delimiter = ',', value_parser = bearer)]
    pub chime_bearer: Vec<MemberArn>,

    /// The share of the service's quotas to use; the live chat application has the rest. [default: 80% for run, else 20%]
    #[arg(long, env = "ROLLCALL_QUOTA_SHARE", value_name = "PERCENT")]
    quota_share: Option<QuotaShare>,

    /// Calls a second for a bearer, in place of the share; 0 = no limit.
    #[arg(long, env = "ROLLCALL_BEARER_RATE", value_name = "RATE")]
    bearer_rate: Option<FixedRate>,

    /// Batches a second for a channel, in place of the share; 0 = no limit.
    #[arg(long, env = "ROLLCALL_CHANNEL_BATCH_RATE", value_name = "RATE")]
    channel_batch_rate: Option<FixedRate>,

    /// Pages listed a second for a channel, in place of the share; 0 = no limit.
    #[arg(long, env = "ROLLCALL_CHANNEL_LIST_RATE", value_name = "RATE")]
    channel_list_rate: Option<FixedRate>,

    /// Calls of the service in flight at once, for each bearer.
    #[arg(long, env = "ROLLCALL_CONCURRENCY", value_name = "CALLS", default_value = "32")]
    concurrency: NonZeroU16,
}

impl ServiceArgs {
    /// A client of the service, at `share` of its quotas where nothing else is asked for, and its address where that is not AWS. Nothing
    /// is called yet.
    pub(super) async fn client(&self, share: QuotaShare) -> Result<(Client<Sdk>, Option<String>), Failure> {
        let service = Sdk::load(SdkOptions::default()).await.map_err(Failure::of)?;
        let endpoint = service.custom_endpoint().map(str::to_owned);
        Ok((self.client_of(Arc::new(service), share), endpoint))
    }

    /// The same of a service that others look at as well.
    pub(super) fn client_of(&self, service: Arc<Sdk>, share: QuotaShare) -> Client<Sdk> {
        let rates = Rates {
            share: self.quota_share.unwrap_or(share),
            bearer: self.bearer_rate,
            channel_batch: self.channel_batch_rate,
            channel_list: self.channel_list_rate,
        };
        Client::new(service, Arc::new(RateLimiter::new(rates, self.concurrency)))
    }

    /// In whose name an app instance is called.
    pub(super) fn bearer_of(&self, app_instance: &str) -> Result<&MemberArn, Failure> {
        self.chime_bearer.iter().find(|bearer| bearer.app_instance() == app_instance).ok_or_else(|| {
            Failure::of(format!("no bearer is given for {app_instance}: add --chime-bearer {app_instance}/user/<id>"))
        })
    }

    /// The bearer of a channel is that of its app instance: two of one would be a guess.
    pub(super) fn one_bearer_an_app_instance(&self) -> Result<(), Failure> {
        let mut instances = HashSet::new();
        match self.chime_bearer.iter().find(|bearer| !instances.insert(bearer.app_instance())) {
            None => Ok(()),
            Some(second) => Err(Failure::of(format!(
                "--chime-bearer {second} is the second of its app instance: give one an app instance"
            ))),
        }
    }
}

/// The ARN of an app instance, as it is given on a command line.
pub(super) fn app_instance(text: &str) -> Result<String, String> {
    // Whatever has a channel is one.
    let of =
        ChannelArn::parse(&format!("{}/channel/any", text.trim())).map(|channel| channel.app_instance().to_owned());
    of.map_err(|_| "no ARN of an app instance: write arn:aws:chime:<region>:<account>:app-instance/<id>".to_owned())
}

pub(super) fn channel(text: &str) -> Result<ChannelArn, String> {
    ChannelArn::parse(text.trim())
        .map_err(|_| "no channel ARN: write arn:aws:chime:<region>:<account>:app-instance/<id>/channel/<id>".to_owned())
}

pub(super) fn bearer(text: &str) -> Result<MemberArn, String> {
    MemberArn::parse(text.trim()).map_err(|_| {
        "no user or bot ARN: write arn:aws:chime:<region>:<account>:app-instance/<id>/user/<id>".to_owned()
    })
}
