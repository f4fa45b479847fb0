//! Names of the objects that declare a channel: one channel always gets the same name, and no other
//! channel gets it.
//!
//! A channel's id has up to 64 letters of either case, digits and `:-_.@` (service model,
//! `ChannelId`). An object's name is a DNS subdomain of lower-case letters, digits, `-` and `.`. An
//! id of lower-case letters, digits and inner hyphens is the name itself. Any other id is reduced
//! to such characters, and a dot and a part of the SHA-256 of the channel's ARN follow. The other
//! parts of a name follow a dot too. An id that is used unchanged has no dot, and no such part
//! looks like a hash.

use std::collections::HashSet;

use sha2::{Digest as _, Sha256};

use crate::api::MembershipType;
use crate::membership::arn::ChannelArn;

/// The longest id that is used unchanged: with all that may follow, a name has at most 63
/// characters and fits a label.
const MAX_UNCHANGED_ID: usize = 52;

/// How much is kept of any other id.
const KEPT_CHARACTERS: usize = 34;

/// A hash of 64 bits: among a million channels, two share one by a chance of 1 in 37 million.
const HASH_BYTES: usize = 8;

/// The names of the objects of a set of channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Naming {
    /// True if the channels are of several app instances, so that two ids may be equal.
    several: bool,
}

impl Naming {
    /// Creates the naming for all these channels together.
    pub fn of(channels: &[ChannelArn]) -> Self {
        let instances: HashSet<&str> = channels.iter().map(ChannelArn::app_instance).collect();
        Self { several: instances.len() > 1 }
    }

    /// Returns the name of a channel's first object and of its file. It depends on the ARN alone,
    /// so it never changes.
    pub fn name(self, channel: &ChannelArn) -> String {
        let id = channel.id();
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        // Both ends of an id are letters or digits.
        if !self.several && id.len() <= MAX_UNCHANGED_ID && id.bytes().all(legal) {
            return id.to_owned();
        }
        let mut kept: String = id
            .bytes()
            .map(|byte| byte.to_ascii_lowercase())
            .map(|byte| if legal(byte) { char::from(byte) } else { '-' })
            .collect();
        kept.truncate(KEPT_CHARACTERS);
        let digest = Sha256::digest(channel.as_str().as_bytes());
        digest
            .iter()
            .take(HASH_BYTES)
            .fold(format!("{}.", kept.trim_end_matches('-')), |name, byte| format!("{name}{byte:02x}"))
    }
}

/// Returns the name of the object that declares the members of a type.
pub(super) fn of_type(name: &str, kind: MembershipType) -> String {
    match kind {
        MembershipType::Default => name.to_owned(),
        MembershipType::Hidden => format!("{name}.hidden"),
    }
}

/// Returns the name of one of several objects of a type. The first object keeps its name when more
/// are added.
pub(super) fn of_part(name: &str, part: usize) -> String {
    if part == 0 { name.to_owned() } else { format!("{name}.{}", part + 1) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INSTANCE: &str = "arn:aws:chime:us-east-1:123456789012:app-instance/1f";

    fn channel(id: &str) -> ChannelArn {
        ChannelArn::parse(&format!("{INSTANCE}/channel/{id}")).unwrap()
    }

    fn name(id: &str) -> String {
        let channel = channel(id);
        Naming::of(std::slice::from_ref(&channel)).name(&channel)
    }

    /// Kubernetes, "Object names and IDs": DNS subdomain names.
    fn is_subdomain(name: &str) -> bool {
        let is_label = |label: &str| {
            !label.is_empty()
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        name.len() <= 63 && name.split('.').all(is_label)
    }

    /// Returns the name of every object that a channel could have.
    fn all_names(name: &str) -> Vec<String> {
        let types = [MembershipType::Default, MembershipType::Hidden].map(|kind| of_type(name, kind));
        types.iter().flat_map(|name| [0, 1, 99].map(|part| of_part(name, part))).collect()
    }

    #[test]
    fn id_that_is_a_valid_name_is_kept_and_any_other_gets_a_hash() {
        assert_eq!(name("support"), "support");
        assert_eq!(name("0f0a1b2c-3d4e-5f60-7182-93a4b5c6d7e8"), "0f0a1b2c-3d4e-5f60-7182-93a4b5c6d7e8");
        assert_eq!(name("Support"), "support.d303692874d65916");
        assert_eq!(name("care.night"), "care-night.c49312e31bb19e6c");
    }

    #[test]
    fn channels_of_several_app_instances_have_different_names() {
        let other = ChannelArn::parse("arn:aws:chime:us-east-1:123456789012:app-instance/2e/channel/support").unwrap();
        let channels = [channel("support"), other];
        let naming = Naming::of(&channels);
        let [one, other] = channels.each_ref().map(|channel| naming.name(channel));
        assert!(one != other && one.starts_with("support.") && is_subdomain(&one), "{one} {other}");
    }

    fn id() -> impl Strategy<Value = String> {
        // Short ids of few letters are much alike. The second pattern yields any id.
        prop_oneof![
            "[aA2]([aA2:_.@-]|hidden){0,6}[aA2]",
            "[A-Za-z0-9]([A-Za-z0-9:_.@-]{0,62}[A-Za-z0-9])?",
            "[a-z0-9]{1,4}[.]([0-9a-f]{16}|hidden|2|hidden[.]2)",
        ]
    }

    proptest! {
        #[test]
        fn every_id_has_valid_names_of_its_own(ids in prop::collection::btree_set(id(), 2..40)) {
            let mut seen = HashSet::new();
            for id in ids {
                for name in all_names(&name(&id)) {
                    prop_assert!(is_subdomain(&name), "{id}: {name}");
                    prop_assert!(seen.insert(name.clone()), "{id}: {name} is taken");
                }
            }
        }
    }
}
