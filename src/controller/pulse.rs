//! Does a watch still move?
//!
//! A quiet watch brings nothing for hours, but it is begun again every minute, and the API server answers that. So each answer to a call of
//! the watch is a beat, and so is each failure: an API server that is away does not make a process sick.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Request;
use kube::Client;
use kube::client::Body;
use std::sync::Arc;
use tokio::time::Instant;

/// The life of one watch.
#[derive(Debug)]
pub(super) struct Pulse(Mutex<Life>);

#[derive(Debug)]
struct Life {
    beat: Instant,
    event: Instant,
    listed: bool,
}

impl Default for Pulse {
    fn default() -> Self {
        let now = Instant::now();
        Self(Mutex::new(Life { beat: now, event: now, listed: false }))
    }
}

impl Pulse {
    /// The same client, of which this notices each answer.
    pub fn of(self: &Arc<Self>, client: Client) -> Client {
        let (pulse, namespace) = (Arc::clone(self), client.default_namespace().to_owned());
        let felt = tower::service_fn(move |request: Request<Body>| {
            let (client, pulse) = (client.clone(), Arc::clone(&pulse));
            async move {
                let answer = client.send(request).await;
                pulse.lock().beat = Instant::now();
                answer
            }
        });
        Client::new(felt, namespace)
    }

    /// The watch showed something.
    pub fn event(&self, list_is_complete: bool) {
        let mut life = self.lock();
        life.event = Instant::now();
        life.beat = life.event;
        life.listed |= list_is_complete;
    }

    /// For how long it gave no sign of life.
    pub fn silence(&self) -> Duration {
        self.lock().beat.elapsed()
    }

    /// For how long it has shown nothing.
    pub fn since_event(&self) -> Duration {
        self.lock().event.elapsed()
    }

    /// Whether all there was has been shown once.
    pub fn is_synced(&self) -> bool {
        self.lock().listed
    }

    /// A poisoned lock is taken all the same: these are times.
    fn lock(&self) -> MutexGuard<'_, Life> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
