//! Who waits in the name of one bearer, and who of them goes next?

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::bucket::Bucket;
use super::channel::{Channel, ChannelPace};
use super::lock;
use super::meter::Meter;
use super::permit::{LastThrottled, Permit};
use super::priority::{Priority, SharedPriority};
use crate::chime::port::Operation;

/// When as many calls are under way as may be, the queue is looked at when one ends, and after this in any case.
const UNTIL_ONE_ENDS: Duration = Duration::from_secs(1);

/// One bearer's limit in a region, and the calls that wait for it.
#[derive(Debug)]
pub(super) struct Bearer {
    queue: Mutex<Queue>,
    /// Tells the task that serves the queue to look sooner than it meant to.
    sooner: Notify,
}

/// Locked before any channel.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) bucket: Bucket,
    /// By arrival.
    waiters: BTreeMap<u64, Waiter>,
    /// Permits out and calls under way; at most `concurrency`, but for those on credit.
    in_flight: usize,
    concurrency: usize,
    arrivals: u64,
    /// Counts turns, for all bearers together: a channel may have several.
    turns: Arc<AtomicU64>,
    /// Before this nobody who waits can go; `None` when nobody waits.
    next: Option<Instant>,
    /// Whether a task serves the queue.
    served: bool,
    pub(super) last_throttled: LastThrottled,
    meter: Meter,
}

#[derive(Debug)]
struct Waiter {
    channel: Arc<Channel>,
    operation: Operation,
    priority: SharedPriority,
    grant: oneshot::Sender<Permit>,
}

impl Bearer {
    pub(super) fn new(bucket: Bucket, concurrency: usize, turns: Arc<AtomicU64>) -> Self {
        let queue = Queue {
            bucket,
            waiters: BTreeMap::new(),
            in_flight: 0,
            concurrency,
            arrivals: 0,
            turns,
            next: None,
            served: false,
            last_throttled: None,
            meter: Meter::new(Instant::now()),
        };
        Self { queue: Mutex::new(queue), sooner: Notify::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }

    /// Waits for a turn. Dropping the future leaves the queue.
    pub(super) async fn acquire_permit(
        self: &Arc<Self>,
        channel: &Arc<Channel>,
        operation: Operation,
        priority: &SharedPriority,
    ) -> Permit {
        loop {
            // Dropped in reverse: first the seat, so that no permit is made any more, then a permit that was.
            let (grant, granted) = oneshot::channel();
            let waiter = Waiter { channel: Arc::clone(channel), operation, priority: priority.clone(), grant };
            let _seat = match self.admit(waiter) {
                Ok(permit) => return permit,
                Err(seat) => seat,
            };
            if let Ok(permit) = granted.await {
                return permit;
            }
        }
    }

    /// Lets the call go at once, whatever the buckets hold.
    pub(super) fn permit_on_credit(self: &Arc<Self>, channel: &Arc<Channel>, operation: Operation) -> Permit {
        let now = Instant::now();
        // Who waits is looked at again at the time that was set before, and finds the buckets emptier.
        self.lock().charge(&mut channel.lock(), operation, now);
        Permit::new(self, channel, operation, now)
    }

    /// Lets the call go at once, or gives it a seat in the queue.
    fn admit(self: &Arc<Self>, waiter: Waiter) -> Result<Permit, Seat<'_>> {
        let now = Instant::now();
        let mut queue = self.lock();
        // Whoever can go before any of those who wait takes nobody's turn.
        let undisputed = queue.next.is_none_or(|next| now < next);
        if undisputed && queue.take(&waiter.channel, waiter.operation, now) {
            return Ok(Permit::new(self, &waiter.channel, waiter.operation, now));
        }
        let ready = queue.bucket.ready_at();
        let ready = waiter.channel.lock().ready_at(waiter.operation).map_or(ready, |at| at.max(ready));
        let arrival = queue.join(waiter);
        self.wake_at(&mut queue, ready);
        if !queue.served {
            queue.served = true;
            tokio::spawn(Arc::clone(self).serve());
        }
        Err(Seat { bearer: self, arrival })
    }

    /// Has the queue looked at by then at the latest.
    fn wake_at(&self, queue: &mut Queue, at: Instant) {
        if queue.next.is_none_or(|next| at < next) {
            queue.next = Some(at);
            self.sooner.notify_one();
        }
    }

    /// The call that was let go at `granted` was never made.
    pub(super) fn give_back(&self, channel: &Channel, operation: Operation, granted: Instant) {
        let mut queue = self.lock();
        queue.bucket.give_back(granted);
        if let Some(bucket) = channel.lock().bucket(operation) {
            bucket.give_back(granted);
        }
        if !queue.waiters.is_empty() {
            let ready = queue.bucket.ready_at();
            self.wake_at(&mut queue, ready);
        }
    }

    /// A permit was given back, or its call has ended.
    pub(super) fn ended(&self) {
        let mut queue = self.lock();
        queue.in_flight = queue.in_flight.saturating_sub(1);
        if !queue.waiters.is_empty() {
            self.wake_at(&mut queue, Instant::now());
        }
    }

    /// Lets calls go, each at its time, until nobody waits.
    async fn serve(self: Arc<Self>) {
        loop {
            let (granted, next) = {
                let mut queue = self.lock();
                let granted = queue.grant(Instant::now(), &self);
                queue.served = queue.next.is_some();
                (granted, queue.next)
            };
            for (grant, permit) in granted {
                // To one who left just now: the permit comes back, is dropped, and gives back what it took. That takes
                // the lock, so it is not done above.
                drop(grant.send(permit));
            }
            let Some(next) = next else { return };
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                () = self.sooner.notified() => {}
            }
        }
    }
}

impl Queue {
    /// The share of the documented rate that was used of late.
    pub(super) fn quota_used(&self, now: Instant) -> f64 {
        self.meter.rate(now) / self.bucket.documented_rate()
    }

    /// For how long the queue should have been looked at; none while nobody waits.
    pub(super) fn overdue(&self, now: Instant) -> Duration {
        self.next.map(|next| now.saturating_duration_since(next)).unwrap_or_default()
    }

    pub(super) fn is_forgettable(&self, now: Instant) -> bool {
        self.bucket.is_forgettable(now) && self.meter.is_quiet(now)
    }

    fn join(&mut self, waiter: Waiter) -> u64 {
        waiter.channel.lock().join_round(&self.turns);
        let arrival = self.arrivals;
        self.arrivals += 1;
        self.waiters.insert(arrival, waiter);
        arrival
    }

    fn leave(&mut self, arrival: u64, served: bool) -> Option<Waiter> {
        let waiter = self.waiters.remove(&arrival)?;
        waiter.channel.lock().leave_round(served);
        Some(waiter)
    }

    /// Takes from the bearer's and the channel's bucket and a place among the calls under way, or nothing of it.
    fn take(&mut self, channel: &Channel, operation: Operation, now: Instant) -> bool {
        let mut pace = channel.lock();
        if self.in_flight >= self.concurrency
            || self.bucket.ready_at() > now
            || pace.ready_at(operation).is_some_and(|at| at > now)
        {
            return false;
        }
        self.charge(&mut pace, operation, now);
        true
    }

    /// Takes a call's worth from both buckets, into debt if need be, and a place among the calls under way.
    fn charge(&mut self, pace: &mut ChannelPace, operation: Operation, now: Instant) {
        self.in_flight += 1;
        self.meter.count(now);
        self.bucket.take(now);
        if let Some(bucket) = pace.bucket(operation) {
            bucket.take(now);
        }
        pace.turn = self.turns.fetch_add(1, Ordering::Relaxed);
    }

    /// Lets go everybody who can go at `now`, in order, and notes when to look again.
    fn grant(&mut self, now: Instant, bearer: &Arc<Bearer>) -> Vec<(oneshot::Sender<Permit>, Permit)> {
        let mut granted = Vec::new();
        loop {
            match self.first(now) {
                Ok((arrival, channel, operation)) => {
                    // It may fail though the queue is locked: the channel's bucket may have just served another bearer.
                    if self.take(&channel, operation, now)
                        && let Some(waiter) = self.leave(arrival, true)
                    {
                        granted.push((waiter.grant, Permit::new(bearer, &channel, operation, now)));
                    }
                }
                Err(next) => {
                    self.next = next;
                    return granted;
                }
            }
        }
    }

    /// Who goes next at `now`: the most urgent, then the one whose channel's last turn is the longest ago, then the first
    /// come. Otherwise, when to look again.
    ///
    /// Every waiter is looked at, because priority is raised by others without a word, and a channel's bucket may be shared
    /// with another bearer: some 20 ns for each, a call.
    fn first(&self, now: Instant) -> Result<(u64, Arc<Channel>, Operation), Option<Instant>> {
        let ready = self.bucket.ready_at();
        if self.in_flight >= self.concurrency {
            return Err((!self.waiters.is_empty()).then_some(now + UNTIL_ONE_ENDS));
        }
        if ready > now {
            return Err((!self.waiters.is_empty()).then_some(ready));
        }
        let mut best: Option<((Priority, u64, u64), &Waiter)> = None;
        let mut next: Option<Instant> = None;
        for (&arrival, waiter) in &self.waiters {
            let mut pace = waiter.channel.lock();
            if let Some(ready) = pace.ready_at(waiter.operation).filter(|&ready| ready > now) {
                next = Some(next.map_or(ready, |next| next.min(ready)));
                continue;
            }
            let rank = (waiter.priority.current(), pace.turn, arrival);
            if best.is_none_or(|(least, _)| rank < least) {
                best = Some((rank, waiter));
            }
        }
        best.map(|((.., arrival), waiter)| (arrival, Arc::clone(&waiter.channel), waiter.operation)).ok_or(next)
    }
}

/// A place in the queue, left when dropped.
struct Seat<'a> {
    bearer: &'a Bearer,
    arrival: u64,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.bearer.lock().leave(self.arrival, false);
    }
}
