//! Which of several processes carries out the resources?
//!
//! The one that holds a Lease of the cluster. What others wrote on it is compared and never read as a time: only how long a version of it has stood counts, by
//! the clock of whoever looks, so clocks need not agree. The holder stops believing in itself well before anybody else may.
//! After client-go's leader election (`tools/leaderelection`) and kubert's `lease`.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

/// Which Lease it is, and for how long it is held.
#[derive(Clone, Debug)]
pub struct LeaseConfig {
    /// Where it is.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Who holds it: nobody else says the same.
    pub identity: String,
    /// Without a renewal for so long anybody may take it.
    pub duration: Duration,
}

impl LeaseConfig {
    /// Who could not renew for so long leads no more: client-go's 10 s of 15.
    fn renew_deadline(&self) -> Duration {
        self.duration * 2 / 3
    }

    /// Between two renewals: client-go's 2 s of 15.
    fn renew_interval(&self) -> Duration {
        self.duration * 2 / 15
    }

    /// Between two looks of those who wait: one that was given back is taken within a second.
    fn retry_interval(&self) -> Duration {
        self.renew_interval().min(Duration::from_secs(1))
    }
}

/// Whether this process leads, as of now. It is asked before each thing that only a leader may do.
#[derive(Clone, Debug)]
pub struct Leadership(Option<Arc<Mutex<Option<Instant>>>>);

impl Leadership {
    /// Of a process that nobody else competes with: always.
    pub fn always() -> Self {
        Self(None)
    }

    fn not_held() -> Self {
        Self(Some(Arc::default()))
    }

    /// Whether it holds.
    pub fn is_held(&self) -> bool {
        self.0.as_ref().is_none_or(|until| {
            let until = *until.lock().unwrap_or_else(PoisonError::into_inner);
            until.is_some_and(|until| Instant::now() < until)
        })
    }

    /// Until when it holds without another renewal.
    fn until(&self) -> Option<Instant> {
        let until = self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        *until
    }

    fn set(&self, until: Option<Instant>) {
        if let Some(leadership) = &self.0 {
            *leadership.lock().unwrap_or_else(PoisonError::into_inner) = until;
        }
    }
}

/// The lease is not ours any more: whoever led must stop.
#[derive(Debug, thiserror::Error)]
pub enum LeadershipLost {
    /// The API server did not take a renewal in time.
    #[error("lost the lease {lease}: it could not be renewed within {} s ({why}); stopped, so that another process can lead", .within.as_secs())]
    NotRenewed {
        /// Namespace and name.
        lease: String,
        /// How long it was tried.
        within: Duration,
        /// The last answer.
        why: String,
    },
    /// Another process holds it.
    #[error("lost the lease {lease}: {holder} holds it; stopped, because it leads now")]
    Taken {
        /// Namespace and name.
        lease: String,
        /// Who.
        holder: String,
    },
}

/// A process that wants to lead.
pub struct LeaderElector {
    leases: Api<Lease>,
    config: LeaseConfig,
    leadership: Leadership,
    /// The lease as it was last written by us.
    held: Mutex<Option<Lease>>,
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
    /// One that does not lead yet.
    pub fn new(client: Client, config: LeaseConfig) -> Self {
        let leases = Api::namespaced(client, &config.namespace);
        Self { leases, config, leadership: Leadership::not_held(), held: Mutex::default() }
    }

    /// Whether it leads.
    pub fn leadership(&self) -> &Leadership {
        &self.leadership
    }

    /// Waits until it leads.
    pub async fn acquire(&self) {
        let mut watched: Option<(Lease, Instant)> = None;
        let mut told = None;
        loop {
            let began = Instant::now();
            let by = began + self.config.renew_deadline();
            let wait = match timeout_at(by, self.try_acquire(&mut watched)).await {
                Ok(Ok(None)) => {
                    self.leadership.set(Some(by));
                    tracing::info!(lease = self.lease(), identity = self.config.identity, "this process leads");
                    return;
                }
                Ok(Ok(Some(wait))) => wait,
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

    /// Takes the lease if that may be done now; else says when to look again.
    async fn try_acquire(&self, watched: &mut Option<(Lease, Instant)>) -> Result<Option<Duration>, kube::Error> {
        let Some(lease) = self.leases.get_opt(&self.config.name).await? else {
            return self.write(None).await.map(|taken| (!taken).then_some(Duration::ZERO));
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
            return Ok(Some(self.config.retry_interval().min(free_at - now)));
        }
        self.write(Some(lease)).await.map(|taken| (!taken).then_some(Duration::ZERO))
    }

    /// Renews the lease for as long as it can.
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

    /// Gives it back, so that another process can lead at once. If that fails, it has to wait.
    pub async fn release_lease(&self) {
        let Some(until) = self.leadership.until() else { return };
        self.leadership.set(None);
        let Some(mut lease) = self.held() else { return };
        let spec = lease.spec.get_or_insert_default();
        (spec.holder_identity, spec.lease_duration_seconds) = (Some(String::new()), Some(1));
        match timeout_at(until, self.leases.replace(&self.config.name, &PostParams::default(), &lease)).await {
            Ok(Ok(_)) => tracing::info!(lease = self.lease(), "gave the lease back"),
            Ok(Err(error)) => tracing::warn!(lease = self.lease(), %error, "failed to give the lease back"),
            Err(_) => tracing::warn!(lease = self.lease(), "failed to give the lease back in time"),
        }
    }

    async fn renew(&self) -> Result<Renewal, kube::Error> {
        if self.write(self.held()).await? {
            return Ok(Renewal::Done);
        }
        // Somebody wrote it since: perhaps we did, and the answer never came.
        match self.leases.get_opt(&self.config.name).await? {
            Some(lease) if holder(&lease) != self.config.identity => Ok(Renewal::Taken(holder(&lease).to_owned())),
            lease => {
                let ours = self.write(lease).await?;
                Ok(if ours { Renewal::Done } else { Renewal::Taken("somebody else".to_owned()) })
            }
        }
    }

    /// Writes our name on the lease, or makes it; whether nobody else was faster.
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
                *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(lease);
                Ok(true)
            }
            // Changed, made or deleted by somebody else.
            Err(kube::Error::Api(status)) if [409, 404].contains(&status.code) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn held(&self) -> Option<Lease> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lease(&self) -> String {
        format!("{}/{}", self.config.namespace, self.config.name)
    }

    fn taken(&self, holder: &str) -> LeadershipLost {
        LeadershipLost::Taken { lease: self.lease(), holder: holder.to_owned() }
    }
}

enum Renewal {
    Done,
    /// By whom.
    Taken(String),
}

fn holder(lease: &Lease) -> &str {
    lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
