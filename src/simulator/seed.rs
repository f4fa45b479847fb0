//! What is there when the simulator starts?
//!
//! A seed is YAML (or JSON, which is YAML too), or built in code:
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

/// Why a seed cannot be planted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeedError {
    /// Not YAML, or not of a seed's form. The text names line and column.
    #[error("failed to read the seed: {0}")]
    Unreadable(String),
    /// An object of it makes no sense.
    #[error("failed to plant the seed: {}{message}", .line.map(|line| format!("line {line}: ")).unwrap_or_default())]
    Wrong {
        /// Where, if the seed was read from text.
        line: Option<u64>,
        /// What, with the offending value.
        message: String,
    },
}

/// A string of a seed that remembers its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeedName {
    /// What was written.
    pub text: String,
    /// Where, if it was read from text; from 1.
    pub line: Option<u64>,
}

impl SeedName {
    /// An error about this string.
    pub fn wrong(&self, message: impl std::fmt::Display) -> SeedError {
        SeedError::Wrong { line: self.line, message: message.to_string() }
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

/// Everything that is there at the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Seed {
    /// App instances with what is in them.
    pub app_instances: Vec<AppInstanceSeed>,
}

/// An app instance. People are named by id: `alice`, `user/alice` or `bot/helper`.
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
    /// Which of them are admins.
    #[serde(default)]
    pub admins: Vec<SeedName>,
    /// Channels.
    #[serde(default)]
    pub channels: Vec<ChannelSeed>,
}

/// A channel. Whom it names must be users or bots of its app instance.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChannelSeed {
    /// What comes after `/channel/` in its ARN.
    pub id: SeedName,
    /// Shown to people; the id if absent.
    pub name: Option<String>,
    /// `UNRESTRICTED` if absent, as in the service.
    #[serde(default)]
    pub mode: ChannelMode,
    /// `PUBLIC` if absent, as in the service.
    #[serde(default)]
    pub privacy: ChannelPrivacy,
    /// Up to 1 KiB of the application's.
    pub metadata: Option<String>,
    /// Who made it; the app instance's first admin if absent.
    pub created_by: Option<SeedName>,
    /// Members of type DEFAULT.
    #[serde(default)]
    pub members: Vec<SeedName>,
    /// Members of type HIDDEN.
    #[serde(default)]
    pub hidden: Vec<SeedName>,
    /// More members of type DEFAULT, whom others than the creator added.
    #[serde(default)]
    pub invited: Vec<InvitedSeed>,
    /// Moderators.
    #[serde(default)]
    pub moderators: Vec<SeedName>,
    /// Those who may not be added.
    #[serde(default)]
    pub bans: Vec<SeedName>,
    /// Makes the channel elastic.
    pub elastic: Option<ElasticConfiguration>,
}

/// Members whom somebody added.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InvitedSeed {
    /// Who added them: `InvitedBy`.
    pub by: SeedName,
    /// When they joined; when the seed is planted, if absent.
    pub at: Option<Timestamp>,
    /// Whom.
    pub members: Vec<SeedName>,
}

impl Seed {
    /// Reads a seed from YAML.
    pub fn from_yaml(text: &str) -> Result<Self, SeedError> {
        serde_yaml::from_str(text).map_err(|error| SeedError::Unreadable(first_line(&error.to_string())))
    }

    /// One app instance, empty.
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

    /// More users, in the last app instance.
    pub fn users<S: Into<String>>(self, ids: impl IntoIterator<Item = S>) -> Self {
        self.in_last(|instance| instance.users.extend(names(ids)))
    }

    /// More bots, in the last app instance.
    pub fn bots<S: Into<String>>(self, ids: impl IntoIterator<Item = S>) -> Self {
        self.in_last(|instance| instance.bots.extend(names(ids)))
    }

    /// More admins, in the last app instance.
    pub fn admins<S: Into<String>>(self, ids: impl IntoIterator<Item = S>) -> Self {
        self.in_last(|instance| instance.admins.extend(names(ids)))
    }

    /// One more channel, in the last app instance.
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
    /// An empty channel, `UNRESTRICTED` and `PUBLIC`.
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

    /// Who may add members.
    pub fn mode(self, mode: ChannelMode) -> Self {
        Self { mode, ..self }
    }

    /// Who may see it.
    pub fn privacy(self, privacy: ChannelPrivacy) -> Self {
        Self { privacy, ..self }
    }

    /// Who made it.
    pub fn created_by(self, id: &str) -> Self {
        Self { created_by: Some(id.into()), ..self }
    }

    /// More members of type DEFAULT.
    pub fn members<S: Into<String>>(mut self, ids: impl IntoIterator<Item = S>) -> Self {
        self.members.extend(names(ids));
        self
    }

    /// More members of type HIDDEN.
    pub fn hidden<S: Into<String>>(mut self, ids: impl IntoIterator<Item = S>) -> Self {
        self.hidden.extend(names(ids));
        self
    }

    /// More members of type DEFAULT, added by somebody; they joined when the seed is planted, unless a time is given.
    pub fn invited<S: Into<String>>(
        mut self,
        by: &str,
        at: Option<Timestamp>,
        ids: impl IntoIterator<Item = S>,
    ) -> Self {
        self.invited.push(InvitedSeed { by: by.into(), at, members: names(ids).collect() });
        self
    }

    /// More moderators.
    pub fn moderators<S: Into<String>>(mut self, ids: impl IntoIterator<Item = S>) -> Self {
        self.moderators.extend(names(ids));
        self
    }

    /// More bans.
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

/// The parser's errors begin with a word and end in a picture of the source; between them is what and where.
fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_remember_the_line_they_were_read_from() {
        let seed = Seed::from_yaml("appInstances:\n  - arn: x\n    users: [a,\n      012]\n").unwrap();
        let users = &seed.app_instances[0].users;
        assert_eq!((users[0].line, users[1].line), (Some(3), Some(4)));
        assert_eq!(users[1].text, "012");
    }

    #[test]
    fn a_misspelt_key_is_refused_with_its_line() {
        let error = Seed::from_yaml("appInstances:\n  - arn: x\n    usres: []\n").unwrap_err().to_string();
        assert!(error.contains("usres") && error.contains('3') && error.lines().count() == 1, "{error}");
    }

    #[test]
    fn json_is_a_seed_too() {
        let seed =
            Seed::from_yaml(r#"{"appInstances": [{"arn": "x", "channels": [{"id": "c", "mode": "RESTRICTED"}]}]}"#);
        assert_eq!(seed.unwrap().app_instances[0].channels[0].mode, ChannelMode::Restricted);
    }
}
