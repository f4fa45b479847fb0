//! Leader election: one of several processes reconciles the resources.
//!
//! The leader holds a Lease of the cluster. Timestamps written by others are never interpreted.
//! Expiry is measured locally, as the time since the resourceVersion last changed, so clocks need
//! not agree. The leader stops well before another process may lead. After client-go's leader
//! election (`tools/leaderelection`) and kubert's `lease`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

/// The Lease, and the time for which it is held.
#[derive(Clone, Debug)]
pub struct LeaseConfig {
    /// The namespace of the Lease.
    pub namespace: String,
    /// The name of the Lease.
    pub name: String,
    /// The identity of this process: unique among all processes.
    pub identity: String,
    /// After this time without a renewal, any process may take the Lease.
    pub duration: Duration,
}

impl LeaseConfig {
    /// Returns the time after which a leader that could not renew stops to lead: client-go's 10 s
    /// of 15.
    fn renew_deadline(&self) -> Duration {
        self.duration * 2 / 3
    }

    /// Returns the time between two renewals: client-go's 2 s of 15.
    fn renew_interval(&self) -> Duration {
        self.duration * 2 / 15
    }

    /// Returns the time between two attempts to take the Lease: a released Lease is taken within a
    /// second.
    fn retry_interval(&self) -> Duration {
        self.renew_interval().min(Duration::from_secs(1))
    }
}

/// The leadership of this process. It is checked before each effect that only a leader may have.
#[derive(Clone, Debug)]
pub struct Leadership(Option<Arc<Mutex<Option<Instant>>>>);

impl Leadership {
    /// Creates the leadership of a process without competitors: it always leads.
    pub fn always() -> Self {
        Self(None)
    }

    fn not_held() -> Self {
        Self(Some(Arc::default()))
    }

    /// Returns whether this process leads now.
    pub fn is_held(&self) -> bool {
        self.0.as_ref().is_none_or(|until| {
            let until = *until.lock();
            until.is_some_and(|until| Instant::now() < until)
        })
    }

    /// Returns the time until which the process leads without another renewal.
    fn until(&self) -> Option<Instant> {
        let until = self.0.as_ref()?.lock();
        *until
    }

    fn set(&self, until: Option<Instant>) {
        if let Some(leadership) = &self.0 {
            *leadership.lock() = until;
        }
    }
}

/// The loss of the Lease: this process must stop.
#[derive(Debug, thiserror::Error)]
pub enum LeadershipLost {
    /// The API server did not take a renewal in time.
    #[error("lost the lease {lease}: it could not be renewed within {} s ({why}); stopped, so that another process can lead", .within.as_secs())]
    NotRenewed {
        /// Namespace and name.
        lease: String,
        /// The time for which the process tried to renew.
        within: Duration,
        /// The last answer.
        why: String,
    },
    /// Another process holds the Lease.
    #[error("lost the lease {lease}: {holder} holds it; stopped, because it leads now")]
    Taken {
        /// Namespace and name.
        lease: String,
        /// The holder.
        holder: String,
    },
}

/// A process that takes part in the election.
pub struct LeaderElector {
    leases: Api<Lease>,
    config: LeaseConfig,
    leadership: Leadership,
    /// The Lease as this process last wrote it.
    written: Mutex<Option<Lease>>,
}

impl fmt::Debug for LeaderElector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaderElector")
            .field("config", &self.config)
            .field("leads", &self.leadership.is_held())
            .finish_non_exhaustive()
    }
}

impl LeaderElector {
    /// Creates an elector that does not lead yet.
    pub fn new(client: Client, config: LeaseConfig) -> Self {
        let leases = Api::namespaced(client, &config.namespace);
        Self { leases, config, leadership: Leadership::not_held(), written: Mutex::default() }
    }

    /// Returns the leadership of this process.
    pub fn leadership(&self) -> &Leadership {
        &self.leadership
    }

    /// Waits until this process leads.
    pub async fn acquire(&self) {
        let mut watched: Option<(Lease, Instant)> = None;
        let mut told = None;
        loop {
            let began = Instant::now();
            let by = began + self.config.renew_deadline();
            let wait = match timeout_at(by, self.try_acquire(&mut watched)).await {
                Ok(Ok(Attempt::Acquired)) => {
                    self.leadership.set(Some(by));
                    tracing::info!(lease = self.lease(), identity = self.config.identity, "this process leads");
                    return;
                }
                Ok(Ok(Attempt::RetryAfter(wait))) => wait,
                Ok(Err(error)) => {
                    let hint = match &error {
                        kube::Error::Api(status) if status.code == 403 => {
                            ": grant get, create and update on leases there"
                        }
                        _ => "",
                    };
                    tracing::warn!(lease = self.lease(), %error, "failed to read or take the lease{hint}");
                    self.config.renew_interval()
                }
                Err(_) => self.config.retry_interval(),
            };
            let holder = watched.as_ref().map(|(lease, _)| holder(lease).to_owned());
            if holder != told {
                tracing::info!(lease = self.lease(), holder, "waiting: another process leads");
                told = holder;
            }
            sleep(wait).await;
        }
    }

    /// Takes the Lease if it is free. Otherwise returns the wait until the next attempt.
    async fn try_acquire(&self, watched: &mut Option<(Lease, Instant)>) -> Result<Attempt, kube::Error> {
        let Some(lease) = self.leases.get_opt(&self.config.name).await? else {
            return self.write(None).await.map(Attempt::from_write);
        };
        let now = Instant::now();
        let stood_since = match watched.take() {
            Some((before, since)) if before.metadata.resource_version == lease.metadata.resource_version => since,
            _ => now,
        };
        let seconds = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds).unwrap_or_default();
        let free_at = stood_since + Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        if !holder(&lease).is_empty() && now < free_at {
            *watched = Some((lease, stood_since));
            return Ok(Attempt::RetryAfter(self.config.retry_interval().min(free_at - now)));
        }
        self.write(Some(lease)).await.map(Attempt::from_write)
    }

    /// Renews the Lease for as long as possible, and returns the reason why that ended.
    pub async fn renew_loop(&self) -> LeadershipLost {
        let mut why = "no answer".to_owned();
        loop {
            let Some(until) = self.leadership.until() else { return self.taken("nobody") };
            let next = Instant::now() + self.config.renew_interval();
            sleep_until(next.min(until)).await;
            let began = Instant::now();
            match timeout_at(until, self.renew()).await {
                Ok(Ok(Renewal::Done)) => self.leadership.set(Some(began + self.config.renew_deadline())),
                Ok(Ok(Renewal::Taken(holder))) => {
                    self.leadership.set(None);
                    return self.taken(&holder);
                }
                Ok(Err(error)) => why = error.to_string(),
                Err(_) => {}
            }
            if !self.leadership.is_held() {
                self.leadership.set(None);
                return LeadershipLost::NotRenewed { lease: self.lease(), within: self.config.renew_deadline(), why };
            }
        }
    }

    /// Releases the Lease, so that another process can lead at once. If that fails, the other
    /// process has to wait.
    pub async fn release_lease(&self) {
        let Some(until) = self.leadership.until() else { return };
        self.leadership.set(None);
        let Some(mut lease) = self.last_written() else { return };
        let spec = lease.spec.get_or_insert_default();
        (spec.holder_identity, spec.lease_duration_seconds) = (Some(String::new()), Some(1));
        match timeout_at(until, self.leases.replace(&self.config.name, &PostParams::default(), &lease)).await {
            Ok(Ok(_)) => tracing::info!(lease = self.lease(), "gave the lease back"),
            Ok(Err(error)) => tracing::warn!(lease = self.lease(), %error, "failed to give the lease back"),
            Err(_) => tracing::warn!(lease = self.lease(), "failed to give the lease back in time"),
        }
    }

    async fn renew(&self) -> Result<Renewal, kube::Error> {
        if self.write(self.last_written()).await? {
            return Ok(Renewal::Done);
        }
        // The Lease changed since the last write: perhaps this process changed it, and the answer
        // never came.
        match self.leases.get_opt(&self.config.name).await? {
            Some(lease) if holder(&lease) != self.config.identity => Ok(Renewal::Taken(holder(&lease).to_owned())),
            lease => {
                let ours = self.write(lease).await?;
                Ok(if ours { Renewal::Done } else { Renewal::Taken("somebody else".to_owned()) })
            }
        }
    }

    /// Writes the identity of this process on the Lease, or creates it. Returns false if another
    /// process was faster.
    async fn write(&self, lease: Option<Lease>) -> Result<bool, kube::Error> {
        let now = MicroTime(Timestamp::now());
        let fresh = lease.is_none();
        let mut lease = lease.unwrap_or_else(|| Lease {
            metadata: ObjectMeta { name: Some(self.config.name.clone()), ..ObjectMeta::default() },
            spec: None,
        });
        let before = lease.spec.take().unwrap_or_default();
        let is_ours = before.holder_identity.as_deref() == Some(&self.config.identity);
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(self.config.identity.clone()),
            lease_duration_seconds: i32::try_from(self.config.duration.as_secs()).ok(),
            acquire_time: before.acquire_time.filter(|_| is_ours).or_else(|| Some(now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(before.lease_transitions.unwrap_or_default() + i32::from(!is_ours && !fresh)),
            ..LeaseSpec::default()
        });
        let answer = if fresh {
            self.leases.create(&PostParams::default(), &lease).await
        } else {
            self.leases.replace(&self.config.name, &PostParams::default(), &lease).await
        };
        match answer {
            Ok(lease) => {
                *self.written.lock() = Some(lease);
                Ok(true)
            }
            // Another process changed, created or deleted the Lease.
            Err(kube::Error::Api(status)) if [409, 404].contains(&status.code) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn last_written(&self) -> Option<Lease> {
        self.written.lock().clone()
    }

    fn lease(&self) -> String {
        format!("{}/{}", self.config.namespace, self.config.name)
    }

    fn taken(&self, holder: &str) -> LeadershipLost {
        LeadershipLost::Taken { lease: self.lease(), holder: holder.to_owned() }
    }
}

enum Attempt {
    Acquired,
    RetryAfter(Duration),
}

impl Attempt {
    fn from_write(written: bool) -> Self {
        if written { Self::Acquired } else { Self::RetryAfter(Duration::ZERO) }
    }
}

enum Renewal {
    Done,
    /// The new holder.
    Taken(String),
}

fn holder(lease: &Lease) -> &str {
    lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
