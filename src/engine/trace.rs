//! Trace spans of reconciles and listings.

use tracing::Span;
use tracing::field::Empty;

use super::resource::Resource;
use crate::api::ChannelMembershipStatus;
use crate::chime::trace::TARGET;
use crate::membership::arn::ChannelArn;

/// Opens the span of a reconcile.
pub(super) fn reconcile(resource: &Resource) -> Span {
    let span = tracing::info_span!(
        target: TARGET,
        "reconcile",
        rollcall.resource = resource.name,
        rollcall.uid = resource.uid,
        rollcall.generation = resource.generation,
        rollcall.channel = Empty,
        rollcall.reason = Empty,
    );
    if !span.is_disabled()
        && let Ok(spec) = &resource.spec
        && let Ok(channel) = ChannelArn::parse(&spec.channel_arn)
    {
        span.record("rollcall.channel", channel.id());
    }
    span
}

/// Records how the current reconcile ended.
pub(super) fn record_end(status: &ChannelMembershipStatus) {
    if let Some(ready) = status.conditions.first() {
        Span::current().record("rollcall.reason", ready.reason.as_str());
    }
}

/// Opens the span of a listing, which all resources of a channel share. It belongs to the reconcile
/// that requested it first, and goes on without that one.
pub(super) fn listing(channel: &ChannelArn) -> Span {
    tracing::info_span!(target: TARGET, "listing", rollcall.channel = channel.id())
}
