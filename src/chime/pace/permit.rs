//! What is one call worth, and how does its answer steer the pace?

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::channel::Channel;
use super::queue::Bearer;
use crate::chime::port::Operation;

/// Two channels' batches answered 429 within this time are the bearer's limit and not theirs.
const TOGETHER: Duration = Duration::from_secs(10);

/// Leave to make one call, now.
///
/// Dropped without a call, it gives back what it took.
#[derive(Debug)]
#[must_use = "a permit that is dropped gives its turn back"]
pub struct Permit {
    call: Call,
    unspent: bool,
}

/// A call that is being made, and whose answer the pace wants to hear of. Dropped without one, nothing follows.
#[derive(Clone, Debug)]
pub struct Call {
    bearer: Arc<Bearer>,
    channel: Arc<Channel>,
    operation: Operation,
    granted: Instant,
}

/// When a batch was last answered 429, and on which channel.
pub(super) type LastThrottled = Option<(Instant, Weak<Channel>)>;

impl Permit {
    pub(super) fn new(bearer: &Arc<Bearer>, channel: &Arc<Channel>, operation: Operation, granted: Instant) -> Self {
        let call = Call { bearer: Arc::clone(bearer), channel: Arc::clone(channel), operation, granted };
        Self { call, unspent: true }
    }

    /// The kind of call it is for.
    pub fn operation(&self) -> Operation {
        self.call.operation
    }

    /// Makes the call: from here on it counts, whatever becomes of it.
    pub fn spend(mut self) -> Call {
        self.unspent = false;
        self.call.clone()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.unspent {
            self.call.bearer.give_back(&self.call.channel, self.call.operation, self.call.granted);
        }
    }
}

impl Call {
    /// The call was answered 429: slows down whatever it went over.
    ///
    /// The service does not say which limit that was. A listing or a Describe meets the bearer's first (10 a second, where a
    /// channel's listings have 15). A batch meets its channel's (1 a second), unless another channel's batch was
    /// answered 429 just before: then it is the bearer's as well.
    pub fn throttled(self) {
        let now = Instant::now();
        let mut queue = self.bearer.lock();
        if self.operation == Operation::BatchCreateChannelMembership {
            self.channel.lock().batch.throttled(self.granted, now);
            let own = Arc::downgrade(&self.channel);
            let last = queue.last_throttled.replace((now, own.clone()));
            if last.is_none_or(|(at, channel)| now - at > TOGETHER || channel.ptr_eq(&own)) {
                return;
            }
        }
        queue.bucket.throttled(self.granted, now);
    }

    /// The call ended in any other way: what was slowed down recovers a little.
    pub fn passed(self) {
        self.bearer.lock().bucket.succeeded();
        if let Some(bucket) = self.channel.lock().bucket(self.operation) {
            bucket.succeeded();
        }
    }
}
