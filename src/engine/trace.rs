//! What does a trace tell of a pass?

use tracing::Span;
use tracing::field::Empty;

use super::declaration::Declaration;
use crate::api::ChannelMembershipStatus;
use crate::chime::trace::TARGET;
use crate::membership::arn::ChannelArn;

/// A pass over a resource.
pub(super) fn pass(declaration: &Declaration<'_>) -> Span {
    let span = tracing::info_span!(
        target: TARGET,
        "pass",
        rollcall.resource = declaration.resource,
        rollcall.uid = declaration.uid,
        rollcall.generation = declaration.generation,
        rollcall.channel = Empty,
        rollcall.reason = Empty,
    );
    if !span.is_disabled()
        && let Some(channel) = declaration.spec.ok().and_then(|spec| ChannelArn::parse(&spec.channel_arn).ok())
    {
        span.record("rollcall.channel", channel.id());
    }
    span
}

/// What the pass under way came to.
pub(super) fn ended(status: &ChannelMembershipStatus) {
    if let Some(ready) = status.conditions.first() {
        Span::current().record("rollcall.reason", ready.reason.as_str());
    }
}

/// A listing that all resources of a channel share. It is a part of the pass that asked for it first, and goes on without it.
pub(super) fn listing(channel: &ChannelArn) -> Span {
    tracing::info_span!(target: TARGET, "listing", rollcall.channel = channel.id())
}
