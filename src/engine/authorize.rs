//! Authorization: whether the grants allow a namespace what a resource asks for, at this moment.

use super::Engine;
use super::io::Io;
use super::outcome::Outcome;
use super::progress::ProgressReport;
use super::resource::Resource;
use super::spec::InvalidSpec;
use super::stop::Stop;
use crate::api::Reason;
use crate::chime::port::Service;
use crate::membership::grants::AccessRequest;
use crate::membership::spec::ValidSpec;

impl<S: Service> Engine<S> {
    /// Checks the grant of a resource.
    pub(super) fn authorize(&self, resource: &Resource, spec: &ValidSpec) -> Result<(), InvalidSpec> {
        // The cleanup of a deleted resource removes by another rule than the one that was
        // requested.
        let prune = resource.spec.as_ref().map_or(spec.prune, |spec| spec.prune);
        let request = AccessRequest {
            namespace: resource.namespace(),
            channel: &spec.target.channel,
            bearer: &spec.target.bearer,
            prune,
        };
        self.settings.grants.decide(&request).map_err(|(denial, source)| InvalidSpec {
            reason: Reason::NotGranted,
            message: format!("{denial}, so nothing is done: ask the operator's administrator for a grant in {source}"),
            channel: Some(spec.target.channel.id().to_owned()),
        })
    }
}

impl<S: Service, P: ProgressReport> Io<'_, S, P> {
    /// Checks the grant again: grants may be taken back during a reconcile.
    pub(super) fn still_authorized(&self, outcome: &Outcome<'_>) -> Result<(), Stop> {
        let authorized = self.engine.authorize(outcome.facts.resource, &outcome.facts.spec);
        authorized.map_err(|invalid| Stop::Invalid(invalid.reason, invalid.message))
    }
}
