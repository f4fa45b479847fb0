//! OpenTelemetry's environment variables, and their validation.
//!
//! Names and meanings are those of the OpenTelemetry specification ("Environment Variable
//! Specification", "OpenTelemetry Protocol Exporter"). An empty variable counts as not set, as in
//! the specification.

use std::ffi::OsString;
use std::time::Duration;

use http::Uri;
use http::header::{HeaderName, HeaderValue};

/// The specification's default of `OTEL_EXPORTER_OTLP_TIMEOUT`.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Numbers that the SDK reads. It replaces an invalid number by its default.
const NUMBERS: [&str; 9] = [
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_BSP_MAX_QUEUE_SIZE",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    "OTEL_BSP_EXPORT_TIMEOUT",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_EVENT_COUNT_LIMIT",
    "OTEL_SPAN_LINK_COUNT_LIMIT",
];

/// Settings of TLS that the exporter cannot honour.
const OF_TLS: [&str; 6] = [
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
];

const SAMPLERS: [&str; 6] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];

/// The collector that the variables name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Environment {
    /// The host and port, without a password.
    pub collector: String,
    /// True for https.
    pub secure: bool,
    /// The longest time that a request may take.
    pub timeout: Duration,
}

/// The error of a variable with an invalid value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to set up traces by {variable}{}: {advice}, or take OTEL_EXPORTER_OTLP_ENDPOINT away for no traces", shown(.value.as_deref()))]
pub struct VariableError {
    variable: &'static str,
    /// The value, unless it may be a secret.
    value: Option<String>,
    advice: &'static str,
}

fn shown(value: Option<&str>) -> String {
    value.map(|value| format!("={value:?}")).unwrap_or_default()
}

impl Environment {
    /// Reads the variables by `lookup`; `None` if they name no collector.
    pub(super) fn read(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Option<Self>, VariableError> {
        let variables = Variables(lookup);
        let either = |of_traces, of_all| Ok(variables.get(of_traces)?.or(variables.get(of_all)?));
        let disabled = variables.get("OTEL_SDK_DISABLED")?.is_some_and(|(_, value)| value.eq_ignore_ascii_case("true"));
        let exporter = variables.get("OTEL_TRACES_EXPORTER")?;
        let endpoint = either("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")?;
        let none = exporter.as_ref().is_some_and(|(_, name)| name == "none");
        let Some(endpoint) = endpoint.filter(|_| !disabled && !none) else { return Ok(None) };
        one_of(exporter, &["otlp"], "write otlp, or none for no traces")?;
        let protocol = either("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")?;
        one_of(protocol, &["http/protobuf"], "write http/protobuf, and the collector's port for it, mostly 4318")?;
        let compression = either("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION")?;
        one_of(compression, &["none"], "write none")?;
        for name in NUMBERS {
            if let Some((variable, value)) = variables.get(name)?
                && value.parse::<u32>().is_err()
            {
                return Err(refused(variable, value, "write a whole number"));
            }
        }
        for name in OF_TLS {
            if let Some((variable, value)) = variables.get(name)? {
                let advice = "take it away: the certificates that the system trusts are used, and none of our own";
                return Err(refused(variable, value, advice));
            }
        }
        sampler(variables.get("OTEL_TRACES_SAMPLER")?, variables.get("OTEL_TRACES_SAMPLER_ARG")?)?;
        let headers = either("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")?;
        if let Some((variable, value)) = headers
            && !pairs(&value).all(|pair| pair.is_some_and(is_header))
        {
            let advice = "write name=value, comma-separated, with % and two digits for what no header can hold";
            return Err(VariableError { variable, value: None, advice });
        }
        if let Some((variable, value)) = variables.get("OTEL_RESOURCE_ATTRIBUTES")?
            && !pairs(&value).all(|pair| pair.is_some())
        {
            return Err(refused(variable, value, "write name=value, comma-separated"));
        }
        let timeout = either("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT")?;
        let timeout = timeout.and_then(|(_, value)| value.parse().ok()).map_or(TIMEOUT, Duration::from_millis);
        collector(endpoint, timeout).map(Some)
    }
}

/// The name and value of a variable.
type Variable = (&'static str, String);

struct Variables<F>(F);

impl<F: Fn(&str) -> Option<OsString>> Variables<F> {
    fn get(&self, name: &'static str) -> Result<Option<Variable>, VariableError> {
        match self.0(name).filter(|value| !value.is_empty()).map(OsString::into_string) {
            None => Ok(None),
            Some(Ok(value)) => Ok(Some((name, value))),
            Some(Err(_)) => Err(VariableError { variable: name, value: None, advice: "write it in UTF-8" }),
        }
    }
}

fn refused(variable: &'static str, value: String, advice: &'static str) -> VariableError {
    VariableError { variable, value: Some(value), advice }
}

fn one_of(variable: Option<Variable>, known: &[&str], advice: &'static str) -> Result<(), VariableError> {
    match variable {
        Some((name, value)) if !known.contains(&&*value) => Err(refused(name, value, advice)),
        _ => Ok(()),
    }
}

fn sampler(sampler: Option<Variable>, argument: Option<Variable>) -> Result<(), VariableError> {
    let by_ratio = sampler.as_ref().is_some_and(|(_, name)| name.ends_with("traceidratio"));
    let advice = "write always_on, always_off, traceidratio, or one of them after parentbased_";
    one_of(sampler, &SAMPLERS, advice)?;
    let share = |text: &str| text.parse::<f64>().is_ok_and(|share| (0.0..=1.0).contains(&share));
    match argument {
        Some((name, value)) if by_ratio && !share(&value) => {
            Err(refused(name, value, "write a share from 0 to 1, such as 0.1"))
        }
        _ => Ok(()),
    }
}

/// Splits comma-separated entries `name=value`; `None` for an invalid entry.
fn pairs(text: &str) -> impl Iterator<Item = Option<(&str, &str)>> {
    let entries = text.split_terminator(',').map(str::trim);
    entries.map(|entry| entry.split_once('=').map(|(name, value)| (name.trim(), value.trim())))
}

fn is_header((name, value): (&str, &str)) -> bool {
    let digits = |rest: &str| rest.get(..2).is_some_and(|two| two.bytes().all(|byte| byte.is_ascii_hexdigit()));
    name.parse::<HeaderName>().is_ok()
        && value.parse::<HeaderValue>().is_ok()
        && !value.is_empty()
        && value.split('%').skip(1).all(digits)
}

fn collector((variable, value): Variable, timeout: Duration) -> Result<Environment, VariableError> {
    let uri = value.parse::<Uri>().ok();
    let secure = match uri.as_ref().and_then(Uri::scheme_str) {
        Some("http") => Some(false),
        Some("https") => Some(true),
        _ => None,
    };
    match (uri.as_ref().and_then(Uri::authority), secure) {
        (Some(authority), Some(secure)) if !authority.as_str().contains('@') => {
            Ok(Environment { collector: authority.to_string(), secure, timeout })
        }
        _ => {
            // The text before an @ may be a password.
            let shown = value.rsplit('@').next().unwrap_or_default().to_owned();
            Err(refused(variable, shown, "write http://host:port or https://host:port, without a password"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");

    fn read(variables: &[(&str, &str)]) -> Result<Option<Environment>, VariableError> {
        Environment::read(|name| {
            variables.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn traces_are_asked_for_by_an_endpoint_and_by_nothing_else() {
        let off: [&[(&str, &str)]; 6] = [
            &[],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")],
            &[("OTEL_SERVICE_NAME", "rollcall"), ("OTEL_TRACES_EXPORTER", "console"), ("OTEL_TRACES_SAMPLER", "x")],
            &[HOST, ("OTEL_SDK_DISABLED", "true")],
            &[HOST, ("OTEL_SDK_DISABLED", "TRUE"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
            &[HOST, ("OTEL_TRACES_EXPORTER", "none")],
        ];
        for variables in off {
            assert_eq!(read(variables), Ok(None), "{variables:?}");
        }
        let on = Environment { collector: "collector:4318".to_owned(), secure: false, timeout: TIMEOUT };
        assert_eq!(read(&[HOST, ("OTEL_SDK_DISABLED", "1"), ("OTEL_TRACES_EXPORTER", "otlp")]), Ok(Some(on)));
        let variables = [
            HOST,
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://traces.example/v1/traces"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "9"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "250"),
        ];
        let timeout = Duration::from_millis(250);
        let own = Environment { collector: "traces.example".to_owned(), secure: true, timeout };
        assert_eq!(read(&variables), Ok(Some(own)), "those of traces go first");
    }

    #[test]
    fn what_the_sdk_would_pass_over_in_silence_is_refused_by_name() {
        for (variable, value) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a b"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "grpc://collector:4317"),
            ("OTEL_TRACES_EXPORTER", "jaeger"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "many"),
            ("OTEL_SPAN_LINK_COUNT_LIMIT", "-1"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
            ("OTEL_TRACES_SAMPLER", "sometimes"),
            ("OTEL_RESOURCE_ATTRIBUTES", "team=chat,nonsense"),
        ] {
            let error = read(&[HOST, (variable, value)]).unwrap_err();
            assert!(error.to_string().contains(&format!("{variable}={value:?}: ")), "{error}");
        }
        for share in ["", "0", "0.25", "1"] {
            assert!(read(&[HOST, ("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", share)]).is_ok());
        }
        for share in ["2", "-0.1", "NaN", "10%"] {
            let by = ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio");
            assert!(read(&[HOST, by, ("OTEL_TRACES_SAMPLER_ARG", share)]).is_err(), "{share}");
            assert!(read(&[HOST, ("OTEL_TRACES_SAMPLER_ARG", share)]).is_ok(), "nobody reads it");
        }
    }

    #[test]
    fn a_secret_is_in_no_refusal() {
        for headers in ["authorization", "two words=s3cret", "x=s3cret%2", "x=s3cret\u{1}", "x="] {
            let error = read(&[HOST, ("OTEL_EXPORTER_OTLP_HEADERS", headers)]).unwrap_err().to_string();
            assert!(error.contains("OTEL_EXPORTER_OTLP_HEADERS: ") && !error.contains("s3cret"), "{error}");
        }
        assert!(read(&[HOST, ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20s3cret, x=1,")]).is_ok());
        let error = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:s3cret@collector")]).unwrap_err().to_string();
        assert!(error.contains("\"collector\"") && !error.contains("s3cret"), "{error}");
    }
}
