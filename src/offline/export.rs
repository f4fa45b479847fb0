//! Which manifests declare a channel as it is now?
//!
//! Everybody who is there is declared, moderators, bots and the bearer among them, so that such a manifest changes nothing, and one
//! that later says `prune: Declared` knows of everybody: who is taken off the list leaves, and nobody else. It says neither `prune` nor
//! `deletionPolicy` itself, whose defaults remove nobody.

mod comment;
pub mod naming;

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use crate::api::{MAX_MEMBERS, MembershipType};
use crate::chime::reader::ListedMember;
use crate::membership::arn::{ChannelArn, display_name};

use self::comment::tame;

/// kubectl's client-side apply keeps the manifest in an annotation, and those hold so many bytes all together (Kubernetes, "Annotations").
const CLIENT_SIDE_BYTES: usize = 262_144;

/// A channel as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// Which one.
    pub channel: ChannelArn,
    /// How it is called in words.
    pub title: Option<String>,
    /// Whether its members are in sub-channels.
    pub elastic: bool,
    /// Who is in it, by the types that were asked for.
    pub members: Vec<(MembershipType, Vec<ListedMember>)>,
}

/// How manifests are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Style {
    /// Their `metadata.namespace`; none is left to whoever applies them.
    pub namespace: Option<String>,
    /// Whether each member's name stands behind their id, as a comment.
    pub names: bool,
    /// Whether they say `mode: Observe`.
    pub observe: bool,
    /// The most members of one resource, from 1 to [`MAX_MEMBERS`].
    pub max_members: usize,
}

impl Default for Style {
    fn default() -> Self {
        Self { namespace: None, names: false, observe: false, max_members: MAX_MEMBERS }
    }
}

/// A text could not be written as YAML.
#[derive(Debug, thiserror::Error)]
#[error("failed to write {text:?} as YAML: {source}")]
pub struct WriteError {
    text: String,
    source: serde_yaml::ser_error::Error,
}

/// The manifests of a channel, one YAML document each and the same for the same members: one for each type that somebody has, or
/// several where there are many. A channel without members has one, that declares no members. `name` is the first one's.
pub fn manifests(live: &Live, name: &str, style: &Style) -> Result<String, WriteError> {
    let inhabited = live.members.iter().filter(|(_, people)| !people.is_empty());
    let mut rolls: Vec<Roll> = inhabited.map(|(kind, people)| Roll::of(live, *kind, people)).collect();
    if rolls.is_empty() {
        let kind = live.members.first().map(|(kind, _)| *kind).unwrap_or_default();
        rolls.push(Roll::of(live, kind, &[]));
    }
    let mut text = String::new();
    for roll in &rolls {
        let name = naming::of_type(name, roll.kind);
        // Of nobody at all there is one part, too.
        let count = roll.declared.len().div_ceil(style.max_members).max(1);
        for part in 0..count {
            let from = part * style.max_members;
            let to = roll.declared.len().min(from + style.max_members);
            let document = Document {
                name: naming::of_part(&name, part),
                declared: &roll.declared[from..to],
                left_out: if part == 0 { &roll.left_out } else { &[] },
                title: roll.title(part, count),
                roll,
                style,
            };
            text.push_str(&document.text()?);
        }
    }
    Ok(text)
}

/// Whether a file's text holds a manifest of the channel, as [`manifests`] or somebody after it wrote it.
pub fn declares(text: &str, channel: &ChannelArn) -> bool {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("channelArn:"))
        .any(|arn| arn.trim().trim_matches(['"', '\'']) == channel.as_str())
}

/// The members of one type.
struct Roll<'a> {
    live: &'a Live,
    kind: MembershipType,
    /// As they are written, and how they are called.
    declared: Vec<(&'a str, Option<&'a str>)>,
    /// Whom no manifest can declare, and why.
    left_out: Vec<(&'a str, &'static str)>,
}

impl<'a> Roll<'a> {
    fn of(live: &'a Live, kind: MembershipType, people: &'a [ListedMember]) -> Self {
        let mut roll = Self { live, kind, declared: Vec::new(), left_out: Vec::new() };
        for ListedMember { arn, name } in people {
            match written(&live.channel, arn) {
                Ok(written) => roll.declared.push((written, name.as_deref())),
                Err(why) => roll.left_out.push((arn, why)),
            }
        }
        roll
    }

    fn title(&self, part: usize, count: usize) -> String {
        let (channel, kind) = (self.live.channel.id(), self.kind);
        let called = self.live.title.as_deref().filter(|title| !title.trim().is_empty() && *title != channel);
        let called = called.map(|title| format!(", {}", tame(title))).unwrap_or_default();
        let who = match self.declared.len() {
            0 if self.left_out.is_empty() => "no member".to_owned(),
            0 => format!("no member of type {kind} who can be declared"),
            1 => format!("1 member of type {kind}"),
            members => format!("{members} members of type {kind}"),
        };
        let part = if count > 1 { format!(", part {} of {count}", part + 1) } else { String::new() };
        format!("Channel {channel}{called}: {who}{part}.")
    }
}

/// The shortest way to write a member that is read as that member again.
fn written<'a>(channel: &ChannelArn, arn: &'a str) -> Result<&'a str, &'static str> {
    let Some(name) = channel.name_of(arn) else {
        return Err("of another app instance than the channel, so no manifest may name them");
    };
    let reads_back = |written: &&str| channel.name(written).is_ok_and(|read| read == name);
    // An id may begin with arn: itself.
    [display_name(name), name].into_iter().find(reads_back).ok_or("no ARN of a user or bot")
}

/// One manifest.
struct Document<'a> {
    name: String,
    title: String,
    declared: &'a [(&'a str, Option<&'a str>)],
    left_out: &'a [(&'a str, &'static str)],
    roll: &'a Roll<'a>,
    style: &'a Style,
}

impl Document<'_> {
    fn text(&self) -> Result<String, WriteError> {
        let body = self.body()?;
        let mut text = format!("---\n# {}\n", self.title);
        text.push_str("# Applied as it is (kubectl apply --server-side), it adds nobody and removes nobody.\n");
        text.push_str(
            "# Whoever is taken off the list stays in the channel, unless prune: Declared is written below.\n",
        );
        if self.roll.live.elastic {
            text.push_str(
                "# An elastic channel: a moderator who leaves is added again only by a resource with subChannelId.\n",
            );
        }
        if body.len() > CLIENT_SIDE_BYTES {
            let _ = writeln!(
                text,
                "# Too large for kubectl's client-side apply, which stops at {CLIENT_SIDE_BYTES} bytes."
            );
        }
        text.push_str(&body);
        Ok(text)
    }

    fn body(&self) -> Result<String, WriteError> {
        let mut text = format!(
            "apiVersion: rollcall.dev/v1alpha1\nkind: ChannelMembership\nmetadata:\n  name: {}\n",
            scalar(&self.name)?
        );
        // Writing to a String cannot fail.
        if let Some(namespace) = &self.style.namespace {
            let _ = writeln!(text, "  namespace: {}", scalar(namespace)?);
        }
        let _ = write!(
            text,
            "spec:\n  channelArn: {}\n  type: {}\n",
            scalar(self.roll.live.channel.as_str())?,
            self.roll.kind
        );
        if self.style.observe {
            text.push_str("  mode: Observe\n");
        }
        text.push_str(if self.declared.is_empty() { "  members: []\n" } else { "  members:\n" });
        for (member, name) in self.declared {
            let _ = write!(text, "    - {}", scalar(member)?);
            match name.filter(|_| self.style.names) {
                Some(name) => _ = writeln!(text, " # {}", tame(name)),
                None => text.push('\n'),
            }
        }
        for (arn, why) in self.left_out {
            let _ = writeln!(text, "    # {}: {why}", tame(arn));
        }
        Ok(text)
    }
}

/// A text as one YAML scalar, in quotes where it would be read as something else.
fn scalar(text: &str) -> Result<String, WriteError> {
    // A long one would be folded, onto lines that know nothing of where it stands.
    let plain = serde_yaml::ser_options! { prefer_block_scalars: false };
    let written = serde_yaml::to_string_with_options(&text, plain)
        .map_err(|source| WriteError { text: text.to_owned(), source })?;
    Ok(written.trim_end().to_owned())
}
