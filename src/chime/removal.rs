//! Removals for tests, obtained in the operator's own way: there is no other one.

use jiff::Timestamp;

use super::port::{Membership, Target};
use crate::api::{Prune, Tolerance};
use crate::membership::approval::{self, ApprovalInput};
use crate::membership::declarers::Declarers;
use crate::membership::guard::{Proposal, Protected, Removal, RemovalInput, Verdict};
use crate::membership::member_set::NameSet;
use crate::membership::ownership::Ownership;

/// Returns the right to remove a member that a resource with this target added, and that is
/// undeclared now.
pub(crate) fn of(target: &Target, name: &str) -> Removal {
    let (member, none) = ([name].into_iter().collect::<NameSet>(), NameSet::default());
    let proposal = Proposal::new(&RemovalInput {
        channel: &target.channel,
        membership_type: target.membership_type,
        prune: Prune::Owned,
        owned: &Ownership::new(member.clone(), None, Vec::new()),
        live: &member,
        declarers: &Declarers::default(),
    });
    let input = ApprovalInput {
        limit: Tolerance::Count(1),
        counted: 0,
        removing: &none,
        others: 0,
        none_declared: false,
        shrank: false,
        orphans: &none,
        deleting: false,
    };
    let protected = Protected::new(vec![target.bearer.clone()], [], [], Some("the creator")).unwrap();
    let membership = Membership {
        membership_type: Some(target.membership_type),
        invited_by: Some(target.bearer.as_str().to_owned()),
        created: None,
    };
    let admitted = approval::admit(proposal, &input, None, |_| true, protected);
    match admitted.witness(name, Some(&membership), Timestamp::UNIX_EPOCH) {
        Verdict::Remove(removal) => removal,
        refused => panic!("{refused:?}"),
    }
}
