//! The AWS identity of calls, and the source of the credentials.

use std::fmt;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_credential_types::credential_feature::AwsCredentialFeature as Feature;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sdk_sts::error::ProvideErrorMetadata as _;
use aws_types::service_config::ServiceConfigKey;

use super::failure::{MOST_MESSAGE, causes, tidy};
use super::{CONNECT_TIMEOUT, Sdk};

/// The source of the credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialsSource {
    /// `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`.
    Environment,
    /// A profile of `~/.aws`, or a process or sign-in that it names.
    Profile,
    /// A token file that STS exchanges for a role: IAM roles for service accounts (IRSA).
    WebIdentity,
    /// An address of the container's agent: EKS Pod Identity, or ECS.
    Container,
    /// The instance metadata service: the role of the node.
    Instance,
    /// Another source.
    Other,
}

impl fmt::Display for CredentialsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Environment => "AWS_ACCESS_KEY_ID in the environment",
            Self::Profile => "a profile of ~/.aws",
            Self::WebIdentity => "a web identity token (IRSA)",
            Self::Container => "the container's agent (EKS Pod Identity or ECS)",
            Self::Instance => "the instance metadata service (the node's role)",
            Self::Other => "the SDK's chain",
        })
    }
}

/// The identity of calls, as STS reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerIdentity {
    /// The ARN of a user or of a session of a role.
    pub arn: String,
}

/// The reason why the identity is unknown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to ask STS who calls: {}{message}", .code.as_ref().map(|code| format!("{code}: ")).unwrap_or_default())]
pub struct CallerError {
    /// The code of AWS; `None` if STS was not reached.
    pub code: Option<String>,
    /// The text of AWS, or the fault of transport.
    pub message: String,
}

impl Sdk {
    /// Returns the source of the credentials that sign the calls. Fetches them, and makes no call
    /// with them.
    pub async fn credentials_source(&self) -> Result<CredentialsSource, String> {
        let provider = self.config.credentials_provider().ok_or("there is no provider of credentials")?;
        let credentials = provider.provide_credentials().await.map_err(|error| tidy(&causes(&error), MOST_MESSAGE))?;
        let features = credentials.get_property::<Vec<Feature>>().map(Vec::as_slice).unwrap_or_default();
        // The last feature is the innermost, by which the chain chose.
        Ok(features.iter().rev().find_map(source_of).unwrap_or(CredentialsSource::Other))
    }

    /// Asks STS for the identity of the calls. The call needs no permission (AWS STS API reference,
    /// GetCallerIdentity).
    pub async fn caller_identity(&self) -> Result<CallerIdentity, CallerError> {
        let timeouts =
            TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_timeout(self.call_timeout).build();
        let config = aws_sdk_sts::config::Builder::from(&self.config)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .build();
        let answer = aws_sdk_sts::Client::from_conf(config).get_caller_identity().send().await;
        let answer = answer.map_err(|error| CallerError {
            code: error.code().map(str::to_owned),
            message: tidy(&error.message().map_or_else(|| causes(&error), str::to_owned), MOST_MESSAGE),
        })?;
        Ok(CallerIdentity { arn: answer.arn.unwrap_or_else(|| "an identity without ARN".to_owned()) })
    }

    /// Returns whether an endpoint of STS is configured, so that STS is asked even if the service
    /// is not AWS.
    pub fn has_sts_endpoint(&self) -> bool {
        let key = ServiceConfigKey::builder().service_id("sts").env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
        let configured = key.ok().and_then(|key| self.config.service_config()?.load_config(key));
        configured.is_some_and(|endpoint| !endpoint.is_empty())
    }

    /// Returns whether calls go to endpoints that are validated by FIPS 140.
    pub fn uses_fips(&self) -> bool {
        self.config.use_fips() == Some(true)
    }

    /// Returns whether calls go to endpoints of both IPv4 and IPv6.
    pub fn uses_dual_stack(&self) -> bool {
        self.config.use_dual_stack() == Some(true)
    }
}

fn source_of(feature: &Feature) -> Option<CredentialsSource> {
    Some(match feature {
        Feature::CredentialsEnvVars => CredentialsSource::Environment,
        Feature::CredentialsProfileStsWebIdToken | Feature::CredentialsEnvVarsStsWebIdToken => {
            CredentialsSource::WebIdentity
        }
        Feature::CredentialsHttp => CredentialsSource::Container,
        Feature::CredentialsImds => CredentialsSource::Instance,
        Feature::CredentialsProfile
        | Feature::CredentialsProfileSourceProfile
        | Feature::CredentialsProfileNamedProvider
        | Feature::CredentialsProfileProcess
        | Feature::CredentialsProcess => CredentialsSource::Profile,
        _ => return None,
    })
}
