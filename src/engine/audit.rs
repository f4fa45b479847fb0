//! The audit log: one line for each added or removed member, under the target `audit`, so that it
//! can be routed or silenced by itself.

use super::outcome::Outcome;
use crate::membership::arn::MemberArn;

/// The change of a membership.
#[derive(Clone, Copy, Debug)]
pub(super) enum Action {
    Added,
    Removed,
}

/// Logs an action. AWS support and CloudTrail know the call by `request_id`.
pub(super) fn audit(outcome: &Outcome<'_>, action: Action, member: &MemberArn, request_id: Option<&str>) {
    let (resource, target) = (outcome.facts.resource, &outcome.facts.spec.target);
    let approved = outcome.state.record.pending_approval.as_ref().filter(|plan| plan.approved);
    let (action, words) = match action {
        Action::Added => ("add", "added a member"),
        Action::Removed => ("remove", "removed a member"),
    };
    tracing::info!(
        target: "audit",
        action,
        member = member.as_str(),
        resource = resource.name,
        uid = resource.uid,
        generation = resource.generation,
        channel = target.channel.as_str(),
        bearer = target.bearer.as_str(),
        approval = approved.map(|plan| plan.hash.as_str()),
        request_id,
        "{words}"
    );
}
