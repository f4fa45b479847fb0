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
    waited: Duration,
}

/// A call that is being made, and whose answer the pace wants to hear of. Dropped without one, nothing follows.
#[derive(Debug)]
pub struct Call {
    bearer: Arc<Bearer>,
    channel: Arc<Channel>,
    operation: Operation,
    granted: Instant,
    /// From here on it counts, whatever becomes of it.
    spent: bool,
}

/// When a batch was last answered 429, and on which channel.
pub(super) type LastThrottled = Option<(Instant, Weak<Channel>)>;

impl Permit {
    pub(super) fn new(bearer: &Arc<Bearer>, channel: &Arc<Channel>, operation: Operation, granted: Instant) -> Self {
        let (bearer, channel) = (Arc::clone(bearer), Arc::clone(channel));
        Self { call: Call { bearer, channel, operation, granted, spent: false }, waited: Duration::ZERO }
    }

    /// The kind of call it is for.
    pub fn operation(&self) -> Operation {
        self.call.operation
    }

    /// How long whoever has it waited for it, as they say.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// The same, after such a wait.
    pub(in crate::chime) fn after(self, waited: Duration) -> Self {
        Self { waited, ..self }
    }

    /// Makes the call: from here on it counts, whatever becomes of it.
    pub fn start(self) -> Call {
        let mut call = self.call;
        call.spent = true;
        call
    }
}

impl Call {
    /// The call was answered 429: slows down whatever it went over.
    ///
    /// The service does not say which limit that was. All calls but a batch meet the bearer's first (10 a second, where a
    /// channel's listings and its deletes have 15 each). A batch meets its channel's (1 a second), unless another channel's batch was
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
    pub fn succeeded(self) {
        self.bearer.lock().bucket.succeeded();
        if let Some(bucket) = self.channel.lock().bucket(self.operation) {
            bucket.succeeded();
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.spent {
            self.bearer.give_back(&self.channel, self.operation, self.granted);
        }
        self.bearer.ended();
    }
}
