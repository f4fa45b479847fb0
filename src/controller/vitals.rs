//! How is the controller doing, and how do the resources stand that it carries out?

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::channel::mpsc;
use kube::ResourceExt as _;
use kube::runtime::reflector::{ObjectRef, Store};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use super::pulse::Pulse;
use super::slots::Slots;
use super::watched::Watched;
use crate::api::{ChannelMembershipStatus, Reason};
use crate::ops::health::Health;
use crate::ops::metrics::{Metrics, MetricsWriter};

/// A watch is stuck that gave no sign of life for so long: it is begun anew every minute, and an API server that does not answer is given up after
/// two.
const WATCH_SILENCE: Duration = Duration::from_mins(5);

/// A pass is stuck that did nothing at all for so long: one that waits for its turn looks up every few seconds, and at least every five
/// minutes.
const PASS_SILENCE: Duration = Duration::from_mins(15);

/// How a reconcile ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Outcome {
    /// The pass came to its end, whatever it found; that is in the status.
    Done,
    /// Something newer came before its end.
    Interrupted,
    /// A defect of ours stopped it.
    Panicked,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    result: &'static str,
}

/// What a controller measures of itself, and what it sees. Filled while it runs.
pub struct Vitals {
    parts: Mutex<Vec<Part>>,
    reconciles: Family<Labels, Counter>,
    seconds: Histogram,
    in_flight: Gauge,
}

/// One part of the cluster that is watched by itself.
pub(super) struct Part {
    pub slots: Arc<Slots>,
    pub reader: Store<Watched>,
    /// What is sent here is due.
    pub due: mpsc::UnboundedSender<ObjectRef<Watched>>,
    pub resources: Arc<Pulse>,
    /// None where ConfigMaps are not watched.
    pub config_maps: Option<Arc<Pulse>>,
}

impl Default for Vitals {
    fn default() -> Self {
        let vitals = Self {
            parts: Mutex::default(),
            reconciles: Family::default(),
            // From a look that the last listing answers to one that waits long for its turn: 10 ms to 90 min.
            seconds: Histogram::new(exponential_buckets(0.01, 3.0, 13)),
            in_flight: Gauge::default(),
        };
        for outcome in [Outcome::Done, Outcome::Interrupted, Outcome::Panicked] {
            vitals.of(outcome);
        }
        vitals
    }
}

impl Vitals {
    /// Registers what is measured; `per_resource` adds a gauge for each resource.
    pub fn register(self: &Arc<Self>, metrics: &mut Metrics, per_resource: bool) {
        metrics.register("reconciles", "Passes over resources that ended, by result", self.reconciles.clone());
        metrics.register(
            "reconcile_duration_seconds",
            "How long passes took, their waits included",
            self.seconds.clone(),
        );
        metrics.register(
            "reconciles_in_flight",
            "Passes under way, those that wait among them",
            self.in_flight.clone(),
        );
        let vitals = Arc::clone(self);
        metrics.add_collector(move |page| vitals.write(page, per_resource));
    }

    /// Alive while watches and passes move; ready once all watches have shown what there is. `waits` says whether there is nothing to
    /// carry out yet because another process does it.
    pub fn check(self: &Arc<Self>, health: &mut Health, waits: impl Fn() -> bool + Send + Sync + 'static) {
        let vitals = Arc::clone(self);
        health.add_liveness_check(move || vitals.stuck().map_or(Ok(()), Err));
        let vitals = Arc::clone(self);
        health.add_readiness_check(move || {
            if waits() || vitals.is_synced() { Ok(()) } else { Err("the watch has not shown all resources yet".into()) }
        });
    }

    /// A pass over each resource is due: what holds for all of them has changed.
    pub fn look_again(&self) {
        for part in self.lock().iter() {
            for resource in part.reader.state() {
                // Nobody receives any more when the process stops: then nothing is due.
                drop(part.due.unbounded_send(ObjectRef::from_obj(&*resource)));
            }
        }
    }

    pub(super) fn add(&self, part: Part) {
        self.lock().push(part);
    }

    pub(super) fn began(&self) {
        self.in_flight.inc();
    }

    pub(super) fn ended(&self, outcome: Outcome, took: Duration) {
        self.in_flight.dec();
        self.of(outcome).inc();
        self.seconds.observe(took.as_secs_f64());
    }

    fn of(&self, outcome: Outcome) -> Counter {
        let result = match outcome {
            Outcome::Done => "done",
            Outcome::Interrupted => "interrupted",
            Outcome::Panicked => "panicked",
        };
        self.reconciles.get_or_create_owned(&Labels { result })
    }

    fn is_synced(&self) -> bool {
        let parts = self.lock();
        !parts.is_empty() && parts.iter().all(|part| part.resources.is_synced())
    }

    /// What does not move any more.
    fn stuck(&self) -> Option<String> {
        let parts = self.lock();
        let silent = |what: &str, pulse: &Pulse| {
            let silence = pulse.silence();
            (silence > WATCH_SILENCE).then(|| format!("the watch of {what} is stuck for {} s", silence.as_secs()))
        };
        parts.iter().find_map(|part| {
            silent("resources", &part.resources)
                .or_else(|| silent("ConfigMaps", part.config_maps.as_ref()?))
                .or_else(|| part.slots.stuck(PASS_SILENCE))
        })
    }

    fn write(&self, page: &mut MetricsWriter<'_>, per_resource: bool) -> fmt::Result {
        let (mut census, mut silence) = (Census::default(), Duration::ZERO);
        for part in self.lock().iter() {
            silence = silence.max(part.resources.since_event());
            for resource in part.reader.state() {
                census.count(&resource, per_resource);
            }
        }
        census.write(page, per_resource)?;
        let help = "Seconds since the watch of resources last showed something; of several, the most";
        page.gauge("watch_last_event_seconds", help, silence.as_secs_f64())
    }

    /// A poisoned lock is taken all the same: the list only grows.
    fn lock(&self) -> MutexGuard<'_, Vec<Part>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How all resources stand.
#[derive(Default)]
struct Census {
    /// By what Ready says and why.
    resources: BTreeMap<(&'static str, &'static str), u32>,
    /// Desired, present, pending, failed.
    members: [u64; 4],
    failed: BTreeMap<&'static str, u64>,
    plans_pending_approval: u32,
    ready: Vec<(String, String, bool)>,
}

impl Census {
    fn count(&mut self, resource: &Watched, per_resource: bool) {
        let status = resource.status();
        let (ready, reason) = verdict(status);
        *self.resources.entry((ready, reason)).or_default() += 1;
        if per_resource {
            self.ready.push((resource.namespace().unwrap_or_default(), resource.name_any(), ready == "True"));
        }
        let Some(status) = status else { return };
        let counts = [status.desired, status.present, status.pending, status.failed];
        for (sum, count) in self.members.iter_mut().zip(counts) {
            *sum += u64::from(count.unwrap_or_default());
        }
        for problem in &status.errors {
            *self.failed.entry(known_code(&problem.error_code)).or_default() += 1;
        }
        *self.failed.entry("other").or_default() += u64::from(status.errors_omitted.unwrap_or_default());
        self.plans_pending_approval +=
            u32::from(status.pending_approval.as_ref().is_some_and(|pending| !pending.approved));
    }

    fn write(&self, page: &mut MetricsWriter<'_>, per_resource: bool) -> fmt::Result {
        let mut resources = page.gauges("resources", "Resources, by what their condition Ready says and why")?;
        for ((ready, reason), count) in &self.resources {
            resources.set(&[("ready", *ready), ("reason", *reason)], f64::from(*count))?;
        }
        #[expect(clippy::cast_precision_loss, reason = "members are far below 2^52")]
        let float = |count: u64| count as f64;
        let mut members =
            page.gauges("members", "Declared members of all resources: desired = present + pending + failed")?;
        for (state, count) in ["desired", "present", "pending", "failed"].into_iter().zip(self.members) {
            members.set(&[("state", state)], float(count))?;
        }
        let help =
            "Members that are not there, by error code of their status; those beyond its first 200 count as other";
        let mut failed = page.gauges("members_failed", help)?;
        for (code, count) in &self.failed {
            failed.set(&[("code", *code)], float(*count))?;
        }
        page.gauge("plans_pending_approval", "Plans that wait for approval", f64::from(self.plans_pending_approval))?;
        if per_resource {
            let mut ready = page.gauges("resource_ready", "Whether a resource is Ready: 1 or 0")?;
            for (namespace, name, is_ready) in &self.ready {
                ready.set(&[("namespace", namespace), ("name", name)], f64::from(u8::from(*is_ready)))?;
            }
        }
        Ok(())
    }
}

/// The code, if it is one that the docs list: whatever else the service may say is one more word of a label and not ours to choose.
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

/// What Ready says and why; `Unknown` and `None` before it says anything.
fn verdict(status: Option<&ChannelMembershipStatus>) -> (&'static str, &'static str) {
    let ready = status.and_then(|status| status.conditions.iter().find(|condition| condition.type_ == "Ready"));
    let Some(ready) = ready else { return ("Unknown", "None") };
    let says = match ready.status.as_str() {
        "True" => "True",
        "False" => "False",
        _ => "Unknown",
    };
    (says, Reason::named(&ready.reason).map_or("other", Reason::as_str))
}

#[cfg(test)]
mod tests;
