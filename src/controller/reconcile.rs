//! What happens when a resource is due?

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use kube::runtime::controller::Action;
use kube::runtime::events::Recorder;
use kube::{Client, ResourceExt as _};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::slots::{Slot, Slots};
use super::store::ClusterStore;
use super::watched::Watched;
use crate::chime::port::Service;
use crate::engine::declaration::Declaration;
use crate::engine::{Engine, Next};

/// After a panic an object rests this long, so that it cannot take the others' turn.
const PANIC_REST: Duration = Duration::from_mins(1);

/// What every reconcile needs.
pub(super) struct Context<S> {
    pub client: Client,
    pub recorder: Recorder,
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
    let resource = format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any());
    // Boxed, so that the thousands that wait in the controller's queue are small.
    let pass = Box::pin(pass(&object, &context, &slot).instrument(tracing::info_span!("pass", resource)));
    let next = AssertUnwindSafe(pass).catch_unwind().await;
    slot.end();
    match next {
        Ok(Next::After(rest)) => Action::requeue(rest),
        Ok(Next::OnChange) => Action::await_change(),
        Ok(Next::AtOnce) => Action::requeue(Duration::ZERO),
        Err(_) => {
            *slot.memory.lock().await = crate::engine::memory::Memory::default();
            tracing::error!(
                resource,
                "a defect of rollcall stopped this pass; it is tried again in {} s",
                PANIC_REST.as_secs()
            );
            Action::requeue(PANIC_REST)
        }
    }
}

async fn pass<S: Service>(object: &Watched, context: &Context<S>, slot: &Slot) -> Next {
    let mut memory = slot.memory.lock().await;
    let cancel = context.shutdown.child_token();
    slot.begin(object, cancel.clone());
    let status = slot.status(object);
    let declaration = Declaration {
        generation: object.metadata.generation.unwrap_or_default(),
        spec: object.spec.0.as_ref().map_err(String::as_str),
        status: status.as_ref(),
        requested_at: object.requested_at(),
    };
    let mut store = ClusterStore { client: &context.client, recorder: &context.recorder, object, slot };
    context.engine.pass(&declaration, &mut memory, &mut store, &cancel).await
}
