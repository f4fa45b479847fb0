//! Registration: a resource becomes a declarer of its channel, so that other resources see the
//! members it declares.

use std::sync::Arc;

use jiff::Timestamp;

use super::Engine;
use super::resource::Resource;
use super::session::Session;
use super::settings::Settings;
use super::spec::{InvalidSpec, bearer, declared_members};
use super::store::Wake;
use crate::api::{ChannelMembershipSpec, Prune};
use crate::chime::port::Service;
use crate::membership::arn::ChannelArn;
use crate::membership::declarers::{Declarer, Declarers};
use crate::membership::desired::DesiredMembers;
use crate::membership::spec::ValidSpec;

impl<S: Service> Engine<S> {
    /// Validates the spec of a resource, registers the resource as a declarer, and checks its
    /// grant. A resource without a grant is registered as well: other resources do not remove its
    /// members.
    pub(super) fn validate_and_register(
        &self,
        resource: &Resource,
        session: &mut Session,
        wake: Wake,
    ) -> Result<Arc<ValidSpec>, InvalidSpec> {
        let spec = session.refresh(resource, &self.settings, self.clock.now());
        self.register_declarer(resource, session, wake);
        spec.and_then(|spec| self.authorize(resource, &spec).map(|()| spec))
    }

    /// Registers a resource as a declarer of its channel. A resource that is being deleted declares
    /// no members.
    fn register_declarer(&self, resource: &Resource, session: &mut Session, wake: Wake) {
        if resource.is_deleting() {
            session.registration = None;
            return;
        }
        let Some((version, valid)) = session.parsed() else { return };
        if session.registration.as_ref().is_some_and(|(registered, _)| *registered == version) {
            return;
        }
        let Some(channel) = channel_of(resource) else { return };
        let now = self.clock.now();
        let known = valid.map(|spec| (Arc::clone(&spec.desired), spec.unknown.clone()));
        let Some(declarer) = declarer(resource, &channel, &self.settings, known, now) else { return };
        let before = session.registration.take();
        let missed = before.as_ref().is_some_and(|(before, _)| before.may_have_missed(&version));
        let before = before.map(|(_, registration)| registration);
        let registration = self.registry.register(&channel, declarer, wake, before, missed, now);
        session.registration = Some((version, registration));
    }

    /// Returns the declarers of a channel among resources, by their specs and sources.
    pub fn declarers_among(&self, channel: &ChannelArn, resources: &[Resource]) -> Declarers {
        let now = self.clock.now();
        let declarers = resources.iter().filter_map(|resource| declarer_of(resource, channel, &self.settings, now));
        declarers.map(Arc::new).collect()
    }
}

/// Returns the channel of a resource whose spec can be read that far.
fn channel_of(resource: &Resource) -> Option<ChannelArn> {
    let spec = resource.spec.as_ref().ok()?;
    ChannelArn::parse(&spec.channel_arn).ok()
}

/// Returns a resource of the channel as a declarer; `None` if it is being deleted, because it
/// declares no members then.
pub(super) fn declarer_of(
    resource: &Resource,
    channel: &ChannelArn,
    settings: &Settings,
    now: Timestamp,
) -> Option<Declarer> {
    if resource.is_deleting() {
        return None;
    }
    if let Some(declarer) = declarer(resource, channel, settings, None, now) {
        return Some(declarer);
    }
    let why = resource.spec.as_ref().err().map(|why| format!("its spec cannot be read: {why}"));
    let desired = Arc::new(DesiredMembers::none(channel));
    Some(declare(resource, channel, &ChannelMembershipSpec::default(), settings, desired, why))
}

/// Returns the declarer that a readable spec makes. `known` are its members, if they were computed
/// before.
fn declarer(
    resource: &Resource,
    channel: &ChannelArn,
    settings: &Settings,
    known: Option<(Arc<DesiredMembers>, Option<String>)>,
    now: Timestamp,
) -> Option<Declarer> {
    let spec = resource.spec.as_ref().ok()?;
    let (desired, unknown) = known.unwrap_or_else(|| {
        let unknown_field = resource.unknown_field.as_deref();
        match declared_members(channel, spec, &resource.sources, unknown_field, now) {
            Ok(declared) => (Arc::new(declared.desired), declared.unknown),
            Err(error) => (Arc::new(DesiredMembers::none(channel)), Some(error.to_string())),
        }
    });
    Some(declare(resource, channel, spec, settings, desired, unknown))
}

fn declare(
    resource: &Resource,
    channel: &ChannelArn,
    spec: &ChannelMembershipSpec,
    settings: &Settings,
    desired: Arc<DesiredMembers>,
    unknown: Option<String>,
) -> Declarer {
    Declarer {
        resource: resource.name.as_str().into(),
        uid: resource.uid.as_str().into(),
        created: resource.created,
        membership_type: spec.membership_type,
        desired,
        authoritative: spec.prune == Prune::Authoritative && settings.allow_authoritative,
        bearer: bearer(channel, spec.chime_bearer.as_deref(), settings).ok(),
        unknown: unknown.map(Into::into),
    }
}
