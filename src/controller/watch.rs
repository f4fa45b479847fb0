//! The watches of a cluster, and the reconciles that their events start.

use std::convert::Infallible;
use std::sync::Arc;

use futures::channel::mpsc;
use futures::stream::BoxStream;
use futures::{FutureExt as _, Stream, StreamExt as _, TryStreamExt as _, future, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::core::PartialObjectMeta;
use kube::runtime::controller::{Config, applier};
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::{WatchStreamExt as _, watcher};
use tokio_util::sync::CancellationToken;

use super::cluster::{Cluster, PAGE, api};
use super::config_map_index::ConfigMapIndex;
use super::inflight::ObjectStates;
use super::metrics::{ControllerMetrics, WatchedNamespace};
use super::object::WatchedObject;
use super::predicates::ReconcilePredicates;
use super::reconcile::{Context, reconcile};
use super::watch_liveness::WatchLiveness;
use crate::chime::port::Service;
use crate::engine::Engine;

/// How long a watch lasts before it begins again. A watch that died without an error is then
/// noticed after one minute, not after five.
const WATCH_SECONDS: u32 = 60;

/// The advice if the watch of resources is forbidden.
const RESOURCES: &str =
    "grant list and watch on channelmemberships.rollcall.dev, in all namespaces or those of --watch-namespace";

/// The advice if the watch of ConfigMaps is forbidden.
const CONFIG_MAPS: &str = "grant get, list and watch on configmaps, in all namespaces or those of \
                           --watch-namespace, until then an edit of a ConfigMap is noticed at the next resync only; --members-from=off needs no permission";

/// Both watches of one namespace, or of all namespaces.
struct Watches {
    resources: Api<WatchedObject>,
    config_maps: Api<PartialObjectMeta<ConfigMap>>,
    liveness: (Arc<WatchLiveness>, Arc<WatchLiveness>),
}

/// Reconciles all resources in scope until `shutdown` is cancelled. Then reconciles in flight end,
/// their effects are recorded, and the function returns.
pub async fn run<S: Service>(
    cluster: Arc<Cluster>,
    engine: Arc<Engine<S>>,
    metrics: &Arc<ControllerMetrics>,
    shutdown: CancellationToken,
) {
    let namespaces = cluster.map_namespaces(|namespace| {
        let liveness = (Arc::<WatchLiveness>::default(), Arc::<WatchLiveness>::default());
        let watches = Watches {
            resources: api(liveness.0.observe_client(cluster.client.clone()), namespace),
            config_maps: api(liveness.1.observe_client(cluster.client.clone()), namespace),
            liveness,
        };
        let (due, dues) = mpsc::unbounded();
        let context = Context {
            cluster: Arc::clone(&cluster),
            engine: Arc::clone(&engine),
            states: Arc::default(),
            config_maps: Arc::default(),
            due,
            metrics: Arc::clone(metrics),
            shutdown: shutdown.clone(),
        };
        watch_namespace(watches, Arc::new(context), dues)
    });
    future::join_all(namespaces).await;
}

async fn watch_namespace<S: Service>(
    Watches { resources, config_maps, liveness }: Watches,
    context: Arc<Context<S>>,
    dues: mpsc::UnboundedReceiver<ObjectRef<WatchedObject>>,
) {
    let (reader, writer) = reflector::store();
    context.metrics.add_namespace(WatchedNamespace {
        states: Arc::clone(&context.states),
        reader: reader.clone(),
        due: context.due.clone(),
        resources: Arc::clone(&liveness.0),
        config_maps: context.cluster.reads_sources.then_some(liveness.1),
    });
    let predicates = ReconcilePredicates::new(Arc::clone(&context.states), Arc::clone(&context.config_maps));
    let object_changes = object_changes(resources, writer, predicates, liveness.0);
    let config_map_changes: BoxStream<'static, _> = if context.cluster.reads_sources {
        config_map_changes(config_maps, Arc::clone(&context.states), Arc::clone(&context.config_maps)).boxed()
    } else {
        stream::empty().boxed()
    };
    let due = stream::select(object_changes, stream::select(config_map_changes, dues))
        .map(Ok::<_, Infallible>)
        .take_until(context.shutdown.clone().cancelled_owned());
    let reconcile = |object, context| reconcile(object, context).map(Ok::<_, Infallible>).boxed();
    // Reconciles wait for the rate limiter, which knows their priority, and not for each other.
    // Hence this stream has no limit.
    let reconciles = applier(
        reconcile,
        |_, never: &Infallible, _| match *never {},
        Arc::clone(&context),
        reader,
        due,
        Config::default(),
    );
    reconciles.for_each(|_| future::ready(())).await;
}

/// Streams the objects to reconcile because of an event of the watch.
fn object_changes(
    api: Api<WatchedObject>,
    writer: reflector::store::Writer<WatchedObject>,
    mut predicates: ReconcilePredicates,
    liveness: Arc<WatchLiveness>,
) -> impl Stream<Item = ObjectRef<WatchedObject>> + Send {
    watcher(api, config())
        .default_backoff()
        .reflect(writer)
        .inspect_err(|error| tracing::warn!(%error, "the watch failed and begins again{}", hint(error, RESOURCES)))
        .filter_map(|event| future::ready(event.ok()))
        .inspect(move |event| liveness.record_event(matches!(event, watcher::Event::InitDone)))
        .flat_map(move |event| stream::iter(predicates.due_objects(event)))
}

/// Streams the objects to reconcile because a ConfigMap changed, and cancels their reconciles in
/// flight.
fn config_map_changes(
    api: Api<PartialObjectMeta<ConfigMap>>,
    states: Arc<ObjectStates>,
    index: Arc<ConfigMapIndex>,
) -> impl Stream<Item = ObjectRef<WatchedObject>> + Send {
    watcher(api, config())
        .default_backoff()
        .inspect_err(|error| {
            tracing::warn!(%error, "the watch of ConfigMaps failed and begins again{}", hint(error, CONFIG_MAPS));
        })
        .filter_map(|event| future::ready(event.ok()))
        .flat_map(move |event| stream::iter(index.outdated_by(&event)))
        .map(move |outdated| {
            states.cancel(&outdated.uid);
            outdated.object
        })
}

fn config() -> watcher::Config {
    watcher::Config::default().page_size(PAGE).timeout(WATCH_SECONDS)
}

/// Returns the advice for a watch that cannot begin.
fn hint(error: &watcher::Error, grant: &str) -> String {
    let (watcher::Error::InitialListFailed(kube::Error::Api(status))
    | watcher::Error::WatchStartFailed(kube::Error::Api(status))) = error
    else {
        return String::new();
    };
    match status.code {
        404 => ": the cluster does not know the kind; apply crds/".to_owned(),
        401 => ": the cluster does not accept the credentials; check KUBECONFIG or the service account".to_owned(),
        403 => format!(": {grant}"),
        _ => String::new(),
    }
}
