//! The entry of a reconcile: it reads the sources of a resource and calls the engine.

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
use super::config_map_index::ConfigMapIndex;
use super::inflight::{ObjectState, ObjectStates, ObjectView};
use super::metrics::{ControllerMetrics, ReconcileResult};
use super::object::WatchedObject;
use super::store::{ClusterStore, Identity};
use crate::api::metadata::resource;
use crate::chime::port::Service;
use crate::engine::resource::{Resource, Source};
use crate::engine::session::Session;
use crate::engine::store::Wake;
use crate::engine::{Engine, Requeue};

/// An object waits this long after a panic, so that it cannot take the turn of others.
const RETRY_AFTER_PANIC: Duration = Duration::from_mins(1);

/// The delay after the API server failed to return a source.
const RETRY_AFTER_READ_FAILURE: Duration = Duration::from_secs(5);

/// The values that every reconcile uses.
pub(super) struct Context<S> {
    pub cluster: Arc<Cluster>,
    pub engine: Arc<Engine<S>>,
    pub states: Arc<ObjectStates>,
    pub config_maps: Arc<ConfigMapIndex>,
    /// An object that is sent here is reconciled.
    pub due: mpsc::UnboundedSender<ObjectRef<WatchedObject>>,
    pub metrics: Arc<ControllerMetrics>,
    pub shutdown: CancellationToken,
}

/// Reconciles an object. A reconcile returns no error: the status shows every fault and when it is
/// tried again.
///
/// The code before the returned future matters: from there on, a newer version of the object
/// cancels this reconcile.
pub(super) fn reconcile<S: Service>(
    object: Arc<WatchedObject>,
    context: Arc<Context<S>>,
) -> impl Future<Output = Action> + Send {
    let state = context.states.state_of(&object);
    let cancel = context.shutdown.child_token();
    state.begin(&object, cancel.clone());
    async move {
        let resource = resource(&object.metadata);
        let span = tracing::info_span!("reconcile", resource);
        // The controller polls all reconciles in flight whenever one of them wakes, so each runs in
        // a task of its own.
        let metrics = Arc::clone(&context.metrics);
        let began = Instant::now();
        metrics.count_start();
        let next = tokio::spawn(
            with_activity(reconcile_object(object, context, Arc::clone(&state), cancel), &state).instrument(span),
        )
        .await;
        state.end();
        let outcome = match &next {
            Ok(Requeue::AtOnce) => ReconcileResult::Interrupted,
            Ok(_) => ReconcileResult::Done,
            Err(_) => ReconcileResult::Panicked,
        };
        metrics.count_end(outcome, began.elapsed());
        match next {
            Ok(Requeue::After(rest)) => Action::requeue(rest),
            Ok(Requeue::OnChange) => Action::await_change(),
            Ok(Requeue::AtOnce) => Action::requeue(Duration::ZERO),
            Err(_) => {
                *state.session.lock().await = Session::default();
                let seconds = RETRY_AFTER_PANIC.as_secs();
                tracing::error!(
                    resource,
                    "a defect of rollcall stopped this reconcile; rollcall tries again in {seconds} s"
                );
                Action::requeue(RETRY_AFTER_PANIC)
            }
        }
    }
}

/// Runs a reconcile and records its activity each time it is polled.
fn with_activity<F: Future>(future: F, state: &Arc<ObjectState>) -> impl Future<Output = F::Output> + use<F> {
    let (mut future, state) = (Box::pin(future), Arc::clone(state));
    future::poll_fn(move |context| {
        state.touch();
        future.as_mut().poll(context)
    })
}

async fn reconcile_object<S: Service>(
    object: Arc<WatchedObject>,
    context: Arc<Context<S>>,
    state: Arc<ObjectState>,
    cancel: CancellationToken,
) -> Requeue {
    let mut session = state.session.lock().await;
    let sources = match cancel.run_until_cancelled(read_sources(&object, &context)).await {
        None | Some(Ok(None)) => return Requeue::AtOnce,
        Some(Ok(Some(sources))) => sources,
        Some(Err(failure)) => {
            let seconds = RETRY_AFTER_READ_FAILURE.as_secs();
            tracing::warn!(error = %failure, "failed to read the sources of members; rollcall tries again in {seconds} s");
            return Requeue::After(RETRY_AFTER_READ_FAILURE);
        }
    };
    let ObjectView { version, status, has_finalizer } = state.view(&object);
    let identity = identity(&object);
    let (spec, unknown_field) = (object.spec.value.clone(), object.spec.unknown_field.clone());
    let resource = Resource::new(&object.metadata, spec, unknown_field, sources);
    let resource = Resource { version, status, has_finalizer, ..resource };
    let (due, reference) = (context.due.clone(), ObjectRef::from_obj(&*object));
    // When the process stops, the receiver is gone and nothing needs to be reconciled.
    let wake: Wake = Arc::new(move || drop(due.unbounded_send(reference.clone())));
    let store = ClusterStore::new(Arc::clone(&context.cluster), identity.clone(), wake);
    context.engine.reconcile(&resource, &mut session, &mut store.with_state(state.clone()), &cancel).await
}

fn identity(object: &WatchedObject) -> Identity {
    Identity {
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        uid: object.uid().unwrap_or_default(),
    }
}

/// Reads the sources of members. Returns `None` if a source changed during the read. Fails if the
/// API server does not answer.
async fn read_sources<S>(object: &WatchedObject, context: &Context<S>) -> Result<Option<Vec<Source>>, CallFailure> {
    let Identity { namespace, uid, .. } = identity(object);
    let wanted: Vec<_> = object.references().map(|reference| (&*namespace, reference)).collect();
    let places = wanted.iter().map(|(_, reference)| (namespace.clone(), reference.name.clone())).collect();
    context.config_maps.begin_read(&uid, &ObjectRef::from_obj(object), &places);
    let reading = context.cluster.read_keys(&wanted).await?;
    let changed = context.config_maps.end_read(&uid, &reading.versions);
    Ok((!changed).then_some(reading.sources))
}

#[cfg(test)]
pub(super) mod tests;
