//! The flags of all commands that call the service: bearers, rates and concurrency.

use std::collections::HashSet;
use std::num::NonZeroU16;
use std::sync::Arc;

use crate::chime::client::Client;
use crate::chime::rate_limit::{FixedRate, QuotaShare, RateLimiter, Rates};
use crate::chime::sdk::{Sdk, SdkOptions};
use crate::cli::shared::failure::Failure;
use crate::membership::arn::{ChannelArn, MemberArn};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ServiceArgs {
    /// The user or bot ARN that calls the service; one for each app instance, chosen by the app
    /// instance of the channel.
    #[arg(long, env = "ROLLCALL_CHIME_BEARER", value_name = "ARN", value_delimiter = ',', value_parser = bearer)]
    pub chime_bearer: Vec<MemberArn>,

    /// The share of the service's quotas to use; the live chat application keeps the rest.
    /// [default: 80% for run, else 20%]
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

    /// Concurrent calls of the service, for each bearer.
    #[arg(long, env = "ROLLCALL_CONCURRENCY", value_name = "CALLS", default_value = "32")]
    concurrency: NonZeroU16,
}

impl ServiceArgs {
    /// Returns a client of the service, and its address if it is not AWS. `share` is the default
    /// share of the quotas. It makes no call.
    pub(in crate::cli) async fn client(&self, share: QuotaShare) -> Result<(Client<Sdk>, Option<String>), Failure> {
        let service = Sdk::load(SdkOptions::default()).await.map_err(Failure::of)?;
        let endpoint = service.custom_endpoint().map(str::to_owned);
        Ok((self.client_of(Arc::new(service), share), endpoint))
    }

    /// Returns a client of a service that is shared with other readers.
    pub(in crate::cli) fn client_of(&self, service: Arc<Sdk>, share: QuotaShare) -> Client<Sdk> {
        let rates = Rates {
            share: self.quota_share.unwrap_or(share),
            bearer: self.bearer_rate,
            channel_batch: self.channel_batch_rate,
            channel_list: self.channel_list_rate,
        };
        Client::new(service, Arc::new(RateLimiter::new(rates, self.concurrency)))
    }

    /// Returns the bearer of an app instance.
    pub(in crate::cli) fn bearer_of(&self, app_instance: &str) -> Result<&MemberArn, Failure> {
        self.chime_bearer.iter().find(|bearer| bearer.app_instance() == app_instance).ok_or_else(|| {
            Failure::of(format!("no bearer is given for {app_instance}: add --chime-bearer {app_instance}/user/<id>"))
        })
    }

    /// Refuses two bearers of one app instance: a channel's bearer is the one of its app instance,
    /// and the choice would be a guess.
    pub(in crate::cli) fn check_bearers(&self) -> Result<(), Failure> {
        let mut instances = HashSet::new();
        match self.chime_bearer.iter().find(|bearer| !instances.insert(bearer.app_instance())) {
            None => Ok(()),
            Some(second) => Err(Failure::of(format!(
                "--chime-bearer {second} is the second of its app instance: give one an app instance"
            ))),
        }
    }
}

/// Parses the ARN of an app instance.
pub(in crate::cli) fn app_instance(text: &str) -> Result<String, String> {
    // An ARN is one of an app instance if a channel's ARN can be made of it.
    let of =
        ChannelArn::parse(&format!("{}/channel/any", text.trim())).map(|channel| channel.app_instance().to_owned());
    of.map_err(|_| "no ARN of an app instance: write arn:aws:chime:<region>:<account>:app-instance/<id>".to_owned())
}

pub(in crate::cli) fn channel(text: &str) -> Result<ChannelArn, String> {
    ChannelArn::parse(text.trim())
        .map_err(|_| "no channel ARN: write arn:aws:chime:<region>:<account>:app-instance/<id>/channel/<id>".to_owned())
}

pub(in crate::cli) fn bearer(text: &str) -> Result<MemberArn, String> {
    MemberArn::parse(text.trim()).map_err(|_| {
        "no user or bot ARN: write arn:aws:chime:<region>:<account>:app-instance/<id>/user/<id>".to_owned()
    })
}
