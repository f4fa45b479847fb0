//! The queue of one bearer's calls, and their order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::channel::ChannelLimit;
use super::limit::{BearerLimit, LimitState};
use super::permit::Permit;
use super::priority::{Priority, SharedPriority};
use crate::chime::port::Operation;

/// While as many calls are in flight as may be, the queue is looked at when one ends, and after
/// this in any case.
const UNTIL_ONE_ENDS: Duration = Duration::from_secs(1);

/// One bearer's limit in a region, and the calls that wait for it.
#[derive(Debug)]
pub(super) struct BearerQueue {
    pub(super) limit: Arc<BearerLimit>,
    waiting: Mutex<Waiting>,
}

/// Locked before the limit.
#[derive(Debug, Default)]
struct Waiting {
    /// Keyed by arrival.
    waiters: BTreeMap<u64, Waiter>,
    arrivals: u64,
    /// True while a task serves the queue.
    served: bool,
}

#[derive(Debug)]
struct Waiter {
    channel: Arc<ChannelLimit>,
    operation: Operation,
    priority: SharedPriority,
    grant: oneshot::Sender<Permit>,
}

impl BearerQueue {
    pub(super) fn new(limit: BearerLimit) -> Self {
        Self { limit: Arc::new(limit), waiting: Mutex::default() }
    }

    pub(super) fn lock_limit(&self) -> MutexGuard<'_, LimitState> {
        self.limit.lock()
    }

    /// Waits for a turn. Dropping the future leaves the queue.
    pub(super) async fn acquire_permit(
        self: &Arc<Self>,
        channel: &Arc<ChannelLimit>,
        operation: Operation,
        priority: &SharedPriority,
    ) -> Permit {
        loop {
            // Dropped in reverse order: first the place, so that no permit is made any more, then a
            // permit that was.
            let (grant, granted) = oneshot::channel();
            let waiter = Waiter { channel: Arc::clone(channel), operation, priority: priority.clone(), grant };
            let _place = match self.admit(waiter) {
                Ok(permit) => return permit,
                Err(place) => place,
            };
            if let Ok(permit) = granted.await {
                return permit;
            }
        }
    }

    /// Returns a permit at once, whatever the buckets hold.
    pub(super) fn permit_on_credit(&self, channel: &Arc<ChannelLimit>, operation: Operation) -> Permit {
        let now = Instant::now();
        self.limit.take_on_credit(channel, operation, now);
        Permit::new(&self.limit, channel, operation, now)
    }

    /// Lets the call go at once, or gives it a place in the queue.
    fn admit(self: &Arc<Self>, waiter: Waiter) -> Result<Permit, Place<'_>> {
        let now = Instant::now();
        let (mut waiting, mut limit) = (self.waiting.lock(), self.limit.lock());
        // A call that can go before every waiting call takes no other call's turn.
        let undisputed = limit.next_turn.is_none_or(|next| now < next);
        if undisputed && limit.try_take(&waiter.channel, waiter.operation, now) {
            return Ok(Permit::new(&self.limit, &waiter.channel, waiter.operation, now));
        }
        let ready = limit.bucket.ready_at();
        let ready = waiter.channel.lock().ready_at(waiter.operation).map_or(ready, |at| at.max(ready));
        waiter.channel.lock().join_round(&limit.turns);
        let arrival = waiting.arrivals;
        waiting.arrivals += 1;
        waiting.waiters.insert(arrival, waiter);
        self.limit.wake_at(&mut limit, ready);
        if !waiting.served {
            waiting.served = true;
            tokio::spawn(Arc::clone(self).serve());
        }
        Err(Place { queue: self, arrival })
    }

    /// Lets calls go, each at its time, until none waits.
    async fn serve(self: Arc<Self>) {
        loop {
            let (granted, next) = {
                let (mut waiting, mut limit) = (self.waiting.lock(), self.limit.lock());
                let granted = waiting.grant(&mut limit, Instant::now(), &self.limit);
                waiting.served = limit.next_turn.is_some();
                (granted, limit.next_turn)
            };
            for (grant, permit) in granted {
                // If the waiter is gone, the send fails and dropping the permit refunds it.
                // Dropping takes the lock, so it happens after the lock is released.
                drop(grant.send(permit));
            }
            let Some(next) = next else { return };
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                () = self.limit.wake.notified() => {}
            }
        }
    }
}

impl Waiting {
    fn leave(&mut self, arrival: u64, served: bool) -> Option<Waiter> {
        let waiter = self.waiters.remove(&arrival)?;
        waiter.channel.lock().leave_round(served);
        Some(waiter)
    }

    /// Lets every call go that can go at `now`, in order, and notes when to look again.
    fn grant(
        &mut self,
        limit: &mut LimitState,
        now: Instant,
        bearer: &Arc<BearerLimit>,
    ) -> Vec<(oneshot::Sender<Permit>, Permit)> {
        let mut granted = Vec::new();
        loop {
            match self.first_ready(limit, now) {
                NextTurn::Now { arrival, channel, operation } => {
                    // Taking may fail though the queue is locked: the channel's bucket may have
                    // just served another bearer.
                    if limit.try_take(&channel, operation, now)
                        && let Some(waiter) = self.leave(arrival, true)
                    {
                        granted.push((waiter.grant, Permit::new(bearer, &channel, operation, now)));
                    }
                }
                NextTurn::At(time) => {
                    limit.next_turn = time;
                    return granted;
                }
            }
        }
    }

    /// Returns the call that goes next at `now`: the most urgent, then the call whose channel's
    /// last turn is the longest ago, then the first come. Otherwise returns when to look again.
    ///
    /// Looks at every waiter, because a shared priority may be raised at any time, and a channel's
    /// bucket may be shared with another bearer. This costs some 20 ns for each waiter, a call.
    fn first_ready(&self, limit: &LimitState, now: Instant) -> NextTurn {
        let ready = limit.bucket.ready_at();
        if limit.is_full() {
            return NextTurn::At((!self.waiters.is_empty()).then_some(now + UNTIL_ONE_ENDS));
        }
        if ready > now {
            return NextTurn::At((!self.waiters.is_empty()).then_some(ready));
        }
        let mut best: Option<((Priority, u64, u64), &Waiter)> = None;
        let mut next: Option<Instant> = None;
        for (&arrival, waiter) in &self.waiters {
            let mut buckets = waiter.channel.lock();
            if let Some(ready) = buckets.ready_at(waiter.operation).filter(|&ready| ready > now) {
                next = Some(next.map_or(ready, |next| next.min(ready)));
                continue;
            }
            let rank = (waiter.priority.current(), buckets.turn, arrival);
            if best.is_none_or(|(least, _)| rank < least) {
                best = Some((rank, waiter));
            }
        }
        match best {
            Some(((.., arrival), waiter)) => {
                NextTurn::Now { arrival, channel: Arc::clone(&waiter.channel), operation: waiter.operation }
            }
            None => NextTurn::At(next),
        }
    }
}

enum NextTurn {
    /// This call goes now.
    Now { arrival: u64, channel: Arc<ChannelLimit>, operation: Operation },
    /// No call can go before this time; `None` if none waits.
    At(Option<Instant>),
}

/// A place in the queue, left when dropped.
struct Place<'a> {
    queue: &'a BearerQueue,
    arrival: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.queue.waiting.lock().leave(self.arrival, false);
    }
}
