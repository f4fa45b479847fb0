//! What happens when a resource is due?

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube::runtime::controller::Action;
use kube::runtime::events::Reporter;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::slots::{Slot, Slots};
use super::store::ClusterStore;
use super::watched::Watched;
use crate::chime::port::Service;
use crate::engine::declaration::Declaration;
use crate::engine::{Engine, Next};

/// After a panic an object rests this long, so that it cannot take the others' turn.
const PANIC_REST: Duration = Duration::from_secs(60);

/// What every reconcile needs.
pub(super) struct Context<S> {
    pub client: Client,
    pub reporter: Reporter,
    /// Turns to write to the API server.
    pub writes: Arc<Semaphore>,
    pub engine: Arc<Engine<S>>,
    pub slots: Arc<Slots>,
    pub shutdown: CancellationToken,
}

/// A reconcile has no error: whatever goes wrong is in the status, and says when it is tried again.
pub(super) async fn reconcile<S: Service>(object: Arc<Watched>, context: Arc<Context<S>>) -> Action {
    if object.metadata.deletion_timestamp.is_some() {
        return Action::await_change();
    }
    let slot = context.slots.of(&object);
    // A task of its own, because the controller polls all that are under way whenever one of them moves.
    let span = tracing::info_span!("reconciling", object = %ObjectRef::from_obj(&*object));
    let next = tokio::spawn(pass(object, Arc::clone(&context), Arc::clone(&slot)).instrument(span)).await;
    slot.end();
    match next {
        Ok(Next::After(rest)) => Action::requeue(rest),
        Ok(Next::OnChange) => Action::await_change(),
        Ok(Next::AtOnce) => Action::requeue(Duration::ZERO),
        Err(_) => {
            *slot.memory.lock().await = crate::engine::memory::Memory::default();
            tracing::error!("a defect of rollcall stopped this pass; it is tried again in {} s", PANIC_REST.as_secs());
            Action::requeue(PANIC_REST)
        }
    }
}

async fn pass<S: Service>(object: Arc<Watched>, context: Arc<Context<S>>, slot: Arc<Slot>) -> Next {
    let mut memory = slot.memory.lock().await;
    let cancel = context.shutdown.child_token();
    slot.begin(&object, cancel.clone());
    let status = slot.status(&object);
    let declaration = Declaration {
        generation: object.metadata.generation.unwrap_or_default(),
        spec: object.spec.0.as_ref().map_err(String::as_str),
        status: status.as_ref(),
        requested_at: object.requested_at(),
    };
    let Context { client, reporter, writes, .. } = &*context;
    let mut store = ClusterStore { client, reporter, writes, object: &object, slot: &slot };
    context.engine.pass(&declaration, &mut memory, &mut store, &cancel).await
}
