//! What happens when a resource is due?

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use kube::runtime::controller::Action;
use kube::runtime::events::Reporter;
use kube::{Client, ResourceExt as _};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::slots::{Slot, Slots};
use super::store::ClusterStore;
use super::watched::Watched;
use crate::chime::port::Service;
use crate::engine::declaration::Declaration;
use crate::engine::memory::Memory;
use crate::engine::{Engine, Next};

/// After a panic an object rests this long, so that it cannot take the others' turn.
const PANIC_REST: Duration = Duration::from_mins(1);

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
        let resource = format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any());
        let span = tracing::info_span!("pass", resource);
        // A task of its own, because the controller polls all that are under way whenever one of them moves.
        let next = tokio::spawn(pass(object, context, Arc::clone(&slot), cancel).instrument(span)).await;
        slot.end();
        match next {
            Ok(Next::After(rest)) => Action::requeue(rest),
            Ok(Next::OnChange) => Action::await_change(),
            Ok(Next::AtOnce) => Action::requeue(Duration::ZERO),
            Err(_) => {
                *slot.memory.lock().await = Memory::default();
                let seconds = PANIC_REST.as_secs();
                tracing::error!(resource, "a defect of rollcall stopped this pass; it is tried again in {seconds} s");
                Action::requeue(PANIC_REST)
            }
        }
    }
}

async fn pass<S: Service>(
    object: Arc<Watched>,
    context: Arc<Context<S>>,
    slot: Arc<Slot>,
    cancel: CancellationToken,
) -> Next {
    if object.metadata.deletion_timestamp.is_some() {
        return Next::OnChange;
    }
    let mut memory = slot.memory.lock().await;
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

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;
    use std::sync::Mutex;

    use http::{Request, Response};
    use jiff::Timestamp;
    use kube::client::Body;

    use super::*;
    use crate::chime::client::Client as Chime;
    use crate::chime::pace::{Pacer, Rates};
    use crate::chime::port::{BatchAnswer, CallError, Membership, Page, Target};
    use crate::engine::clock::Clock;
    use crate::engine::settings::Settings;
    use crate::membership::arn::MemberArn;

    const INSTANCE: &str = "arn:aws:chime:us-east-1:123456789012:app-instance/1f";

    /// A service with a defect of its own: it panics over one channel.
    struct Defective;

    impl Service for Defective {
        async fn list_page(&self, _: &Target, _: Option<&str>) -> Result<Page, CallError> {
            Ok(Page::default())
        }

        async fn batch_create(&self, target: &Target, members: &[MemberArn]) -> Result<BatchAnswer, CallError> {
            assert!(target.channel.id() != "cursed", "the test's own panic");
            let added = members.iter().map(|member| member.as_str().to_owned()).collect();
            Ok(BatchAnswer { added, errors: Vec::new() })
        }

        async fn describe(&self, _: &Target, _: &MemberArn) -> Result<Option<Membership>, CallError> {
            Ok(None)
        }
    }

    fn object(channel: &str) -> Arc<Watched> {
        let spec = serde_json::json!({"channelArn": format!("{INSTANCE}/channel/{channel}"), "members": ["alice"]});
        let metadata = serde_json::json!({"name": channel, "namespace": "n", "uid": channel, "generation": 1});
        let object = serde_json::json!({"metadata": metadata, "spec": spec}).to_string();
        Arc::new(serde_json::from_str(&object).unwrap())
    }

    #[tokio::test]
    async fn an_object_over_which_a_pass_panics_rests_and_the_others_go_on() {
        let paths = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&paths);
        let server = tower::service_fn(move |request: Request<Body>| {
            written.lock().unwrap().push(request.uri().path().to_owned());
            let answer = Body::from(br#"{"metadata":{"resourceVersion":"1"}}"#.to_vec());
            std::future::ready(Ok::<_, std::io::Error>(Response::new(answer)))
        });
        let client = Client::new(server, "n");
        let shutdown = CancellationToken::new();
        let settings = Settings {
            bearers: vec![MemberArn::parse(&format!("{INSTANCE}/user/rollcall")).unwrap()],
            allow_bearer_override: false,
            resync_interval: Duration::from_hours(1),
            min_resync_interval: Duration::from_secs(10),
            custom_endpoint: None,
        };
        let chime = Chime::new(Arc::new(Defective), Arc::new(Pacer::new(Rates::UNLIMITED, NonZeroU16::MAX)));
        let clock = Clock::starting_at(Timestamp::UNIX_EPOCH);
        let context = Arc::new(Context {
            client,
            reporter: Reporter::from("test"),
            writes: Arc::new(Semaphore::new(1)),
            engine: Arc::new(Engine::new(chime, settings, clock, shutdown.clone())),
            slots: Arc::default(),
            shutdown,
        });
        assert_eq!(reconcile(object("cursed"), Arc::clone(&context)).await, Action::requeue(PANIC_REST));
        reconcile(object("blessed"), Arc::clone(&context)).await;
        assert_eq!(reconcile(object("cursed"), context).await, Action::requeue(PANIC_REST), "it is not stuck");
        let statuses: Vec<String> =
            paths.lock().unwrap().iter().filter(|path| path.ends_with("/status")).cloned().collect();
        assert_eq!(statuses, ["/apis/rollcall.dev/v1alpha1/namespaces/n/channelmemberships/blessed/status"]);
    }
}
