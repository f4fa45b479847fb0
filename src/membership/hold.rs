//! Which removals and additions wait for somebody's approval?

use super::arn::short;
use super::digest;
use super::guard::{Admitted, Proposal, Protected};
use super::names::NameSet;
use crate::api::{ApprovalReason, Tolerance};

/// The most names that one approval covers; a larger plan is approved in parts.
pub const MAX_APPROVAL_MEMBERS: usize = 2_000;

/// What decides whether removals wait.
#[derive(Clone, Copy, Debug)]
pub struct Removals<'a> {
    /// `limits.removals`.
    pub limit: Tolerance,
    /// How many were removed in the last 24 hours, those who are being removed among them.
    pub counted: usize,
    /// Who is being removed, and counted, already.
    pub removing: &'a NameSet,
    /// How many were there of whom the limit is a part: the live claims, or for `Authoritative` all of the type. Those who are being
    /// removed are not among them.
    pub others: usize,
    /// The resource declares no members any more, and not because it expired.
    pub no_members_declared: bool,
    /// It declares fewer though neither its spec nor a source changed, and it did not expire.
    pub shrank: bool,
    /// Whom a resource declared that is gone.
    pub orphans: &'a NameSet,
    /// The resource itself is being deleted: this was asked for twice.
    pub deleting: bool,
}

/// Why these removals wait; empty if they need not.
pub fn approval_reasons(proposed: &NameSet, removals: &Removals<'_>) -> Vec<ApprovalReason> {
    let mut reasons = Vec::new();
    let fresh = proposed.iter().filter(|name| !removals.removing.contains(name)).count();
    if fresh > 0
        && !removals.deleting
        && removals.counted + fresh > removals.limit.of(removals.others + removals.counted)
    {
        reasons.push(ApprovalReason::TooManyRemovals);
    }
    if fresh > 0 && removals.no_members_declared && !removals.deleting {
        reasons.push(ApprovalReason::NoMembersDeclared);
    }
    if fresh > 0 && removals.shrank && !removals.deleting {
        reasons.push(ApprovalReason::ShrankUnchanged);
    }
    if proposed.iter().any(|name| removals.orphans.contains(name)) {
        reasons.push(ApprovalReason::DeclarerGone);
    }
    reasons
}

/// Those of a proposal who are `ready` and whom nothing holds: of all, where there is no reason to wait; of those whom `approved`
/// names, where a plan is being carried out that somebody approved; else of those whose removal was begun.
pub fn passing(
    proposed: &NameSet,
    removals: &Removals<'_>,
    approved: Option<&NameSet>,
    ready: impl Fn(&str) -> bool,
) -> NameSet {
    let wait = !approval_reasons(proposed, removals).is_empty();
    let passes = |name: &str| match approved {
        Some(approved) => approved.contains(name),
        // What was begun is brought to its end.
        None => !wait || removals.removing.contains(name) && !removals.orphans.contains(name),
    };
    proposed.iter().filter(|name| ready(name) && passes(name)).collect()
}

/// Lets through whom [`passing`] names.
pub fn admit(
    proposal: Proposal,
    removals: &Removals<'_>,
    approved: Option<&NameSet>,
    ready: impl Fn(&str) -> bool,
    protected: Protected,
) -> Admitted {
    let passing = passing(proposal.names(), removals, approved, ready);
    Admitted::new(proposal.only(|name| passing.contains(name)), protected)
}

/// What approval lets through: the first [`MAX_APPROVAL_MEMBERS`] of those to remove, then of those to add, each with its sign.
pub fn signed<'a>(remove: &'a NameSet, add: &'a NameSet) -> Vec<String> {
    let remove = remove.iter().map(|name| format!("-{}", short(name)));
    let add = add.iter().map(|name| format!("+{}", short(name)));
    remove.chain(add).take(MAX_APPROVAL_MEMBERS).collect()
}

/// The digest that approval names: over these signed names, in whatever order, and nothing else.
pub fn hash<T: AsRef<str>>(signed: &[T]) -> String {
    let mut sorted: Vec<&str> = signed.iter().map(AsRef::as_ref).collect();
    sorted.sort_unstable();
    digest::of(sorted)
}
