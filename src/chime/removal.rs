//! Permission to delete a member, for tests. It is obtained as the operator obtains it, because
//! there is no other way.

use jiff::Timestamp;

use super::port::{Membership, Target};
use crate::api::{Prune, Tolerance};
use crate::membership::claims::Claims;
use crate::membership::guard::{Case, Proposal, Protected, Removal, Verdict};
use crate::membership::hold::{self, Removals};
use crate::membership::names::NameSet;
use crate::membership::roll::Roll;

/// Returns the removal of a member that a resource with this target added, and that is undeclared
/// now.
pub(crate) fn of(target: &Target, name: &str) -> Removal {
    let (them, nobody) = ([name].into_iter().collect::<NameSet>(), NameSet::default());
    let proposal = Proposal::new(&Case {
        channel: &target.channel,
        membership_type: target.membership_type,
        prune: Prune::Owned,
        claims: &Claims::new(them.clone(), None, Vec::new()),
        live: &them,
        roll: &Roll::default(),
    });
    let removals = Removals {
        limit: Tolerance::Count(1),
        counted: 0,
        removing: &nobody,
        others: 0,
        no_members_declared: false,
        shrank: false,
        orphans: &nobody,
        deleting: false,
    };
    let protected = Protected::new(vec![target.bearer.clone()], [], [], Some("the creator")).unwrap();
    let membership = Membership {
        membership_type: Some(target.membership_type),
        invited_by: Some(target.bearer.as_str().to_owned()),
        created: None,
    };
    match hold::admit(proposal, &removals, None, |_| true, protected).witness(
        name,
        Some(&membership),
        Timestamp::UNIX_EPOCH,
    ) {
        Verdict::Remove(removal) => removal,
        refused => panic!("{refused:?}"),
    }
}
