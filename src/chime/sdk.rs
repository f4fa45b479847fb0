//! The port over the AWS SDK.
//!
//! [`Sdk`] is the [`Service`](super::port::Service) over AWS's own SDK: a client for each region,
//! created when first needed, on one set of credentials. The SDK's retries are off, because each
//! attempt must wait for its own permit and be counted.

mod calls;
mod failure;
pub mod identity;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
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
use parking_lot::RwLock;

/// The longest time that a call may take: a graceful stop waits at most this long for the call in
/// flight.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest time that connecting may take: the SDK's own default, set here because it is part of
/// [`CALL_TIMEOUT`].
const CONNECT_TIMEOUT: Duration = Duration::from_millis(3100);

/// The region of STS if the environment names none. Calls to the service itself go to the channel's
/// region.
const FALLBACK_REGION: &str = "us-east-1";

/// The settings of an [`Sdk`]; the default is the environment. Not printable: it may hold a secret.
#[derive(Clone)]
pub struct SdkOptions {
    /// The endpoint, instead of AWS and of `AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING`.
    pub endpoint: Option<String>,
    /// The access key id and secret, instead of the SDK's usual chain: for a simulator in this
    /// process.
    pub credentials: Option<(String, String)>,
    /// The longest time that a call may take.
    pub call_timeout: Duration,
}

impl Default for SdkOptions {
    fn default() -> Self {
        Self { endpoint: None, credentials: None, call_timeout: CALL_TIMEOUT }
    }
}

/// The reason why AWS cannot be reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The endpoint is not the address of a server.
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

/// Amazon Chime SDK messaging, over AWS's SDK.
pub struct Sdk {
    config: SdkConfig,
    endpoint: Option<String>,
    call_timeout: Duration,
    clients: RwLock<HashMap<String, Client>>,
}

impl Sdk {
    /// Reads the environment and the AWS profile. Credentials are fetched with the first call, not
    /// here.
    pub async fn load(options: SdkOptions) -> Result<Self, LoadError> {
        // The SDK's default chain is not used: it asks the instance metadata service, and waits for
        // it where none exists.
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
                // The text before an @ may be a password.
                let shown = endpoint.rsplit('@').next().unwrap_or_default();
                return Err(LoadError::BadEndpoint(shown.to_owned()));
            }
            if config.use_fips() == Some(true) || config.use_dual_stack() == Some(true) {
                return Err(LoadError::EndpointAndVariant(endpoint.clone()));
            }
        }
        Ok(Self { config, endpoint, call_timeout: options.call_timeout, clients: RwLock::default() })
    }

    /// Returns the endpoint in force if it is not one of AWS: then statements about members are
    /// about another service.
    pub fn custom_endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref().filter(|endpoint| host_of(endpoint).is_none_or(|host| !is_aws(host)))
    }

    fn client(&self, region: &str) -> Client {
        if let Some(client) = self.clients.read().get(region) {
            return client.clone();
        }
        let mut clients = self.clients.write();
        clients.entry(region.to_owned()).or_insert_with(|| self.new_client(region)).clone()
    }

    fn new_client(&self, region: &str) -> Client {
        let timeouts =
            TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_timeout(self.call_timeout).build();
        let mut config = Builder::from(&self.config)
            .region(Region::new(region.to_owned()))
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            // Answers are a few kilobytes and the whole call has a deadline, so watching the
            // throughput adds nothing.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        config.set_endpoint_url(self.endpoint.clone());
        Client::from_conf(config.build())
    }
}

/// Returns the endpoint as the SDK itself would find it: for this service, else for all services,
/// each in the environment, else in the profile. It is looked up here so that the reported endpoint
/// is the one in use.
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
