//! The liveness of a watch.
//!
//! A quiet watch shows nothing for hours, but it begins again every minute and the API server
//! answers that call. Each answer to a call of the watch is therefore a sign of life. A failed call
//! is a sign of life too: an API server that is away does not make this process unhealthy.

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use kube::Client;
use kube::client::Body;
use parking_lot::Mutex;
use tokio::time::Instant;

/// The liveness of one watch.
#[derive(Debug)]
pub(super) struct WatchLiveness(Mutex<WatchTimes>);

#[derive(Debug)]
struct WatchTimes {
    last_sign: Instant,
    event: Instant,
    listed: bool,
}

impl Default for WatchLiveness {
    fn default() -> Self {
        let now = Instant::now();
        Self(Mutex::new(WatchTimes { last_sign: now, event: now, listed: false }))
    }
}

impl WatchLiveness {
    /// Returns the same client. Each of its answers counts as a sign of times.
    pub fn observe_client(self: &Arc<Self>, client: Client) -> Client {
        let (liveness, namespace) = (Arc::clone(self), client.default_namespace().to_owned());
        let observed = tower::service_fn(move |request: Request<Body>| {
            let (client, liveness) = (client.clone(), Arc::clone(&liveness));
            async move {
                let answer = client.send(request).await;
                liveness.0.lock().last_sign = Instant::now();
                answer
            }
        });
        Client::new(observed, namespace)
    }

    /// Records that the watch showed something.
    pub fn record_event(&self, list_is_complete: bool) {
        let mut times = self.0.lock();
        times.event = Instant::now();
        times.last_sign = times.event;
        times.listed |= list_is_complete;
    }

    /// Returns the time since the last sign of times.
    pub fn silence(&self) -> Duration {
        self.0.lock().last_sign.elapsed()
    }

    /// Returns the time since the watch showed something.
    pub fn since_event(&self) -> Duration {
        self.0.lock().event.elapsed()
    }

    /// Returns whether the watch has shown a complete list.
    pub fn is_synced(&self) -> bool {
        self.0.lock().listed
    }
}
