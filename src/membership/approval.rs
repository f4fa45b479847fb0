//! Approval: which removals and additions wait until a person approves them.
//!
//! A plan that exceeds a limit, or that looks like a mistake, waits as one set in
//! `status.pendingApproval`. The annotation [`crate::api::APPROVE`] with its hash lets exactly that
//! set through.

use super::arn::display_name;
use super::digest;
use super::guard::{Admitted, Proposal, Protected};
use super::member_set::NameSet;
use super::record::Record;
use super::spec::ValidSpec;
use crate::api::{ApprovalReason, PendingApproval, Tolerance};

/// The most names that one approval covers; a larger plan is approved in parts.
pub const MAX_APPROVAL_MEMBERS: usize = 2_000;

/// The inputs that decide whether removals need approval.
#[derive(Clone, Copy, Debug)]
pub struct ApprovalInput<'a> {
    /// `limits.removals`.
    pub limit: Tolerance,
    /// The number of removals in the last 24 hours, including those under way.
    pub counted: usize,
    /// The members whose removal is under way, and counted.
    pub removing: &'a NameSet,
    /// The number of members that the limit is a part of: the live owned members, or all of the
    /// type for `Authoritative`. Members whose removal is under way are not among them.
    pub others: usize,
    /// True if the resource declares no members any more, and not because it expired.
    pub none_declared: bool,
    /// True if it declares fewer members though neither its spec nor a source changed, and it did
    /// not expire.
    pub shrank: bool,
    /// The members whose declarer is gone.
    pub orphans: &'a NameSet,
    /// True if the resource itself is being deleted: its removals were asked for twice.
    pub deleting: bool,
}

/// Returns why these removals need approval; empty if they do not.
pub fn approval_reasons(proposed: &NameSet, input: &ApprovalInput<'_>) -> Vec<ApprovalReason> {
    let mut reasons = Vec::new();
    let fresh = proposed.iter().filter(|name| !input.removing.contains(name)).count();
    if fresh > 0 && !input.deleting {
        if input.counted + fresh > input.limit.of(input.others + input.counted) {
            reasons.push(ApprovalReason::TooManyRemovals);
        }
        if input.none_declared {
            reasons.push(ApprovalReason::NoMembersDeclared);
        }
        if input.shrank {
            reasons.push(ApprovalReason::ShrankUnchanged);
        }
    }
    if proposed.iter().any(|name| input.orphans.contains(name)) {
        reasons.push(ApprovalReason::DeclarerGone);
    }
    reasons
}

/// Returns the due members that no missing approval blocks: all of them if no approval is needed;
/// the approved ones while an approved plan is carried out; otherwise only the ones whose removal
/// is under way already.
pub fn within_limits(
    proposed: &NameSet,
    input: &ApprovalInput<'_>,
    approved: Option<&NameSet>,
    due: impl Fn(&str) -> bool,
) -> NameSet {
    let blocked = !approval_reasons(proposed, input).is_empty();
    let passes = |name: &str| match approved {
        Some(approved) => approved.contains(name),
        None => !blocked || input.removing.contains(name) && !input.orphans.contains(name),
    };
    proposed.iter().filter(|name| due(name) && passes(name)).collect()
}

/// Admits the members of a proposal that [`within_limits`] returns.
pub(crate) fn admit(
    proposal: Proposal,
    input: &ApprovalInput<'_>,
    approved: Option<&NameSet>,
    due: impl Fn(&str) -> bool,
    protected: Protected,
) -> Admitted {
    let admitted = within_limits(proposal.names(), input, approved, due);
    Admitted::new(proposal.only(|name| admitted.contains(name)), protected)
}

/// Returns the names that one approval covers, each with a sign: the first [`MAX_APPROVAL_MEMBERS`]
/// of the removals, then the additions.
pub fn signed_names<'a>(remove: &'a NameSet, add: &'a NameSet) -> Vec<String> {
    let remove = remove.iter().map(|name| format!("-{}", display_name(name)));
    let add = add.iter().map(|name| format!("+{}", display_name(name)));
    remove.chain(add).take(MAX_APPROVAL_MEMBERS).collect()
}

/// Returns the digest of signed names, in any order. An approval names this digest.
pub fn hash<T: AsRef<str>>(signed: &[T]) -> String {
    let mut sorted: Vec<&str> = signed.iter().map(AsRef::as_ref).collect();
    sorted.sort_unstable();
    digest::of(sorted)
}

/// Returns the members that the approved plan removes (`-`) or adds (`+`); `None` if there are
/// none, or no approved plan.
pub fn approved_members(spec: &ValidSpec, record: &Record, sign: char) -> Option<NameSet> {
    let plan = record.pending_approval.as_ref().filter(|plan| plan.approved)?;
    Some(members_of(spec, plan, sign)).filter(|names| !names.is_empty())
}

/// Returns the members that a plan names with a sign.
pub(super) fn members_of(spec: &ValidSpec, plan: &PendingApproval, sign: char) -> NameSet {
    let channel = &spec.target.channel;
    let names = plan.members.iter().filter_map(|name| channel.name(name.strip_prefix(sign)?).ok());
    let names: Vec<_> = names.collect();
    names.iter().map(|name| &**name).collect()
}
