//! Checks of the endpoint, the region, the credentials and the caller.

use std::collections::BTreeSet;

use super::flags::Args;
use super::report::{Finding, Report};
use crate::chime::sdk::Sdk;
use crate::chime::sdk::identity::CredentialsSource;

/// The regions that serve Amazon Chime SDK messaging (AWS General Reference, "Amazon Chime SDK
/// endpoints and quotas").
const REGIONS: [&str; 2] = ["us-east-1", "eu-central-1"];

/// The region that has FIPS endpoints (same page).
const FIPS_REGION: &str = "us-east-1";

/// The variables by which a cluster gives a pod its own role, and the name of each mechanism.
const ROLES_OF_PODS: [(&str, CredentialsSource, &str); 3] = [
    ("AWS_WEB_IDENTITY_TOKEN_FILE", CredentialsSource::WebIdentity, "IRSA"),
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", CredentialsSource::Container, "EKS Pod Identity"),
    ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", CredentialsSource::Container, "ECS"),
];

/// Checks the endpoint and the regions of the ARNs.
pub(super) fn endpoint(args: &Args, sdk: &Sdk, report: &mut Report) {
    let bearers = args.service.chime_bearer.iter().map(|bearer| bearer.region().to_owned());
    let regions: BTreeSet<String> = bearers.chain(args.channel.iter().map(|it| it.region().to_owned())).collect();
    if let Some(endpoint) = sdk.custom_endpoint() {
        let message = format!("calls go to {endpoint}, which is not AWS");
        report.add(Finding::warning(
            "endpoint",
            message,
            "unset AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING and AWS_ENDPOINT_URL for AWS",
        ));
    } else {
        let kind = match (sdk.uses_fips(), sdk.uses_dual_stack()) {
            (false, false) => "",
            (true, false) => ", by FIPS endpoints",
            (false, true) => ", by dual-stack endpoints",
            (true, true) => ", by dual-stack FIPS endpoints",
        };
        report.add(Finding::ok("endpoint", format!("calls go to Amazon Chime SDK messaging{kind}")));
    }
    for region in &regions {
        report.add(if !REGIONS.contains(&region.as_str()) {
            let message = format!("{region} is not known to serve Amazon Chime SDK messaging");
            Finding::warning("region", message, format!("check the ARNs: the regions are {}", REGIONS.join(" and ")))
        } else if sdk.uses_fips() && region != FIPS_REGION {
            Finding::failed("region", format!("{region} has no FIPS endpoint"), "unset AWS_USE_FIPS_ENDPOINT")
        } else {
            Finding::ok("region", format!("{region}, by the ARNs"))
        });
    }
}

/// Checks the credentials and their source. Returns false if there are none.
pub(super) async fn credentials(sdk: &Sdk, report: &mut Report) -> bool {
    let source = match sdk.credentials_source().await {
        Ok(source) => source,
        Err(why) => {
            let advice = "give the pod a role (IRSA or EKS Pod Identity), or set AWS_PROFILE or AWS_ACCESS_KEY_ID";
            report.add(Finding::failed("credentials", format!("no credentials: {why}"), advice));
            return false;
        }
    };
    report.add(Finding::ok("credentials", format!("from {source}")));
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    for (variable, role, called) in ROLES_OF_PODS {
        if is_set(variable) && source != role {
            let message = format!("{variable} offers the role of the pod ({called}), and {source} comes before it");
            let advice = match source {
                CredentialsSource::Environment => {
                    "take AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY out of the environment"
                }
                _ => "take the other credentials away, or the role of the pod",
            };
            report.add(Finding::warning("shadowed role", message, advice));
        }
    }
    true
}

/// Checks the identity that signs the calls.
pub(super) async fn identity(sdk: &Sdk, report: &mut Report) {
    if sdk.custom_endpoint().is_some() && !sdk.has_sts_endpoint() {
        report.add(Finding::skipped("identity", "the service is not AWS, so the caller's identity is not checked"));
        return;
    }
    report.add(match sdk.caller_identity().await {
        Ok(caller) => Finding::ok("identity", caller.arn),
        Err(error) => match error.code.as_deref() {
            Some(code) => Finding::failed("identity", error.to_string(), credentials_advice(code)),
            None => {
                Finding::warning("identity", error.to_string(), "let the pod reach STS, if its role comes from there")
            }
        },
    });
}

/// Returns advice about credentials that AWS refuses with this code.
pub(super) fn credentials_advice(code: &str) -> &'static str {
    let is = |part: &str| code.contains(part);
    if is("Skewed") || is("RequestExpired") || is("Signature") {
        "set this machine's clock, which AWS allows to be wrong by some minutes; if it is right, the secret key is wrong"
    } else if is("Expired") || is("Refresh") {
        "renew the credentials: they have expired"
    } else {
        "correct the credentials: AWS does not know them"
    }
}
