//! What is the object of a channel called, so that it always is, and no other is?
//!
//! A channel's id holds up to 64 letters of either case, digits and `:-_.@` (service model, `ChannelId`); an object's name is a DNS
//! subdomain of lower-case letters, digits, `-` and `.`. An id of lower-case letters, digits and inner hyphens is the name itself. Of any
//! other, what is left of it is followed by a dot and a part of the SHA-256 of the channel's ARN. The other parts of a name also follow
//! a dot, which no id that is taken as it is has, and neither reads as a hash.

use std::collections::HashSet;

use sha2::{Digest as _, Sha256};

use crate::api::MembershipType;
use crate::membership::arn::ChannelArn;

/// The longest id that is taken as it is: with all that may follow, a name has at most 63 characters, so that it fits a label.
const MOST: usize = 52;

/// What is kept of an id that is not.
const KEPT: usize = 34;

/// 64 bits: among a million channels, two have the same by a chance of 1 in 37 million.
const HASH_BYTES: usize = 8;

/// The names of channels' objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Naming {
    /// Whether ids of several app instances meet, and may be the same.
    several: bool,
}

impl Naming {
    /// For all these channels together.
    pub fn of(channels: &[ChannelArn]) -> Self {
        let instances: HashSet<&str> = channels.iter().map(ChannelArn::app_instance).collect();
        Self { several: instances.len() > 1 }
    }

    /// The name of a channel's first object, and of its file: a function of the ARN, so it is the same next time.
    pub fn name(self, channel: &ChannelArn) -> String {
        let id = channel.id();
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        // Both ends of an id are letters or digits.
        if !self.several && id.len() <= MOST && id.bytes().all(legal) {
            return id.to_owned();
        }
        let mut kept: String = id
            .bytes()
            .map(|byte| byte.to_ascii_lowercase())
            .map(|byte| if legal(byte) { char::from(byte) } else { '-' })
            .collect();
        kept.truncate(KEPT);
        let digest = Sha256::digest(channel.as_str().as_bytes());
        digest
            .iter()
            .take(HASH_BYTES)
            .fold(format!("{}.", kept.trim_end_matches('-')), |name, byte| format!("{name}{byte:02x}"))
    }
}

/// The name of the object that declares the members of a type.
pub(super) fn of_type(name: &str, kind: MembershipType) -> String {
    match kind {
        MembershipType::Default => name.to_owned(),
        MembershipType::Hidden => format!("{name}.hidden"),
    }
}

/// The name of one of several objects that declare them; that of the first does not change when there are more.
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

    /// Every object that a channel could have.
    fn all_names(name: &str) -> Vec<String> {
        let types = [MembershipType::Default, MembershipType::Hidden].map(|kind| of_type(name, kind));
        types.iter().flat_map(|name| [0, 1, 99].map(|part| of_part(name, part))).collect()
    }

    #[test]
    fn an_id_that_is_a_name_is_taken_and_any_other_is_told_apart_by_its_hash() {
        assert_eq!(name("support"), "support");
        assert_eq!(name("0f0a1b2c-3d4e-5f60-7182-93a4b5c6d7e8"), "0f0a1b2c-3d4e-5f60-7182-93a4b5c6d7e8");
        assert_eq!(name("Support"), "support.d303692874d65916");
        assert_eq!(name("care.night"), "care-night.c49312e31bb19e6c");
    }

    #[test]
    fn channels_of_several_app_instances_do_not_meet() {
        let other = ChannelArn::parse("arn:aws:chime:us-east-1:123456789012:app-instance/2e/channel/support").unwrap();
        let channels = [channel("support"), other];
        let naming = Naming::of(&channels);
        let [one, other] = channels.each_ref().map(|channel| naming.name(channel));
        assert!(one != other && one.starts_with("support.") && is_subdomain(&one), "{one} {other}");
    }

    fn id() -> impl Strategy<Value = String> {
        // Short ones of few letters, so that they are much alike; and any.
        prop_oneof![
            "[aA2]([aA2:_.@-]|hidden){0,6}[aA2]",
            "[A-Za-z0-9]([A-Za-z0-9:_.@-]{0,62}[A-Za-z0-9])?",
            "[a-z0-9]{1,4}[.]([0-9a-f]{16}|hidden|2|hidden[.]2)",
        ]
    }

    proptest! {
        #[test]
        fn every_id_has_legal_names_and_no_two_ids_share_one(ids in prop::collection::btree_set(id(), 2..40)) {
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
