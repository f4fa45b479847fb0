//! The order law: what is about to be done stands in a status before it is done. Checked in every
//! run of the test cluster.
//!
//! - A member is added only after a status recorded it as owned, unless the resource never prunes.
//! - A member is deleted only after a status counted its removal, and after a description that came
//!   later than that count and later than every earlier delete of the member.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::{ChannelMembershipSpec, ChannelMembershipStatus, MemberList, Prune};

/// A channel's id, and a member's short id.
type MemberKey = (String, String);

/// Everything that was recorded and done so far, by a sequence number.
#[derive(Default)]
pub struct OrderLaw {
    sequence: u64,
    /// True once a resource was created. Before that the resources live elsewhere, such as in
    /// files.
    has_resources: bool,
    /// Members that a resource with `prune: Never` declared: it records nothing.
    unrecorded: BTreeSet<MemberKey>,
    /// Channels for which such a resource declares members by a source, whose text is not known
    /// here.
    unrecorded_sources: BTreeSet<String>,
    owned: BTreeSet<MemberKey>,
    /// When each resource first counted a removal that it still counts.
    counted: BTreeMap<MemberKey, BTreeMap<String, u64>>,
    described: BTreeMap<MemberKey, u64>,
    deleted: BTreeMap<MemberKey, u64>,
}

fn channel_of(spec: &ChannelMembershipSpec) -> String {
    spec.channel_arn.rsplit('/').next().unwrap_or_default().to_owned()
}

fn members_of<'a>(channel: &'a str, list: Option<&'a MemberList>) -> impl Iterator<Item = MemberKey> + 'a {
    let names = list.into_iter().flat_map(MemberList::iter);
    names.map(move |name| (channel.to_owned(), super::world::short(name)))
}

impl OrderLaw {
    fn next(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// Takes in a spec as it was written.
    pub fn take_spec(&mut self, spec: &ChannelMembershipSpec) {
        self.has_resources = true;
        if spec.prune == Prune::Never {
            let channel = channel_of(spec);
            self.unrecorded.extend(members_of(&channel, spec.members.as_ref()));
            if !spec.members_from.is_empty() {
                self.unrecorded_sources.insert(channel);
            }
        }
    }

    /// Takes in a status as an operator wrote it.
    pub fn take_status(&mut self, resource: &str, spec: &ChannelMembershipSpec, status: &ChannelMembershipStatus) {
        let (channel, now) = (channel_of(spec), self.next());
        self.owned.extend(members_of(&channel, status.last_declared.as_ref()));
        let removing: BTreeSet<MemberKey> = members_of(&channel, status.removing.as_ref()).collect();
        for member in &removing {
            self.counted.entry(member.clone()).or_default().entry(resource.to_owned()).or_insert(now);
        }
        for (_, counted) in self.counted.iter_mut().filter(|(member, _)| !removing.contains(*member)) {
            counted.remove(resource);
        }
    }

    /// Checks an add that is about to have its effect.
    pub fn check_add(&mut self, channel: &str, ids: &[String]) {
        for id in ids {
            let member = (channel.to_owned(), id.clone());
            let recorded = !self.has_resources
                || self.owned.contains(&member)
                || self.unrecorded.contains(&member)
                || self.unrecorded_sources.contains(channel);
            assert!(recorded, "{id} is added to {channel}, and no status recorded it before");
        }
    }

    /// Takes in a description of a membership.
    pub fn take_description(&mut self, channel: &str, id: &str) {
        let now = self.next();
        self.described.insert((channel.to_owned(), id.to_owned()), now);
    }

    /// Checks a delete that is about to have its effect.
    pub fn check_delete(&mut self, channel: &str, id: &str) {
        let (member, now) = ((channel.to_owned(), id.to_owned()), self.next());
        let described = self.described.get(&member).copied().unwrap_or_default();
        let counted = self.counted.get(&member).and_then(|by| by.values().min()).copied();
        assert!(
            !self.has_resources || counted.is_some_and(|counted| counted < described),
            "{id} is deleted from {channel} without a status that counts it and a description after that"
        );
        let deleted = self.deleted.insert(member, now).unwrap_or_default();
        assert!(
            !self.has_resources || deleted < described,
            "{id} is deleted from {channel} twice after one description"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tests::world::spec;

    fn status(owned: &[&str], removing: &[&str]) -> ChannelMembershipStatus {
        let list = |names: &[&str]| Some(names.iter().collect());
        ChannelMembershipStatus { last_declared: list(owned), removing: list(removing), ..Default::default() }
    }

    fn pruning(members: &[&str]) -> ChannelMembershipSpec {
        ChannelMembershipSpec { prune: Prune::Owned, ..spec(members) }
    }

    #[test]
    #[should_panic(expected = "no status recorded it before")]
    fn add_before_its_record_fails() {
        let mut law = OrderLaw::default();
        law.take_spec(&pruning(&["a"]));
        law.check_add("support", &["a".to_owned()]);
    }

    #[test]
    #[should_panic(expected = "without a status that counts it")]
    fn delete_before_its_count_fails() {
        let mut law = OrderLaw::default();
        law.take_spec(&pruning(&["a"]));
        law.take_status("care/main", &pruning(&["a"]), &status(&["a"], &[]));
        law.take_description("support", "a");
        law.check_delete("support", "a");
    }

    #[test]
    #[should_panic(expected = "twice after one description")]
    fn second_delete_without_a_description_fails() {
        let mut law = OrderLaw::default();
        law.take_spec(&pruning(&[]));
        law.take_status("care/main", &pruning(&[]), &status(&["a"], &["a"]));
        law.take_description("support", "a");
        law.check_delete("support", "a");
        law.check_delete("support", "a");
    }

    #[test]
    fn recorded_add_and_counted_delete_pass() {
        let mut law = OrderLaw::default();
        law.take_spec(&spec(["b"]));
        law.take_status("care/main", &pruning(&["a"]), &status(&["a"], &["a"]));
        law.check_add("support", &["a".to_owned(), "b".to_owned()]);
        law.take_description("support", "a");
        law.check_delete("support", "a");
    }
}
