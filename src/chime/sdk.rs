//! How does a call reach AWS?
//!
//! [`Sdk`] is the [`Service`](super::port::Service) over AWS's own SDK: a client for each region, made when first needed, on one set of
//! credentials. The SDK's retries are off, because each attempt must take its turn in the pace and be seen.

mod calls;
mod failure;
pub mod identity;
mod user_memberships;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::identity::IdentityCache;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_sdk_chimesdkmessaging::Client;
use aws_sdk_chimesdkmessaging::config::{Builder, Credentials};
use aws_types::service_config::ServiceConfigKey;

/// The longest that a call may take in all: a graceful stop waits this long at most for the one under way.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest that connecting may take: the SDK's own default, said here because it is part of [`CALL_TIMEOUT`].
const CONNECT_TIMEOUT: Duration = Duration::from_millis(3100);

/// Where STS is asked if the environment names no region. Calls to the service itself go to the channel's region.
const FALLBACK_REGION: &str = "us-east-1";

/// What an [`Sdk`] is made of; by default what the environment says. Not printable: it may hold a secret.
#[derive(Clone)]
pub struct SdkOptions {
    /// Instead of AWS and of what `AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING` says.
    pub endpoint: Option<String>,
    /// Access key id and secret, instead of the SDK's usual chain: for a simulator in this process.
    pub credentials: Option<(String, String)>,
    /// The longest that a call may take.
    pub call_timeout: Duration,
}

impl Default for SdkOptions {
    fn default() -> Self {
        Self { endpoint: None, credentials: None, call_timeout: CALL_TIMEOUT }
    }
}

/// Why there is no way to reach AWS.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The endpoint is no address of a server.
    #[error(
        "failed to use the endpoint {0:?}: write http://host:port or https://host, with neither spaces nor a password \
         (AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING, AWS_ENDPOINT_URL or the AWS profile)"
    )]
    BadEndpoint(String),
    /// The SDK refuses every call with these settings.
    #[error(
        "failed to use the endpoint {0:?} together with FIPS or dual-stack: unset AWS_USE_FIPS_ENDPOINT and \
         AWS_USE_DUALSTACK_ENDPOINT, or the endpoint"
    )]
    EndpointAndVariant(String),
}

/// Amazon Chime SDK messaging by AWS's SDK.
pub struct Sdk {
    config: SdkConfig,
    endpoint: Option<String>,
    call_timeout: Duration,
    clients: RwLock<HashMap<String, Client>>,
}

impl Sdk {
    /// Reads the environment and the AWS profile. Credentials are fetched with the first call, not here.
    pub async fn load(options: SdkOptions) -> Result<Self, LoadError> {
        // Not the SDK's default chain, which asks the instance metadata service and waits for it where there is none.
        let region = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
            .or_else(ProfileFileRegionProvider::new())
            .or_else(Region::from_static(FALLBACK_REGION));
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .region(region)
            .identity_cache(IdentityCache::lazy().build());
        if let Ok(name) = AppName::new("rollcall") {
            loader = loader.app_name(name);
        }
        if let Some((id, secret)) = options.credentials {
            loader = loader.credentials_provider(Credentials::new(id, secret, None, None, "given"));
        }
        let config = loader.load().await;
        let endpoint = options.endpoint.or_else(|| configured_endpoint(&config));
        if let Some(endpoint) = &endpoint {
            if host_of(endpoint).is_none() {
                // What stands before an @ may be a password.
                let shown = endpoint.rsplit('@').next().unwrap_or_default();
                return Err(LoadError::BadEndpoint(shown.to_owned()));
            }
            if config.use_fips() == Some(true) || config.use_dual_stack() == Some(true) {
                return Err(LoadError::EndpointAndVariant(endpoint.clone()));
            }
        }
        Ok(Self { config, endpoint, call_timeout: options.call_timeout, clients: RwLock::default() })
    }

    /// The endpoint in force, if it is not one of AWS: what is said of members then is said of another service.
    pub fn custom_endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref().filter(|endpoint| host_of(endpoint).is_none_or(|host| !is_aws(host)))
    }

    fn client(&self, region: &str) -> Client {
        if let Some(client) = self.clients.read().unwrap_or_else(PoisonError::into_inner).get(region) {
            return client.clone();
        }
        let mut clients = self.clients.write().unwrap_or_else(PoisonError::into_inner);
        clients.entry(region.to_owned()).or_insert_with(|| self.new_client(region)).clone()
    }

    fn new_client(&self, region: &str) -> Client {
        let timeouts =
            TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_timeout(self.call_timeout).build();
        let mut config = Builder::from(&self.config)
            .region(Region::new(region.to_owned()))
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            // Answers are a few kilobytes and the whole call has a deadline: watching their throughput adds nothing.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        config.set_endpoint_url(self.endpoint.clone());
        Client::from_conf(config.build())
    }
}

/// The endpoint as the SDK itself would find it: for this service, else for all, each in the environment, else in the
/// profile. Looked up here so that what is reported is what is used.
fn configured_endpoint(config: &SdkConfig) -> Option<String> {
    let of_service = || {
        let key = ServiceConfigKey::builder()
            .service_id("Chime SDK Messaging")
            .env("AWS_ENDPOINT_URL")
            .profile("endpoint_url")
            .build()
            .ok()?;
        config.service_config()?.load_config(key)
    };
    of_service().or_else(|| config.endpoint_url().map(str::to_owned)).filter(|endpoint| !endpoint.is_empty())
}

fn host_of(endpoint: &str) -> Option<&str> {
    let rest = endpoint.strip_prefix("http://").or_else(|| endpoint.strip_prefix("https://"))?;
    let host = rest.split(['/', '?', '#']).next()?;
    (!host.is_empty() && !host.contains('@') && !endpoint.contains(char::is_whitespace)).then_some(host)
}

fn is_aws(host: &str) -> bool {
    let name = host.split(':').next().unwrap_or(host);
    [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"].iter().any(|domain| name.ends_with(domain))
}
