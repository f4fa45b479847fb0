//! What happens when a resource is due?

use std::future::{self, Future};
use std::sync::Arc;
use std::time::Duration;

use futures::channel::mpsc;
use kube::ResourceExt as _;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::cluster::{CallFailure, Cluster};
use super::slots::{Slot, Slots, Standing};
use super::sources::Sources;
use super::store::{ClusterStore, Identity};
use super::vitals::{Outcome, Vitals};
use super::watched::Watched;
use crate::api::metadata::resource;
use crate::chime::port::Service;
use crate::engine::resource::{Resource, Source};
use crate::engine::session::Session;
use crate::engine::store::Wake;
use crate::engine::{Engine, Requeue};

/// After a panic an object rests this long, so that it cannot take the others' turn.
const PANIC_REST: Duration = Duration::from_mins(1);

/// When the API server does not say what the sources hold, it is asked again after this.
const AWAY_REST: Duration = Duration::from_secs(5);

/// What every reconcile needs.
pub(super) struct Context<S> {
    pub cluster: Arc<Cluster>,
    pub engine: Arc<Engine<S>>,
    pub slots: Arc<Slots>,
    pub sources: Arc<Sources>,
    /// What is sent here is due.
    pub due: mpsc::UnboundedSender<ObjectRef<Watched>>,
    pub vitals: Arc<Vitals>,
    pub shutdown: CancellationToken,
}

/// A reconcile has no error: whatever goes wrong is in the status, and says when it is tried again.
///
/// What is done before the future is first polled matters: from there on, a newer version of the object ends the pass.
pub(super) fn reconcile<S: Service>(
    object: Arc<Watched>,
    context: Arc<Context<S>>,
) -> impl Future<Output = Action> + Send {
    let slot = context.slots.of(&object);
    let cancel = context.shutdown.child_token();
    slot.begin(&object, cancel.clone());
    async move {
        let resource = resource(&object.metadata);
        let span = tracing::info_span!("pass", resource);
        // A task of its own, because the controller polls all that are under way whenever one of them moves.
        let vitals = Arc::clone(&context.vitals);
        let began = Instant::now();
        vitals.began();
        let next =
            tokio::spawn(noticed(pass(object, context, Arc::clone(&slot), cancel), &slot).instrument(span)).await;
        slot.end();
        let outcome = match &next {
            Ok(Requeue::AtOnce) => Outcome::Interrupted,
            Ok(_) => Outcome::Done,
            Err(_) => Outcome::Panicked,
        };
        vitals.ended(outcome, began.elapsed());
        match next {
            Ok(Requeue::After(rest)) => Action::requeue(rest),
            Ok(Requeue::OnChange) => Action::await_change(),
            Ok(Requeue::AtOnce) => Action::requeue(Duration::ZERO),
            Err(_) => {
                *slot.memory.lock().await = Session::default();
                let seconds = PANIC_REST.as_secs();
                tracing::error!(resource, "a defect of rollcall stopped this pass; it is tried again in {seconds} s");
                Action::requeue(PANIC_REST)
            }
        }
    }
}

/// A pass that lets its slot know whenever it does something.
fn noticed<F: Future>(pass: F, slot: &Arc<Slot>) -> impl Future<Output = F::Output> + use<F> {
    let (mut pass, slot) = (Box::pin(pass), Arc::clone(slot));
    future::poll_fn(move |context| {
        slot.moved();
        pass.as_mut().poll(context)
    })
}

async fn pass<S: Service>(
    object: Arc<Watched>,
    context: Arc<Context<S>>,
    slot: Arc<Slot>,
    cancel: CancellationToken,
) -> Requeue {
    let mut memory = slot.memory.lock().await;
    let sources = match cancel.run_until_cancelled(sources(&object, &context)).await {
        None | Some(Ok(None)) => return Requeue::AtOnce,
        Some(Ok(Some(sources))) => sources,
        Some(Err(failure)) => {
            let seconds = AWAY_REST.as_secs();
            tracing::warn!(error = %failure, "failed to read the sources of members; tried again in {seconds} s");
            return Requeue::After(AWAY_REST);
        }
    };
    let Standing { version, status, has_finalizer } = slot.standing(&object);
    let identity = identity(&object);
    let (spec, unknown_field) = (object.spec.value.clone(), object.spec.unknown_field.clone());
    let resource = Resource::new(&object.metadata, spec, unknown_field, sources);
    let resource = Resource { version, status, has_finalizer, ..resource };
    let (due, reference) = (context.due.clone(), ObjectRef::from_obj(&*object));
    // Nobody receives any more when the process stops: then nothing is due.
    let wake: Wake = Arc::new(move || drop(due.unbounded_send(reference.clone())));
    let store = ClusterStore::new(Arc::clone(&context.cluster), identity.clone(), wake);
    context.engine.reconcile(&resource, &mut memory, &mut store.remembering(slot.clone()), &cancel).await
}

fn identity(object: &Watched) -> Identity {
    Identity {
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        uid: object.uid().unwrap_or_default(),
    }
}

/// What the sources of members hold; nothing if one changed while they were read. Fails when the API server is away.
async fn sources<S>(object: &Watched, context: &Context<S>) -> Result<Option<Vec<Source>>, CallFailure> {
    let Identity { namespace, uid, .. } = identity(object);
    let wanted: Vec<_> = object.references().map(|reference| (&*namespace, reference)).collect();
    let places = wanted.iter().map(|(_, reference)| (namespace.clone(), reference.name.clone())).collect();
    context.sources.begin(&uid, &ObjectRef::from_obj(object), &places);
    let reading = context.cluster.read_keys(&wanted).await?;
    let changed = context.sources.end(&uid, &reading.versions);
    Ok((!changed).then_some(reading.sources))
}

#[cfg(test)]
pub(super) mod tests;
