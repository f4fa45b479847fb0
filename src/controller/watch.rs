//! Which resources are watched, and how does a change of one start a pass?

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;

use futures::{FutureExt as _, Stream, StreamExt as _, TryStreamExt as _, future, stream};
use kube::runtime::controller::{Config, applier};
use kube::runtime::events::Reporter;
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::changes::Changes;
use super::reconcile::{Context, reconcile};
use super::slots::Slots;
use super::store::WRITES_AT_ONCE;
use super::watched::Watched;
use crate::chime::port::Service;
use crate::engine::Engine;

/// How many objects the API server sends in one page of the first list: a page of large ones stays at some megabytes.
const PAGE: u32 = 100;

/// A watch is begun again after so long, so that one which died without a word is missed for a minute and not for five.
const WATCH_SECONDS: u32 = 60;

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
        // One named twice would be carried out twice.
        Scope::Namespaces(names) => names
            .iter()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .map(|name| Api::namespaced(client.clone(), name))
            .collect(),
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

/// Objects over which a pass is due because of what the watch shows.
fn changes(
    api: Api<Watched>,
    writer: reflector::store::Writer<Watched>,
    slots: Arc<Slots>,
) -> impl Stream<Item = Result<ObjectRef<Watched>, Infallible>> + Send {
    let mut changes = Changes::new(slots);
    watcher(api, watcher::Config::default().page_size(PAGE).timeout(WATCH_SECONDS))
        .default_backoff()
        .reflect(writer)
        .inspect_err(|error| tracing::warn!(%error, "the watch failed and is begun again{}", hint(error)))
        .filter_map(|event| future::ready(event.ok()))
        .flat_map(move |event| stream::iter(changes.of(event)))
        .map(Ok)
}

/// What to do about a watch that cannot begin.
fn hint(error: &watcher::Error) -> &'static str {
    let (watcher::Error::InitialListFailed(kube::Error::Api(status))
    | watcher::Error::WatchStartFailed(kube::Error::Api(status))) = error
    else {
        return "";
    };
    match status.code {
        404 => ": the cluster does not know the kind; apply crds/",
        401 => ": the cluster does not know who we are; check KUBECONFIG or the service account",
        403 => {
            ": grant list and watch on channelmemberships.rollcall.dev, in all namespaces or those of --watch-namespace"
        }
        _ => "",
    }
}
