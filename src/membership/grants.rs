//! Grants: which namespace may reach which channels, use which bearers and prune in which modes.
//!
//! One grant must allow all of what a resource asks for: two that allow a half each allow nothing
//! together.

use serde::Deserialize;

use super::arn::{ChannelArn, MemberArn};
use crate::api::Prune;

/// Stands for every namespace, and at the end of a channel's ARN for whatever follows.
const ANY: char = '*';

/// The granted accesses; every other access is denied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Grants(Vec<Grant>);

/// One grant. The channels are those of `appInstances` and those of `channels` together.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Grant {
    /// Names, or `*` for all.
    namespaces: Vec<String>,
    /// ARNs of app instances.
    #[serde(default)]
    app_instances: Vec<String>,
    /// ARNs of channels; with a `*` at the end, of all that begin so.
    #[serde(default)]
    channels: Vec<String>,
    /// ARNs of users or bots in whose name the service may be called; absent for any.
    #[serde(default)]
    bearers: Option<Vec<String>>,
    #[serde(default = "all_but_authoritative")]
    prune: Vec<Prune>,
}

fn all_but_authoritative() -> Vec<Prune> {
    vec![Prune::Never, Prune::Owned, Prune::Declared]
}

/// The access that a resource asks for.
#[derive(Clone, Copy, Debug)]
pub struct AccessRequest<'a> {
    /// The resource's namespace.
    pub namespace: &'a str,
    /// The channel.
    pub channel: &'a ChannelArn,
    /// In whose name the service is called.
    pub bearer: &'a MemberArn,
    /// The prune mode of the resource.
    pub prune: Prune,
}

/// The part of an access request that is not granted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The namespace may not reach the channel at all.
    #[error("namespace {0} is granted no access to the channel {1}")]
    Channel(String, String),
    /// It may, in another's name.
    #[error("namespace {0} is not granted this channel in the name of {1}")]
    Bearer(String, String),
    /// The channel is granted, but not with this prune mode.
    #[error("namespace {0} is not granted prune: {1:?} on this channel")]
    Prune(String, Prune),
}

/// A grant that cannot be meant so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("grant {number}: {problem}")]
pub struct GrantError {
    /// Which, counted from 1.
    number: usize,
    problem: String,
}

impl Grants {
    /// Checks the grants for mistakes: a mistake in one would deny silently, or allow too much.
    pub fn check(&self) -> Result<(), GrantError> {
        for (index, grant) in self.0.iter().enumerate() {
            grant.problem().map_or(Ok(()), |problem| Err(GrantError { number: index + 1, problem }))?;
        }
        Ok(())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether nothing is granted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks whether a resource is granted what it asks for.
    pub fn decide(&self, wish: &AccessRequest<'_>) -> Result<(), Denial> {
        let namespace = || wish.namespace.to_owned();
        let reaching: Vec<&Grant> = self.0.iter().filter(|grant| grant.reaches(wish)).collect();
        if reaching.is_empty() {
            return Err(Denial::Channel(namespace(), wish.channel.as_str().to_owned()));
        }
        let mut named = reaching.iter().filter(|grant| grant.names(wish.bearer)).peekable();
        if named.peek().is_none() {
            return Err(Denial::Bearer(namespace(), wish.bearer.as_str().to_owned()));
        }
        if named.any(|grant| grant.prune.contains(&wish.prune)) {
            return Ok(());
        }
        Err(Denial::Prune(namespace(), wish.prune))
    }
}

impl Grant {
    fn reaches(&self, wish: &AccessRequest<'_>) -> bool {
        let here = self.namespaces.iter().any(|name| name == wish.namespace || *name == ANY.to_string());
        let channel = wish.channel.as_str();
        let instance = self.app_instances.iter().any(|instance| instance == wish.channel.app_instance());
        let by_arn = |pattern: &String| match pattern.strip_suffix(ANY) {
            Some(beginning) => channel.starts_with(beginning),
            None => channel == pattern,
        };
        here && (instance || self.channels.iter().any(by_arn))
    }

    fn names(&self, bearer: &MemberArn) -> bool {
        self.bearers.as_ref().is_none_or(|bearers| bearers.iter().any(|name| name == bearer.as_str()))
    }

    fn problem(&self) -> Option<String> {
        let bad = |field: &str, value: &str, write: &str| Some(format!("{field} {value:?}: write {write}"));
        if self.namespaces.is_empty() || self.app_instances.is_empty() && self.channels.is_empty() {
            return Some("it grants nothing: write namespaces, and appInstances or channels".to_owned());
        }
        for name in &self.namespaces {
            if name.is_empty() || name.contains(ANY) && *name != ANY.to_string() {
                return bad("namespaces", name, "a namespace's whole name, or \"*\" for all");
            }
        }
        for instance in &self.app_instances {
            // An app instance is what stands before the channel.
            let channel = ChannelArn::parse(&format!("{instance}/channel/a"));
            if channel.is_ok_and(|channel| channel.app_instance() == instance) && !instance.contains(ANY) {
                continue;
            }
            return bad("appInstances", instance, "arn:aws:chime:<region>:<account>:app-instance/<id>");
        }
        for pattern in &self.channels {
            let beginning = pattern.strip_suffix(ANY);
            let whole = beginning.unwrap_or(pattern);
            let good = !whole.contains(ANY) && whole.starts_with("arn:");
            if !good || beginning.is_none() && ChannelArn::parse(whole).is_err() {
                return bad("channels", pattern, "a channel's ARN, or its beginning and one * at the end");
            }
        }
        for bearer in self.bearers.iter().flatten() {
            if MemberArn::parse(bearer).is_err() {
                return bad("bearers", bearer, "the ARN of a user or bot");
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INSTANCE: &str = "arn:aws:chime:us-east-1:123456789012:app-instance/1f";

    fn grants(yaml: &str) -> Grants {
        serde_yaml::from_str(&yaml.replace("INSTANCE", INSTANCE)).unwrap()
    }

    fn decide(grants: &Grants, namespace: &str, channel: &str, bearer: &str, prune: Prune) -> Result<(), Denial> {
        let channel = ChannelArn::parse(&format!("{INSTANCE}/channel/{channel}")).unwrap();
        let bearer = MemberArn::parse(&format!("{INSTANCE}/user/{bearer}")).unwrap();
        grants.decide(&AccessRequest { namespace, channel: &channel, bearer: &bearer, prune })
    }

    #[test]
    fn grant_covers_an_app_instance_or_a_channel_prefix() {
        let grants = grants(
            "[{namespaces: [a], appInstances: [INSTANCE]}, {namespaces: ['*'], channels: [INSTANCE/channel/team-*]}]",
        );
        assert_eq!(grants.check(), Ok(()));
        assert_eq!(decide(&grants, "a", "support", "bot", Prune::Owned), Ok(()));
        assert_eq!(decide(&grants, "b", "team-red", "bot", Prune::Owned), Ok(()));
        assert!(matches!(decide(&grants, "b", "support", "bot", Prune::Never), Err(Denial::Channel(..))));
        assert!(matches!(decide(&grants, "b", "team", "bot", Prune::Never), Err(Denial::Channel(..))));
        assert!(matches!(decide(&grants, "a", "support", "bot", Prune::Authoritative), Err(Denial::Prune(..))));
        let other = ChannelArn::parse(&format!("{INSTANCE}0/channel/support")).unwrap();
        let bearer = MemberArn::parse(&format!("{INSTANCE}0/user/bot")).unwrap();
        let wish = AccessRequest { namespace: "a", channel: &other, bearer: &bearer, prune: Prune::Never };
        assert!(grants.decide(&wish).is_err(), "1f0 is another app instance than 1f");
    }

    #[test]
    fn halves_of_two_grants_do_not_combine() {
        let grants = grants(
            "[{namespaces: [a], channels: [INSTANCE/channel/c], bearers: [INSTANCE/user/x], prune: [Never]},
              {namespaces: [a], channels: [INSTANCE/channel/c], bearers: [INSTANCE/user/y], prune: [Declared]}]",
        );
        assert_eq!(decide(&grants, "a", "c", "x", Prune::Never), Ok(()));
        assert_eq!(decide(&grants, "a", "c", "y", Prune::Declared), Ok(()));
        assert!(matches!(decide(&grants, "a", "c", "x", Prune::Declared), Err(Denial::Prune(..))));
        assert!(matches!(decide(&grants, "a", "c", "z", Prune::Never), Err(Denial::Bearer(..))));
    }

    #[test]
    fn empty_grants_allow_nothing() {
        assert!(decide(&Grants::default(), "a", "c", "x", Prune::Never).is_err());
        assert!(
            decide(
                &grants("[{namespaces: [a], channels: [INSTANCE/channel/*], bearers: []}]"),
                "a",
                "c",
                "x",
                Prune::Never
            )
            .is_err()
        );
    }

    #[test]
    fn invalid_grant_is_refused_with_its_number() {
        for (slip, word) in [
            ("[{namespaces: [], appInstances: [INSTANCE]}]", "grants nothing"),
            ("[{namespaces: [a]}]", "grants nothing"),
            ("[{namespaces: ['team-*'], appInstances: [INSTANCE]}]", "whole name"),
            ("[{namespaces: [a], appInstances: ['INSTANCE/*']}]", "appInstances"),
            ("[{namespaces: [a], appInstances: ['*']}]", "appInstances"),
            ("[{namespaces: [a], channels: ['*']}]", "channels"),
            ("[{namespaces: [a], channels: ['INSTANCE/channel/*/x']}]", "channels"),
            ("[{namespaces: [a], channels: [support]}]", "channels"),
            ("[{namespaces: [a], channels: [INSTANCE]}]", "channels"),
            ("[{namespaces: [a], appInstances: [INSTANCE], bearers: [bot]}]", "bearers"),
        ] {
            let error = grants(slip).check().unwrap_err().to_string();
            assert!(error.starts_with("grant 1: ") && error.contains(word), "{slip}: {error}");
        }
        for slip in
            ["{}", "[{namespaces: [a], channel: [x]}]", "[{namespaces: [a], prune: [Some]}]", "[{namespaces: a}]"]
        {
            assert!(serde_yaml::from_str::<Grants>(slip).is_err(), "{slip}");
        }
    }
}
