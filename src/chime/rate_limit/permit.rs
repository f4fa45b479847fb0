//! A permit for one call, and the effect of the call's answer on the rates.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::channel::ChannelLimit;
use super::limit::BearerLimit;
use crate::chime::port::Operation;

/// If batches on two channels are answered 429 within this time, the cause is the bearer's limit
/// and not the channels'.
const TOGETHER: Duration = Duration::from_secs(10);

/// A permit to make one call now.
///
/// A permit that is dropped without a call gives back what it took.
#[derive(Debug)]
#[must_use = "a permit that is dropped gives its turn back"]
pub struct Permit {
    call: StartedCall,
    waited: Duration,
}

/// A call that is being made. Its answer steers the rates; dropped without an answer, it changes
/// nothing.
#[derive(Debug)]
pub struct StartedCall {
    bearer: Arc<BearerLimit>,
    channel: Arc<ChannelLimit>,
    operation: Operation,
    granted: Instant,
    /// True once the call counts, whatever becomes of it.
    started: bool,
}

impl Permit {
    pub(super) fn new(
        bearer: &Arc<BearerLimit>,
        channel: &Arc<ChannelLimit>,
        operation: Operation,
        granted: Instant,
    ) -> Self {
        let (bearer, channel) = (Arc::clone(bearer), Arc::clone(channel));
        Self { call: StartedCall { bearer, channel, operation, granted, started: false }, waited: Duration::ZERO }
    }

    /// Returns the kind of call that the permit is for.
    pub fn operation(&self) -> Operation {
        self.call.operation
    }

    /// Returns how long the caller waited for the permit, as noted by [`Self::with_wait`].
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// Notes how long the caller waited.
    pub(in crate::chime) fn with_wait(self, waited: Duration) -> Self {
        Self { waited, ..self }
    }

    /// Starts the call: from here on it counts, whatever becomes of it.
    pub fn start(self) -> StartedCall {
        let mut call = self.call;
        call.started = true;
        call
    }
}

impl StartedCall {
    /// Slows down the limit that the call exceeded: it was answered 429.
    ///
    /// The service does not say which limit that was. All calls but a batch meet the bearer's first
    /// (10 a second, where a channel's listings and its deletes have 15 each). A batch meets its
    /// channel's (1 a second), unless another channel's batch was answered 429 just before: then it
    /// is the bearer's as well.
    pub fn throttled(self) {
        let now = Instant::now();
        let mut state = self.bearer.lock();
        if self.operation == Operation::BatchCreateChannelMembership {
            self.channel.lock().batch.throttled(self.granted, now);
            let own = Arc::downgrade(&self.channel);
            let last = state.last_throttled.replace((now, own.clone()));
            if last.is_none_or(|(at, channel)| now - at > TOGETHER || channel.ptr_eq(&own)) {
                return;
            }
        }
        state.bucket.throttled(self.granted, now);
    }

    /// Speeds up a little what was slowed down: the call was answered with anything but 429.
    pub fn succeeded(self) {
        self.bearer.lock().bucket.succeeded();
        if let Some(bucket) = self.channel.lock().bucket(self.operation) {
            bucket.succeeded();
        }
    }
}

impl Drop for StartedCall {
    fn drop(&mut self) {
        if !self.started {
            self.bearer.refund(&self.channel, self.operation, self.granted);
        }
        self.bearer.end_call();
    }
}
