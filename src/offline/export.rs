//! The manifests that declare a channel as it is now.
//!
//! They declare every member, including moderators, bots and the bearer. Such a manifest changes
//! nothing. If it later says `prune: Declared`, it covers every member: a member taken off the list
//! is removed, and no other. It sets neither `prune` nor `deletionPolicy`, whose defaults remove no
//! member.

mod comment;
pub mod naming;

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use crate::api::{MAX_MEMBERS, MembershipType};
use crate::chime::reader::ListedMember;
use crate::membership::arn::{ChannelArn, display_name};

use self::comment::escape_comment;

/// kubectl's client-side apply keeps the manifest in an annotation, and all annotations together
/// hold this many bytes (Kubernetes, "Annotations").
const CLIENT_SIDE_BYTES: usize = 262_144;

/// A channel as the service shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveChannel {
    /// The channel's ARN.
    pub channel: ChannelArn,
    /// The display name of the channel.
    pub title: Option<String>,
    /// True if the members are in sub-channels.
    pub elastic: bool,
    /// The members, by the types that were requested.
    pub members: Vec<(MembershipType, Vec<ListedMember>)>,
}

/// The style of the manifests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Style {
    /// Their `metadata.namespace`. Without it, `kubectl apply` decides.
    pub namespace: Option<String>,
    /// True if a comment behind each id gives the member's name.
    pub names: bool,
    /// True if they say `mode: Observe`.
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

/// Returns the manifests of a channel as YAML documents, always the same for the same members. Each
/// type with members has one document, or several if the members are many. A channel without
/// members has one document, which declares no members. `name` is the name of the first document.
pub fn manifests(live: &LiveChannel, name: &str, style: &Style) -> Result<String, WriteError> {
    let with_members = live.members.iter().filter(|(_, members)| !members.is_empty());
    let mut types: Vec<TypedMembers> =
        with_members.map(|(kind, members)| TypedMembers::of(live, *kind, members)).collect();
    if types.is_empty() {
        let kind = live.members.first().map(|(kind, _)| *kind).unwrap_or_default();
        types.push(TypedMembers::of(live, kind, &[]));
    }
    let mut text = String::new();
    for typed in &types {
        let name = naming::of_type(name, typed.kind);
        // Without members there is one part, too.
        let count = typed.declared.len().div_ceil(style.max_members).max(1);
        for part in 0..count {
            let from = part * style.max_members;
            let to = typed.declared.len().min(from + style.max_members);
            let document = Document {
                name: naming::of_part(&name, part),
                declared: &typed.declared[from..to],
                left_out: if part == 0 { &typed.left_out } else { &[] },
                title: typed.title(part, count),
                typed,
                style,
            };
            text.push_str(&document.text()?);
        }
    }
    Ok(text)
}

/// Returns whether a text holds a manifest of the channel, as [`manifests`] wrote it or as it was
/// edited later.
pub fn declares_channel(text: &str, channel: &ChannelArn) -> bool {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("channelArn:"))
        .any(|arn| arn.trim().trim_matches(['"', '\'']) == channel.as_str())
}

/// The members of one type.
struct TypedMembers<'a> {
    live: &'a LiveChannel,
    kind: MembershipType,
    /// The members as they are written, with their names.
    declared: Vec<(&'a str, Option<&'a str>)>,
    /// The members that no manifest can declare, with the reason.
    left_out: Vec<(&'a str, &'static str)>,
}

impl<'a> TypedMembers<'a> {
    fn of(live: &'a LiveChannel, kind: MembershipType, members: &'a [ListedMember]) -> Self {
        let mut typed = Self { live, kind, declared: Vec::new(), left_out: Vec::new() };
        for ListedMember { arn, name } in members {
            match written(&live.channel, arn) {
                Ok(written) => typed.declared.push((written, name.as_deref())),
                Err(why) => typed.left_out.push((arn, why)),
            }
        }
        typed
    }

    fn title(&self, part: usize, count: usize) -> String {
        let (channel, kind) = (self.live.channel.id(), self.kind);
        let called = self.live.title.as_deref().filter(|title| !title.trim().is_empty() && *title != channel);
        let called = called.map(|title| format!(", {}", escape_comment(title))).unwrap_or_default();
        let count_text = match self.declared.len() {
            0 if self.left_out.is_empty() => "no member".to_owned(),
            0 => format!("no member of type {kind} that can be declared"),
            1 => format!("1 member of type {kind}"),
            members => format!("{members} members of type {kind}"),
        };
        let part = if count > 1 { format!(", part {} of {count}", part + 1) } else { String::new() };
        format!("Channel {channel}{called}: {count_text}{part}.")
    }
}

/// Returns the shortest text that is read back as this member.
fn written<'a>(channel: &ChannelArn, arn: &'a str) -> Result<&'a str, &'static str> {
    let Some(name) = channel.name_of(arn) else {
        return Err("of another app instance than the channel, so no manifest can declare it");
    };
    let reads_back = |written: &&str| channel.name(written).is_ok_and(|read| read == name);
    // An id may itself begin with arn:.
    [display_name(name), name].into_iter().find(reads_back).ok_or("no ARN of a user or bot")
}

/// One manifest.
struct Document<'a> {
    name: String,
    title: String,
    declared: &'a [(&'a str, Option<&'a str>)],
    left_out: &'a [(&'a str, &'static str)],
    typed: &'a TypedMembers<'a>,
    style: &'a Style,
}

impl Document<'_> {
    fn text(&self) -> Result<String, WriteError> {
        let body = self.body()?;
        let mut text = format!("---\n# {}\n", self.title);
        text.push_str("# Applied as it is (kubectl apply --server-side), it adds no member and removes no member.\n");
        text.push_str("# A member taken off the list stays in the channel, unless prune: Declared is written below.\n");
        if self.typed.live.elastic {
            text.push_str(
                "# An elastic channel: a moderator that leaves is added again only by a resource with subChannelId.\n",
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
            scalar(self.typed.live.channel.as_str())?,
            self.typed.kind
        );
        if self.style.observe {
            text.push_str("  mode: Observe\n");
        }
        text.push_str(if self.declared.is_empty() { "  members: []\n" } else { "  members:\n" });
        for (member, name) in self.declared {
            let _ = write!(text, "    - {}", scalar(member)?);
            match name.filter(|_| self.style.names) {
                Some(name) => _ = writeln!(text, " # {}", escape_comment(name)),
                None => text.push('\n'),
            }
        }
        for (arn, why) in self.left_out {
            let _ = writeln!(text, "    # {}: {why}", escape_comment(arn));
        }
        Ok(text)
    }
}

/// Returns a text as one YAML scalar, in quotes if it would otherwise be read as another value.
fn scalar(text: &str) -> Result<String, WriteError> {
    // A long text would be folded onto lines without the right indentation.
    let plain = serde_yaml::ser_options! { prefer_block_scalars: false };
    let written = serde_yaml::to_string_with_options(&text, plain)
        .map_err(|source| WriteError { text: text.to_owned(), source })?;
    Ok(written.trim_end().to_owned())
}
