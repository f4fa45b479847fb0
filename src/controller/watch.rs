//! Which resources are watched, and how does a change of one start a pass?

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt as _, Stream, StreamExt as _, TryStreamExt as _, future};
use kube::runtime::controller::{Config, applier};
use kube::runtime::events::Reporter;
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::reconcile::{Context, reconcile};
use super::slots::Slots;
use super::store::WRITES_AT_ONCE;
use super::watched::Watched;
use crate::chime::port::Service;
use crate::engine::Engine;

/// How many objects the API server sends in one page of the first list: a page of large ones stays at some megabytes.
const PAGE: u32 = 100;

/// Which namespaces are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of the cluster.
    Cluster,
    /// These.
    Namespaces(Vec<String>),
}

/// Carries out all resources in scope until `shutdown` is cancelled; then passes under way end, what they did is recorded,
/// and it returns.
pub async fn run<S: Service>(client: Client, scope: Scope, engine: Arc<Engine<S>>, shutdown: CancellationToken) {
    let reporter = Reporter::from("rollcall");
    let writes = Arc::new(Semaphore::new(WRITES_AT_ONCE));
    let apis = match scope {
        Scope::Cluster => vec![Api::all(client.clone())],
        Scope::Namespaces(names) => names.iter().map(|name| Api::namespaced(client.clone(), name)).collect(),
    };
    future::join_all(apis.into_iter().map(|api| {
        let context = Context {
            client: client.clone(),
            reporter: reporter.clone(),
            writes: Arc::clone(&writes),
            engine: Arc::clone(&engine),
            slots: Arc::default(),
            shutdown: shutdown.clone(),
        };
        carry_out(api, Arc::new(context))
    }))
    .await;
}

async fn carry_out<S: Service>(api: Api<Watched>, context: Arc<Context<S>>) {
    let (reader, writer) = reflector::store();
    let changes =
        changes(api, writer, Arc::clone(&context.slots)).take_until(context.shutdown.clone().cancelled_owned());
    let reconcile = |object, context| reconcile(object, context).map(Ok::<_, Infallible>).boxed();
    // Passes wait for the pacer, which knows their urgency, and not for each other: hence no limit here.
    let passes = applier(
        reconcile,
        |_, never: &Infallible, _| match *never {},
        Arc::clone(&context),
        reader,
        changes,
        Config::default(),
    );
    passes.for_each(|_| future::ready(())).await;
}

/// Objects that are new or have changed in what a pass depends on; our own status writes are none of that.
fn changes(
    api: Api<Watched>,
    writer: reflector::store::Writer<Watched>,
    slots: Arc<Slots>,
) -> impl Stream<Item = Result<ObjectRef<Watched>, watcher::Error>> + Send {
    let mut listed = Vec::new();
    watcher(api, watcher::Config::default().page_size(PAGE))
        .default_backoff()
        .reflect(writer)
        .inspect_ok(move |event| slots.notice(event, &mut listed))
        .inspect_err(|error| tracing::warn!(%error, "the watch failed and is begun again"))
        .applied_objects()
        .predicate_filter(trigger_hash, kube::runtime::PredicateConfig::default().ttl(FOREVER))
        .map_ok(|object| ObjectRef::from_obj(&object))
        .filter(|change| future::ready(change.is_ok()))
}

/// How long a filter remembers an object it has not seen: the default of an hour would start a pass for each relist.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

fn trigger_hash(object: &Watched) -> Option<u64> {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    object.trigger().hash(&mut hasher);
    Some(hasher.finish())
}
