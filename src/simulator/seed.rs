//! The seed: the app instances, users and channels at the simulator's start.
//!
//! A seed is read from YAML or JSON, or built in code:
//!
//! ```
//! use rollcall::simulator::{ChannelSeed, Seed};
//!
//! let seed = Seed::new("arn:aws:chime:us-east-1:123456789012:app-instance/demo")
//!     .users(["alice", "bob", "rollcall"])
//!     .admins(["rollcall"])
//!     .channel(ChannelSeed::new("support").members(["alice"]).bans(["bob"]));
//! assert_eq!(seed.app_instances.len(), 1);
//! ```

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

use super::channel::{ChannelMode, ChannelPrivacy, ElasticConfiguration};

/// The reason why a seed cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeedError {
    /// The text is not YAML or not a seed. The message names line and column.
    #[error("failed to read the seed: {0}")]
    Unreadable(String),
    /// A value of the seed is invalid.
    #[error("failed to apply the seed: {}{message}", .line.map(|line| format!("line {line}: ")).unwrap_or_default())]
    Invalid {
        /// The line of the value, if the seed was read from text.
        line: Option<u64>,
        /// The problem, with the value.
        message: String,
    },
}

/// A string of a seed, with its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeedName {
    /// The string.
    pub text: String,
    /// The line, from 1, if the seed was read from text.
    pub line: Option<u64>,
}

impl SeedName {
    /// Returns an error about this string.
    pub fn error(&self, message: impl std::fmt::Display) -> SeedError {
        SeedError::Invalid { line: self.line, message: message.to_string() }
    }
}

impl<S: Into<String>> From<S> for SeedName {
    fn from(text: S) -> Self {
        Self { text: text.into(), line: None }
    }
}

impl<'de> Deserialize<'de> for SeedName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = serde_yaml::Spanned::<String>::deserialize(deserializer)?;
        Ok(Self { text: spanned.value, line: Some(spanned.referenced.line()) })
    }
}

/// The app instances at the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Seed {
    /// App instances with their users and channels.
    pub app_instances: Vec<AppInstanceSeed>,
}

/// An app instance. Users and bots are named by id: `alice`, `user/alice` or `bot/helper`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AppInstanceSeed {
    /// `arn:<partition>:chime:<region>:<account>:app-instance/<id>`.
    pub arn: SeedName,
    /// Ids of users.
    #[serde(default)]
    pub users: Vec<SeedName>,
    /// Ids of bots.
    #[serde(default)]
    pub bots: Vec<SeedName>,
    /// Ids of the users and bots that are admins.
    #[serde(default)]
    pub admins: Vec<SeedName>,
    /// Channels.
    #[serde(default)]
    pub channels: Vec<ChannelSeed>,
}

/// A channel. Its members must be users or bots of its app instance.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChannelSeed {
    /// The part of its ARN after `/channel/`.
    pub id: SeedName,
    /// The display name. The default is the id.
    pub name: Option<String>,
    /// The default is `UNRESTRICTED`, as in the service.
    #[serde(default)]
    pub mode: ChannelMode,
    /// The default is `PUBLIC`, as in the service.
    #[serde(default)]
    pub privacy: ChannelPrivacy,
    /// Up to 1 KiB of application data.
    pub metadata: Option<String>,
    /// The creator. The default is the first admin of the app instance.
    pub created_by: Option<SeedName>,
    /// Members of type DEFAULT.
    #[serde(default)]
    pub members: Vec<SeedName>,
    /// Members of type HIDDEN.
    #[serde(default)]
    pub hidden: Vec<SeedName>,
    /// More members of type DEFAULT, added by other users than the creator.
    #[serde(default)]
    pub invited: Vec<InvitedSeed>,
    /// Moderators.
    #[serde(default)]
    pub moderators: Vec<SeedName>,
    /// Users that may not be added.
    #[serde(default)]
    pub bans: Vec<SeedName>,
    /// The configuration of an elastic channel.
    pub elastic: Option<ElasticConfiguration>,
}

/// Members that a user other than the creator added.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InvitedSeed {
    /// The user that added them: `InvitedBy`.
    pub by: SeedName,
    /// The time of the addition. The default is the time at which the seed is applied.
    pub at: Option<Timestamp>,
    /// The members.
    pub members: Vec<SeedName>,
}

impl Seed {
    /// Parses a seed from YAML or JSON.
    pub fn from_yaml(text: &str) -> Result<Self, SeedError> {
        serde_yaml::from_str(text).map_err(|error| SeedError::Unreadable(first_line(&error.to_string())))
    }

    /// Creates a seed with one empty app instance.
    pub fn new(app_instance_arn: &str) -> Self {
        Self {
            app_instances: vec![AppInstanceSeed {
                arn: app_instance_arn.into(),
                users: vec![],
                bots: vec![],
                admins: vec![],
                channels: vec![],
            }],
        }
    }

    /// Adds users to the last app instance.
    pub fn users<S: Into<String>>(self, ids: impl IntoIterator<Item = S>) -> Self {
        self.in_last(|instance| instance.users.extend(names(ids)))
    }

    /// Adds bots to the last app instance.
    pub fn bots<S: Into<String>>(self, ids: impl IntoIterator<Item = S>) -> Self {
        self.in_last(|instance| instance.bots.extend(names(ids)))
    }

    /// Makes users or bots admins of the last app instance.
    pub fn admins<S: Into<String>>(self, ids: impl IntoIterator<Item = S>) -> Self {
        self.in_last(|instance| instance.admins.extend(names(ids)))
    }

    /// Adds a channel to the last app instance.
    pub fn channel(self, channel: ChannelSeed) -> Self {
        self.in_last(|instance| instance.channels.push(channel))
    }

    fn in_last(mut self, change: impl FnOnce(&mut AppInstanceSeed)) -> Self {
        if let Some(last) = self.app_instances.last_mut() {
            change(last);
        }
        self
    }
}

impl ChannelSeed {
    /// Creates an empty channel, `UNRESTRICTED` and `PUBLIC`.
    pub fn new(id: &str) -> Self {
        Self {
            id: id.into(),
            name: None,
            mode: ChannelMode::default(),
            privacy: ChannelPrivacy::default(),
            metadata: None,
            created_by: None,
            members: vec![],
            hidden: vec![],
            invited: vec![],
            moderators: vec![],
            bans: vec![],
            elastic: None,
        }
    }

    /// Sets the mode.
    pub fn mode(self, mode: ChannelMode) -> Self {
        Self { mode, ..self }
    }

    /// Sets the privacy.
    pub fn privacy(self, privacy: ChannelPrivacy) -> Self {
        Self { privacy, ..self }
    }

    /// Sets the creator.
    pub fn created_by(self, id: &str) -> Self {
        Self { created_by: Some(id.into()), ..self }
    }

    /// Adds members of type DEFAULT.
    pub fn members<S: Into<String>>(mut self, ids: impl IntoIterator<Item = S>) -> Self {
        self.members.extend(names(ids));
        self
    }

    /// Adds members of type HIDDEN.
    pub fn hidden<S: Into<String>>(mut self, ids: impl IntoIterator<Item = S>) -> Self {
        self.hidden.extend(names(ids));
        self
    }

    /// Adds members of type DEFAULT that `by` invited, now or at the given time.
    pub fn invited<S: Into<String>>(
        mut self,
        by: &str,
        at: Option<Timestamp>,
        ids: impl IntoIterator<Item = S>,
    ) -> Self {
        self.invited.push(InvitedSeed { by: by.into(), at, members: names(ids).collect() });
        self
    }

    /// Adds moderators.
    pub fn moderators<S: Into<String>>(mut self, ids: impl IntoIterator<Item = S>) -> Self {
        self.moderators.extend(names(ids));
        self
    }

    /// Adds bans.
    pub fn bans<S: Into<String>>(mut self, ids: impl IntoIterator<Item = S>) -> Self {
        self.bans.extend(names(ids));
        self
    }

    /// Makes the channel elastic.
    pub fn elastic(self, configuration: ElasticConfiguration) -> Self {
        Self { elastic: Some(configuration), ..self }
    }
}

fn names<S: Into<String>>(ids: impl IntoIterator<Item = S>) -> impl Iterator<Item = SeedName> {
    ids.into_iter().map(SeedName::from)
}

/// Returns a parser error without its prefix `error:` and its excerpt of the source.
fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_line() {
        let seed = Seed::from_yaml("appInstances:\n  - arn: x\n    users: [a,\n      012]\n").unwrap();
        let users = &seed.app_instances[0].users;
        assert_eq!((users[0].line, users[1].line), (Some(3), Some(4)));
        assert_eq!(users[1].text, "012");
    }

    #[test]
    fn misspelt_key_is_refused_with_its_line() {
        let error = Seed::from_yaml("appInstances:\n  - arn: x\n    usres: []\n").unwrap_err().to_string();
        assert!(error.contains("usres") && error.contains('3') && error.lines().count() == 1, "{error}");
    }

    #[test]
    fn seed_can_be_json() {
        let seed =
            Seed::from_yaml(r#"{"appInstances": [{"arn": "x", "channels": [{"id": "c", "mode": "RESTRICTED"}]}]}"#);
        assert_eq!(seed.unwrap().app_instances[0].channels[0].mode, ChannelMode::Restricted);
    }
}
