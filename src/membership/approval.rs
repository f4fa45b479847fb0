//! Approval: which removals and additions wait until a person approves them.
//!
//! A plan that exceeds a limit, or that looks like a mistake, waits as one set in `status.pendingApproval`. The annotation
//! [`crate::api::APPROVE`] with its hash lets exactly that set through.

use super::arn::display_name;
use super::digest;
use super::guard::{Admitted, Proposal, Protected};
use super::member_set::NameSet;
use super::ownership::{declared_by_others, older_authoritative_owner};
use super::plan::{Situation, State};
use super::record::Record;
use super::removal::{approval_input, is_due, is_removable};
use super::spec::ValidSpec;
use crate::api::{ApprovalReason, PendingApproval, Prune, Tolerance};

/// The most names that one approval covers; a larger plan is approved in parts.
pub const MAX_APPROVAL_MEMBERS: usize = 2_000;

/// What decides whether removals need approval.
#[derive(Clone, Copy, Debug)]
pub struct ApprovalInput<'a> {
    /// `limits.removals`.
    pub limit: Tolerance,
    /// The number of removals in the last 24 hours, including those under way.
    pub counted: usize,
    /// The members whose removal is under way, and counted.
    pub removing: &'a NameSet,
    /// The number of members that the limit is a part of: the live owned members, or all of the type for `Authoritative`.
    /// Members whose removal is under way are not among them.
    pub others: usize,
    /// Whether the resource declares no members any more, and not because it expired.
    pub none_declared: bool,
    /// Whether it declares fewer members though neither its spec nor a source changed, and it did not expire.
    pub shrank: bool,
    /// The members whose declarer is gone.
    pub orphans: &'a NameSet,
    /// Whether the resource itself is being deleted: its removals were asked for twice.
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

/// Returns the due members that no missing approval blocks: all of them if no approval is needed; the approved ones while an
/// approved plan is carried out; otherwise only the ones whose removal is under way already.
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

/// Returns the names that one approval covers, each with a sign: the first [`MAX_APPROVAL_MEMBERS`] of the removals, then the additions.
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

/// Returns the members that the approved plan removes (`-`) or adds (`+`); `None` if there are none, or no approved plan.
pub fn approved_members(spec: &ValidSpec, record: &Record, sign: char) -> Option<NameSet> {
    let plan = record.pending_approval.as_ref().filter(|plan| plan.approved)?;
    Some(members_of(spec, plan, sign)).filter(|names| !names.is_empty())
}

/// Returns the members that a plan names with a sign.
fn members_of(spec: &ValidSpec, plan: &PendingApproval, sign: char) -> NameSet {
    let channel = &spec.target.channel;
    let names = plan.members.iter().filter_map(|name| channel.name(name.strip_prefix(sign)?).ok());
    let names: Vec<_> = names.collect();
    names.iter().map(|name| &**name).collect()
}

/// Returns the plan that needs approval, as far as that is known now.
pub fn pending_approval(
    now: &Situation<'_>,
    state: &State,
    candidates: &NameSet,
    on_hold: &NameSet,
) -> Option<PendingApproval> {
    let (mut reasons, mut remove) = (Vec::new(), &NameSet::default());
    if now.declarers.unknown().is_none() {
        let due = candidates.iter().any(|name| is_due(now, state, name));
        let orphans = declared_by_others(now, state, now.declarers).orphans;
        let found = approval_reasons(candidates, &approval_input(now, state, &orphans));
        // A set that shrank without an edit is judged at once: a later reconcile could not tell any more.
        if !found.is_empty() && (due || found.contains(&ApprovalReason::ShrankUnchanged)) {
            (reasons, remove) = (found, candidates);
        }
    }
    if !on_hold.is_empty() {
        reasons.push(ApprovalReason::TooManyAdditions);
    }
    if reasons.is_empty() {
        return None;
    }
    reasons.sort_unstable();
    let signed = signed_names(remove, on_hold);
    let narrow = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Some(PendingApproval {
        additions: narrow(on_hold.len()),
        removals: narrow(remove.len()),
        hash: hash(&signed),
        reasons,
        members: signed.iter().collect(),
        approved: false,
    })
}

/// Marks the plan that the status shows as approved, if the annotation approves it and it is still the plan.
/// Returns whether that happened now.
pub fn accept_approval(now: &Situation<'_>, candidates: &NameSet, on_hold: &NameSet, state: &mut State) -> bool {
    if state.record.handled_approval.as_deref() != now.approval {
        state.record.handled_approval = None;
    }
    let given = approval_matches(now, state, candidates, on_hold);
    if let Some(plan) = state.record.pending_approval.as_mut().filter(|_| given) {
        plan.approved = true;
    }
    given
}

/// Returns whether the annotation approves the plan that the status shows, and that plan is still the one that needs approval.
pub fn approval_matches(now: &Situation<'_>, state: &State, candidates: &NameSet, on_hold: &NameSet) -> bool {
    let shown = state.record.pending_approval.as_ref().filter(|plan| !plan.approved);
    let unused = state.record.handled_approval.is_none();
    shown.filter(|plan| unused && now.approval == Some(&plan.hash)).is_some_and(|shown| {
        pending_approval(now, state, candidates, on_hold).is_some_and(|plan| plan.hash == shown.hash)
    })
}

/// Moves the approval on at the end of a reconcile: an approved plan that is carried out makes room for the plan that needs
/// approval now. Returns whether an approved plan was completed.
pub fn advance_approval(now: &Situation<'_>, candidates: &NameSet, on_hold: &NameSet, state: &mut State) -> bool {
    let mut completed = false;
    if let Some(plan) = state.record.pending_approval.as_ref().filter(|plan| plan.approved) {
        if !is_completed(now, state) {
            return false;
        }
        state.record.handled_approval = Some(plan.hash.clone());
        state.record.pending_approval = None;
        state.notes.shrank = false;
        completed = true;
    }
    let shown = state.record.pending_approval.take();
    let pending = pending_approval(now, state, candidates, on_hold);
    if pending.is_none() && shown.as_ref().is_some_and(|shown| must_stand(now, state, shown)) {
        state.record.pending_approval = shown;
        return completed;
    }
    if let Some(plan) = &pending
        && shown.is_none_or(|shown| shown.hash != plan.hash)
        && now.approval == Some(&plan.hash)
    {
        // The annotation was there before this plan was shown, so no person has read the plan.
        state.record.handled_approval = Some(plan.hash.clone());
    }
    state.record.pending_approval = pending;
    completed
}

/// Returns whether a plan that an earlier process showed stands until it can be judged again.
fn must_stand(now: &Situation<'_>, state: &State, shown: &PendingApproval) -> bool {
    older_authoritative_owner(now.uid, now.spec, now.declarers).is_none()
        && members_of(now.spec, shown, '-').iter().any(|name| {
            // A member that the resource does not own no longer matters once it asks for less than all members.
            let meant = now.spec.prune == Prune::Authoritative || state.record.owned.names().contains(name);
            meant && is_removable(now, state, name) && !is_due(now, state, name)
        })
}

/// Returns whether nothing of the approved plan is left to do.
fn is_completed(now: &Situation<'_>, state: &State) -> bool {
    let removed = |name: &str| !is_removable(now, state, name);
    let added = |name: &str| {
        now.view.has(name) || !now.spec.desired.names().contains(name) || state.notes.errors.get(name).is_some()
    };
    approved_members(now.spec, &state.record, '-').unwrap_or_default().iter().all(removed)
        && approved_members(now.spec, &state.record, '+').unwrap_or_default().iter().all(added)
}
