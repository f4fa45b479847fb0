//! Which resources are watched, and how does a change of one start a pass?

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

use super::changes::Changes;
use super::cluster::{Cluster, PAGE, api};
use super::pulse::Pulse;
use super::reconcile::{Context, reconcile};
use super::slots::Slots;
use super::sources::Sources;
use super::vitals::{Part, Vitals};
use super::watched::Watched;
use crate::chime::port::Service;
use crate::engine::Engine;

/// A watch is begun again after so long, so that one which died without a word is missed for a minute and not for five.
const WATCH_SECONDS: u32 = 60;

/// What has to be granted for the watch of resources.
const RESOURCES: &str =
    "grant list and watch on channelmemberships.rollcall.dev, in all namespaces or those of --watch-namespace";

/// What has to be granted for the watch of ConfigMaps.
const CONFIG_MAPS: &str = "until you grant get, list and watch on configmaps, in all namespaces or those of \
                           --watch-namespace, an edit of one is seen at the next resync only; --members-from=off needs no right on them";

/// Both watches of a part of the cluster.
struct Watches {
    resources: Api<Watched>,
    config_maps: Api<PartialObjectMeta<ConfigMap>>,
    pulses: (Arc<Pulse>, Arc<Pulse>),
}

/// Carries out all resources in scope until `shutdown` is cancelled; then passes under way end, what they did is recorded,
/// and it returns.
pub async fn run<S: Service>(
    cluster: Arc<Cluster>,
    engine: Arc<Engine<S>>,
    vitals: &Arc<Vitals>,
    shutdown: CancellationToken,
) {
    let parts = cluster.parts(|namespace| {
        let pulses = (Arc::<Pulse>::default(), Arc::<Pulse>::default());
        let watches = Watches {
            resources: api(pulses.0.of(cluster.client.clone()), namespace),
            config_maps: api(pulses.1.of(cluster.client.clone()), namespace),
            pulses,
        };
        let (due, dues) = mpsc::unbounded();
        let context = Context {
            cluster: Arc::clone(&cluster),
            engine: Arc::clone(&engine),
            slots: Arc::default(),
            sources: Arc::default(),
            due,
            vitals: Arc::clone(vitals),
            shutdown: shutdown.clone(),
        };
        carry_out(watches, Arc::new(context), dues)
    });
    future::join_all(parts).await;
}

async fn carry_out<S: Service>(
    Watches { resources, config_maps, pulses }: Watches,
    context: Arc<Context<S>>,
    dues: mpsc::UnboundedReceiver<ObjectRef<Watched>>,
) {
    let (reader, writer) = reflector::store();
    context.vitals.add(Part {
        slots: Arc::clone(&context.slots),
        reader: reader.clone(),
        due: context.due.clone(),
        resources: Arc::clone(&pulses.0),
        config_maps: context.cluster.reads_sources.then_some(pulses.1),
    });
    let changes = Changes::new(Arc::clone(&context.slots), Arc::clone(&context.sources));
    let changes = self::changes(resources, writer, changes, pulses.0);
    let edits: BoxStream<'static, _> = if context.cluster.reads_sources {
        edits(config_maps, Arc::clone(&context.slots), Arc::clone(&context.sources)).boxed()
    } else {
        stream::empty().boxed()
    };
    let due = stream::select(changes, stream::select(edits, dues))
        .map(Ok::<_, Infallible>)
        .take_until(context.shutdown.clone().cancelled_owned());
    let reconcile = |object, context| reconcile(object, context).map(Ok::<_, Infallible>).boxed();
    // Passes wait for the pacer, which knows their urgency, and not for each other: hence no limit here.
    let passes = applier(
        reconcile,
        |_, never: &Infallible, _| match *never {},
        Arc::clone(&context),
        reader,
        due,
        Config::default(),
    );
    passes.for_each(|_| future::ready(())).await;
}

/// Objects over which a pass is due because of what the watch shows.
fn changes(
    api: Api<Watched>,
    writer: reflector::store::Writer<Watched>,
    mut changes: Changes,
    pulse: Arc<Pulse>,
) -> impl Stream<Item = ObjectRef<Watched>> + Send {
    watcher(api, config())
        .default_backoff()
        .reflect(writer)
        .inspect_err(|error| tracing::warn!(%error, "the watch failed and is begun again{}", hint(error, RESOURCES)))
        .filter_map(|event| future::ready(event.ok()))
        .inspect(move |event| pulse.event(matches!(event, watcher::Event::InitDone)))
        .flat_map(move |event| stream::iter(changes.of(event)))
}

/// Objects over which a pass is due because a ConfigMap changed; the passes under way over them end early.
fn edits(
    api: Api<PartialObjectMeta<ConfigMap>>,
    slots: Arc<Slots>,
    sources: Arc<Sources>,
) -> impl Stream<Item = ObjectRef<Watched>> + Send {
    watcher(api, config())
        .default_backoff()
        .inspect_err(|error| {
            tracing::warn!(%error, "the watch of ConfigMaps failed and is begun again{}", hint(error, CONFIG_MAPS));
        })
        .filter_map(|event| future::ready(event.ok()))
        .flat_map(move |event| stream::iter(sources.changed(&event)))
        .map(move |outdated| {
            slots.outdated(&outdated.uid);
            outdated.object
        })
}

fn config() -> watcher::Config {
    watcher::Config::default().page_size(PAGE).timeout(WATCH_SECONDS)
}

/// What to do about a watch that cannot begin.
fn hint(error: &watcher::Error, grant: &str) -> String {
    let (watcher::Error::InitialListFailed(kube::Error::Api(status))
    | watcher::Error::WatchStartFailed(kube::Error::Api(status))) = error
    else {
        return String::new();
    };
    match status.code {
        404 => ": the cluster does not know the kind; apply crds/".to_owned(),
        401 => ": the cluster does not know who we are; check KUBECONFIG or the service account".to_owned(),
        403 => format!(": {grant}"),
        _ => String::new(),
    }
}
