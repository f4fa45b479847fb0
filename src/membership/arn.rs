//! Parsing of the ARNs and short ids of channels, members and bearers.
//!
//! Resource forms are those of the Service Authorization Reference for Amazon Chime: after
//! `arn:<partition>:chime:<region>:<account>:` comes `app-instance/<id>`, then `/channel/<id>`,
//! `/user/<id>` or `/bot/<id>`. Ids hold `:` and `@`, so an ARN is split in at most six parts, and
//! ARNs are compared byte for byte.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::api::MAX_ARN_BYTES;

/// The longest user, bot or channel id in bytes (`chime-sdk-messaging` service model, `ChannelId`).
pub const MAX_ID_BYTES: usize = 64;

/// Why a string is not the ARN that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArnError {
    /// Not of the form of a channel's ARN.
    #[error(
        "{0:?} is not a channel ARN: write arn:<partition>:chime:<region>:<account>:app-instance/<id>/channel/<id>"
    )]
    NotAChannel(String),
    /// Neither an ARN of a user or bot nor an id of one.
    #[error(
        "{0:?} names no member: write an id (1 to 64 of A-Z a-z 0-9 : - _ . @, letter or digit at both ends), \
         bot/<id>, or a full user or bot ARN"
    )]
    NotAMember(String),
    /// A user or bot of another app instance than the channel's.
    #[error("{member:?} is not of the channel's app instance {app_instance}: users talk only within one app instance")]
    ForeignMember {
        /// The member as written.
        member: String,
        /// The app instance ARN of the channel.
        app_instance: String,
    },
}

/// A channel's ARN, checked.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelArn {
    text: Arc<str>,
    app_instance_end: usize,
}

impl ChannelArn {
    /// Reads a channel ARN.
    pub fn parse(text: &str) -> Result<Self, ArnError> {
        let refused = || ArnError::NotAChannel(shown(text));
        let (app_instance_end, resource) = split_app_instance(text).ok_or_else(refused)?;
        let id = resource.strip_prefix("channel/").ok_or_else(refused)?;
        if !is_id(id) {
            return Err(refused());
        }
        Ok(Self { text: text.into(), app_instance_end })
    }

    /// The whole ARN.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The ARN of the app instance that the channel is in.
    pub fn app_instance(&self) -> &str {
        &self.text[..self.app_instance_end]
    }

    /// The AWS Region that serves the channel.
    pub fn region(&self) -> &str {
        region(&self.text)
    }

    /// The channel's id: what comes after `/channel/`.
    pub fn id(&self) -> &str {
        &self.text[self.app_instance_end + "/channel/".len()..]
    }

    /// The one identity of a member of this channel, however it was written: `alice`, `user/alice`,
    /// `bot/helper` or in full. It is given as the name within the channel.
    pub fn name<'a>(&self, written: &'a str) -> Result<Cow<'a, str>, ArnError> {
        if written.starts_with("arn:") {
            MemberArn::check(written)?;
            return self.name_of(written).map(Cow::Borrowed).ok_or_else(|| ArnError::ForeignMember {
                member: shown(written),
                app_instance: self.app_instance().to_owned(),
            });
        }
        match written.split_once('/') {
            None if is_id(written) => Ok(Cow::Owned(format!("user/{written}"))),
            Some(("user" | "bot", id)) if is_id(id) => Ok(Cow::Borrowed(written)),
            _ => Err(ArnError::NotAMember(shown(written))),
        }
    }

    /// Returns the ARN of a written member: see [`Self::name`].
    pub fn member(&self, written: &str) -> Result<MemberArn, ArnError> {
        self.name(written).map(|name| self.member_named(&name))
    }

    /// A member's name within this channel: what follows the app instance in its ARN. `None` for
    /// other app instances.
    pub fn name_of<'a>(&self, member_arn: &'a str) -> Option<&'a str> {
        member_arn.strip_prefix(self.app_instance())?.strip_prefix('/')
    }

    /// The member of a name that [`ChannelArn::name_of`] gave.
    pub fn member_named(&self, name: &str) -> MemberArn {
        MemberArn(format!("{}/{name}", self.app_instance()).into())
    }
}

/// Returns a name within a channel as people write it: `user/alice` is `alice`.
pub fn display_name(name: &str) -> &str {
    name.strip_prefix("user/").unwrap_or(name)
}

/// The ARN of an app instance user or bot, checked: a member, or a bearer.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemberArn(Arc<str>);

impl MemberArn {
    /// Reads the full ARN of a user or bot.
    pub fn parse(text: &str) -> Result<Self, ArnError> {
        Self::check(text)?;
        Ok(Self(text.into()))
    }

    fn check(text: &str) -> Result<(), ArnError> {
        let refused = || ArnError::NotAMember(shown(text));
        let (_, resource) = split_app_instance(text).ok_or_else(refused)?;
        match resource.split_once('/') {
            Some(("user" | "bot", id)) if is_id(id) => Ok(()),
            _ => Err(refused()),
        }
    }

    /// The whole ARN.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether this is a bot and not a user.
    pub fn is_bot(&self) -> bool {
        split_app_instance(&self.0).is_some_and(|(_, resource)| resource.starts_with("bot/"))
    }

    /// The AWS Region that serves the member.
    pub fn region(&self) -> &str {
        region(&self.0)
    }

    /// The ARN of the app instance that the member is of.
    pub fn app_instance(&self) -> &str {
        split_app_instance(&self.0).map_or("", |(end, _)| &self.0[..end])
    }
}

fn region(arn: &str) -> &str {
    arn.split(':').nth(3).unwrap_or_default()
}

/// The end of the app instance's ARN within `text`, and the resource within it (`user/<id>`,
/// `channel/<id>`, …).
fn split_app_instance(text: &str) -> Option<(usize, &str)> {
    if text.len() > MAX_ARN_BYTES {
        return None;
    }
    let mut parts = text.splitn(6, ':');
    let (arn, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
    let (region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
    let named = |part: &str| !part.is_empty() && part.len() <= 63 && part.bytes().all(is_label_byte);
    if arn != "arn" || service != "chime" || !named(partition) || !named(region) || !named(account) {
        return None;
    }
    let (instance, within) = resource.strip_prefix("app-instance/")?.split_once('/')?;
    is_id(instance).then_some((text.len() - within.len() - 1, within))
}

/// The region becomes part of a host name, so nothing but a DNS label's bytes may pass.
fn is_label_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

fn is_id(id: &str) -> bool {
    let bytes = id.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    bytes.len() <= MAX_ID_BYTES
        && first.is_ascii_alphanumeric()
        && last.is_ascii_alphanumeric()
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b":-_.@".contains(b))
}

/// Cut so that no error message grows with its input.
fn shown(text: &str) -> String {
    const MOST: usize = 160;
    match text.char_indices().nth(MOST) {
        None => text.to_owned(),
        Some((cut, _)) => format!("{}…", &text[..cut]),
    }
}

macro_rules! as_text {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    )*};
}
as_text!(ChannelArn, MemberArn);

#[cfg(test)]
mod tests {
    use super::*;

    const INSTANCE: &str = "arn:aws:chime:us-east-1:123456789012:app-instance/1f";

    fn channel() -> ChannelArn {
        ChannelArn::parse(&format!("{INSTANCE}/channel/support")).unwrap()
    }

    #[test]
    fn channel_arn_has_region_instance_and_id() {
        let channel = channel();
        assert_eq!(channel.region(), "us-east-1");
        assert_eq!(channel.app_instance(), INSTANCE);
        assert_eq!(channel.id(), "support");
    }

    #[test]
    fn member_name_is_equal_in_every_notation() {
        let full = format!("{INSTANCE}/user/alice");
        for written in ["alice", "user/alice", &full] {
            assert_eq!(channel().name(written).unwrap(), "user/alice");
        }
        assert_eq!(channel().member_named("user/alice").as_str(), full);
        assert_eq!(channel().name("bot/helper").unwrap(), "bot/helper");
    }

    #[test]
    fn member_id_keeps_colons_and_at_signs() {
        for id in ["us-east-1:0f0a", "a@b.c", "x"] {
            assert_eq!(channel().name(&format!("{INSTANCE}/user/{id}")).unwrap(), channel().name(id).unwrap());
        }
    }

    #[test]
    fn member_of_another_app_instance_is_refused_by_name() {
        let foreign = "arn:aws:chime:us-east-1:123456789012:app-instance/other/user/bob";
        let error = channel().name(foreign).unwrap_err();
        assert!(matches!(error, ArnError::ForeignMember { .. }));
        assert!(error.to_string().contains(foreign), "{error}");
    }

    #[test]
    fn invalid_channel_arn_is_refused() {
        for bad in [
            "",
            "support",
            "arn:aws:chime:us-east-1:1:app-instance/1f",
            "arn:aws:chime:us-east-1:1:app-instance/1f/user/support",
            "arn:aws:chime:us-east-1:1:app-instance/1f/channel/",
            "arn:aws:chime:us-east-1:1:app-instance/1f/channel/a/b",
            "arn:aws:sns:us-east-1:1:app-instance/1f/channel/a",
            "arn:aws:chime:evil.example/:1:app-instance/1f/channel/a",
            "arn:aws:chime::1:app-instance/1f/channel/a",
        ] {
            assert!(ChannelArn::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn invalid_member_is_refused_without_a_panic() {
        for bad in ["", "-a", "a-", "a b", "admin/alice", "user/", "ü", "arn:", "arn:aws:chime:::x", "a/b/c"] {
            assert!(channel().name(bad).is_err(), "{bad}");
        }
        assert!(channel().name(&"é".repeat(5000)).unwrap_err().to_string().len() < 1000);
    }
}
