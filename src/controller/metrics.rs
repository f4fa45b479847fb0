//! Metrics and health of the controller and of the resources that it reconciles.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::channel::mpsc;
use kube::ResourceExt as _;
use kube::runtime::reflector::{ObjectRef, Store};
use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use super::inflight::ObjectStates;
use super::object::WatchedObject;
use super::watch_liveness::WatchLiveness;
use crate::api::{ChannelMembershipStatus, Reason};
use crate::ops::health::Health;
use crate::ops::metrics::{Metrics, MetricsWriter};

/// A watch without a sign of life for this long is stuck. It begins again every minute, and a call
/// that the API server does not answer ends after two minutes.
const WATCH_SILENCE: Duration = Duration::from_mins(5);

/// A reconcile without activity for this long is stuck. A reconcile that waits for its turn wakes
/// up every few seconds, and at least every five minutes.
const RECONCILE_SILENCE: Duration = Duration::from_mins(15);

/// How a reconcile ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ReconcileResult {
    /// The reconcile reached its end. Its findings are in the status.
    Done,
    /// A newer version cancelled it.
    Interrupted,
    /// A defect of Rollcall stopped it.
    Panicked,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

/// The metrics of a controller and of its resources.
pub struct ControllerMetrics {
    namespaces: Mutex<Vec<WatchedNamespace>>,
    reconciles: Family<ResultLabel, Counter>,
    seconds: Histogram,
    in_flight: Gauge,
}

/// One namespace that is watched by itself, or all namespaces at once.
pub(super) struct WatchedNamespace {
    pub states: Arc<ObjectStates>,
    pub reader: Store<WatchedObject>,
    /// An object that is sent here is reconciled.
    pub due: mpsc::UnboundedSender<ObjectRef<WatchedObject>>,
    pub resources: Arc<WatchLiveness>,
    /// `None` if ConfigMaps are not watched.
    pub config_maps: Option<Arc<WatchLiveness>>,
}

impl Default for ControllerMetrics {
    fn default() -> Self {
        let metrics = Self {
            namespaces: Mutex::default(),
            reconciles: Family::default(),
            // From a reconcile that the last listing answers to one that waits long for its turn:
            // 10 ms to 90 min.
            seconds: Histogram::new(exponential_buckets(0.01, 3.0, 13)),
            in_flight: Gauge::default(),
        };
        for outcome in [ReconcileResult::Done, ReconcileResult::Interrupted, ReconcileResult::Panicked] {
            metrics.counter(outcome);
        }
        metrics
    }
}

impl ControllerMetrics {
    /// Registers the metrics. `per_resource` adds a gauge for each resource.
    pub fn register_metrics(self: &Arc<Self>, metrics: &mut Metrics, per_resource: bool) {
        metrics.register("reconciles", "Reconciles that ended, by result", self.reconciles.clone());
        metrics.register(
            "reconcile_duration_seconds",
            "How long reconciles took, their waits included",
            self.seconds.clone(),
        );
        metrics.register(
            "reconciles_in_flight",
            "Reconciles in flight, those that wait included",
            self.in_flight.clone(),
        );
        let this = Arc::clone(self);
        metrics.add_collector(move |writer| this.write(writer, per_resource));
    }

    /// Registers the health checks. The process is alive while watches and reconciles show
    /// activity, and ready once all watches have shown a complete list. `waits` returns whether
    /// another process leads, so that there is nothing to reconcile yet.
    pub fn register_checks(self: &Arc<Self>, health: &mut Health, waits: impl Fn() -> bool + Send + Sync + 'static) {
        let metrics = Arc::clone(self);
        health.add_liveness_check(move || metrics.stuck().map_or(Ok(()), Err));
        let metrics = Arc::clone(self);
        health.add_readiness_check(move || {
            if waits() || metrics.is_synced() {
                Ok(())
            } else {
                Err("the watch has not shown all resources yet".into())
            }
        });
    }

    /// Enqueues every resource: a setting that holds for all of them has changed.
    pub fn enqueue_all(&self) {
        for namespace in self.namespaces.lock().iter() {
            for resource in namespace.reader.state() {
                // When the process stops, the receiver is gone and nothing needs to be reconciled.
                drop(namespace.due.unbounded_send(ObjectRef::from_obj(&*resource)));
            }
        }
    }

    pub(super) fn add_namespace(&self, namespace: WatchedNamespace) {
        self.namespaces.lock().push(namespace);
    }

    pub(super) fn count_start(&self) {
        self.in_flight.inc();
    }

    pub(super) fn count_end(&self, outcome: ReconcileResult, took: Duration) {
        self.in_flight.dec();
        self.counter(outcome).inc();
        self.seconds.observe(took.as_secs_f64());
    }

    fn counter(&self, outcome: ReconcileResult) -> Counter {
        let result = match outcome {
            ReconcileResult::Done => "done",
            ReconcileResult::Interrupted => "interrupted",
            ReconcileResult::Panicked => "panicked",
        };
        self.reconciles.get_or_create_owned(&ResultLabel { result })
    }

    fn is_synced(&self) -> bool {
        let namespaces = self.namespaces.lock();
        !namespaces.is_empty() && namespaces.iter().all(|namespace| namespace.resources.is_synced())
    }

    /// Describes the first watch or reconcile that is stuck.
    fn stuck(&self) -> Option<String> {
        let namespaces = self.namespaces.lock();
        let silent = |what: &str, liveness: &WatchLiveness| {
            let silence = liveness.silence();
            (silence > WATCH_SILENCE).then(|| format!("the watch of {what} is stuck for {} s", silence.as_secs()))
        };
        namespaces.iter().find_map(|namespace| {
            silent("resources", &namespace.resources)
                .or_else(|| silent("ConfigMaps", namespace.config_maps.as_ref()?))
                .or_else(|| namespace.states.stuck_reconcile(RECONCILE_SILENCE))
        })
    }

    fn write(&self, writer: &mut MetricsWriter<'_>, per_resource: bool) -> fmt::Result {
        let (mut counts, mut silence) = (ResourceCounts::default(), Duration::ZERO);
        for namespace in self.namespaces.lock().iter() {
            silence = silence.max(namespace.resources.since_event());
            for resource in namespace.reader.state() {
                counts.count(&resource, per_resource);
            }
        }
        counts.write(writer, per_resource)?;
        let help = "Seconds since the watch of resources last showed something; with several watches, the largest";
        writer.gauge("watch_last_event_seconds", help, silence.as_secs_f64())
    }
}

/// Counts of all resources, by status.
#[derive(Default)]
struct ResourceCounts {
    /// The number of resources by status and reason of the condition Ready.
    resources: BTreeMap<(&'static str, &'static str), u32>,
    /// Desired, present, pending, failed.
    members: [u64; 4],
    failed: BTreeMap<&'static str, u64>,
    plans_pending_approval: u32,
    ready: Vec<(String, String, bool)>,
}

impl ResourceCounts {
    fn count(&mut self, resource: &WatchedObject, per_resource: bool) {
        let status = resource.status();
        let (ready, reason) = ready_condition(status);
        *self.resources.entry((ready, reason)).or_default() += 1;
        if per_resource {
            self.ready.push((resource.namespace().unwrap_or_default(), resource.name_any(), ready == "True"));
        }
        let Some(status) = status else { return };
        let counts = [status.desired, status.present, status.pending, status.failed];
        for (sum, count) in self.members.iter_mut().zip(counts) {
            *sum += u64::from(count.unwrap_or_default());
        }
        for error in &status.errors {
            *self.failed.entry(known_code(&error.error_code)).or_default() += 1;
        }
        *self.failed.entry("other").or_default() += u64::from(status.errors_omitted.unwrap_or_default());
        self.plans_pending_approval +=
            u32::from(status.pending_approval.as_ref().is_some_and(|pending| !pending.approved));
    }

    fn write(&self, writer: &mut MetricsWriter<'_>, per_resource: bool) -> fmt::Result {
        let mut resources = writer.gauges("resources", "Resources, by status and reason of their condition Ready")?;
        for ((ready, reason), count) in &self.resources {
            resources.set(&[("ready", *ready), ("reason", *reason)], f64::from(*count))?;
        }
        #[expect(clippy::cast_precision_loss, reason = "members are far below 2^52")]
        let float = |count: u64| count as f64;
        let mut members =
            writer.gauges("members", "Declared members of all resources: desired = present + pending + failed")?;
        for (state, count) in ["desired", "present", "pending", "failed"].into_iter().zip(self.members) {
            members.set(&[("state", state)], float(count))?;
        }
        let help =
            "Declared members that are absent, by error code of the status; those beyond the first 200 count as other";
        let mut failed = writer.gauges("members_failed", help)?;
        for (code, count) in &self.failed {
            failed.set(&[("code", *code)], float(*count))?;
        }
        writer.gauge(
            "plans_pending_approval",
            "Plans that wait for approval",
            f64::from(self.plans_pending_approval),
        )?;
        if per_resource {
            let mut ready = writer.gauges("resource_ready", "Whether a resource is Ready: 1 or 0")?;
            for (namespace, name, is_ready) in &self.ready {
                ready.set(&[("namespace", namespace), ("name", name)], f64::from(u8::from(*is_ready)))?;
            }
        }
        Ok(())
    }
}

/// Returns the code if the docs list it, else `other`: a label must not take any value that the
/// service sends.
fn known_code(code: &str) -> &'static str {
    const KNOWN: [&str; 17] = [
        "Forbidden",
        "NotFound",
        "BadRequest",
        "ResourceLimitExceeded",
        "AccessDenied",
        "Left",
        "Contested",
        "OwnershipConflict",
        "TypeMismatch",
        "Throttled",
        "Throttling",
        "ServiceFailure",
        "ServiceUnavailable",
        "Unauthorized",
        "PreconditionFailed",
        "Unprocessable",
        "Unknown",
    ];
    KNOWN.into_iter().find(|known| *known == code).unwrap_or("other")
}

/// Returns the status and reason of Ready; `Unknown` and `None` before it is set.
fn ready_condition(status: Option<&ChannelMembershipStatus>) -> (&'static str, &'static str) {
    let ready = status.and_then(|status| status.conditions.iter().find(|condition| condition.type_ == "Ready"));
    let Some(ready) = ready else { return ("Unknown", "None") };
    let ready_status = match ready.status.as_str() {
        "True" => "True",
        "False" => "False",
        _ => "Unknown",
    };
    (ready_status, Reason::named(&ready.reason).map_or("other", Reason::as_str))
}

#[cfg(test)]
mod tests;
