//! Who was added or removed, for which resource, and on whose word?
//!
//! One line of the log for each member, of the target `audit`, so that it can be sent elsewhere or silenced by itself.

use super::pass::Pass;
use super::store::Store;
use crate::chime::port::Service;
use crate::membership::arn::MemberArn;

/// What became of a member.
#[derive(Clone, Copy, Debug)]
pub(super) enum Action {
    Added,
    Removed,
}

impl<S: Service, T: Store> Pass<'_, S, T> {
    /// Notes it down. `request_id` is the service's, by which AWS support and CloudTrail know the call.
    pub(super) fn audit(&self, action: Action, member: &MemberArn, request_id: Option<&str>) {
        let approval = self
            .ledger
            .pending_approval
            .as_ref()
            .filter(|pending| pending.approved)
            .map(|pending| pending.hash.as_str());
        let (action, words) = match action {
            Action::Added => ("add", "added a member"),
            Action::Removed => ("remove", "removed a member"),
        };
        tracing::info!(
            target: "audit",
            action,
            member = member.as_str(),
            resource = self.declaration.resource,
            uid = self.declaration.uid,
            generation = self.declaration.generation,
            channel = self.intent.target.channel.as_str(),
            bearer = self.intent.target.bearer.as_str(),
            approval,
            request_id,
            "{words}"
        );
    }
}
