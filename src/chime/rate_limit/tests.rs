//! Tests of the rates and of the order, on tokio's paused clock: hours pass in no time, and every
//! run is the same.
#![expect(clippy::unchecked_time_subtraction, reason = "a negative time fails the test as well")]

mod credit;

use std::num::NonZeroU16;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::*;

const LIST: Operation = Operation::ListChannelMemberships;
const BATCH: Operation = Operation::BatchCreateChannelMembership;
const DESCRIBE: Operation = Operation::DescribeChannelMembership;

fn target_in(region: &str, channel: usize) -> Target {
    let instance = format!("arn:aws:chime:{region}:123456789012:app-instance/1f");
    Target {
        channel: ChannelArn::parse(&format!("{instance}/channel/c{channel}")).unwrap(),
        membership_type: crate::api::MembershipType::Default,
        bearer: MemberArn::parse(&format!("{instance}/user/rollcall")).unwrap(),
        sub_channel: None,
    }
}

fn target(channel: usize) -> Target {
    target_in("us-east-1", channel)
}

fn limiter(rates: Rates) -> Arc<RateLimiter> {
    Arc::new(RateLimiter::new(rates, NonZeroU16::MAX))
}

fn fixed(rate: &str) -> FixedRate {
    rate.parse().unwrap()
}

/// A limiter and the order in which calls were let go.
struct Bench {
    limiter: Arc<RateLimiter>,
    start: Instant,
    calls: JoinSet<()>,
    log: mpsc::UnboundedSender<(usize, Duration)>,
    logged: mpsc::UnboundedReceiver<(usize, Duration)>,
}

impl Bench {
    fn new(rates: Rates) -> Self {
        let (log, logged) = mpsc::unbounded_channel();
        Self { limiter: limiter(rates), start: Instant::now(), calls: JoinSet::new(), log, logged }
    }

    /// Makes a call of its own task, logged under `name` when it is let go.
    fn call(&mut self, name: usize, target: Target, operation: Operation, priority: &SharedPriority) {
        let (limiter, log, start, priority) =
            (Arc::clone(&self.limiter), self.log.clone(), self.start, priority.clone());
        self.calls.spawn(async move {
            let call = limiter.acquire_permit(&target, operation, &priority).await.start();
            log.send((name, start.elapsed())).unwrap();
            call.succeeded();
        });
    }

    /// Lets all tasks come to a wait, without time passing.
    async fn settle(&self) {
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
    }

    async fn order(mut self) -> Vec<(usize, Duration)> {
        while self.calls.join_next().await.is_some() {}
        drop(self.log);
        let mut order = Vec::new();
        while let Some(entry) = self.logged.recv().await {
            order.push(entry);
        }
        order
    }
}

fn names(order: &[(usize, Duration)]) -> Vec<usize> {
    order.iter().map(|(name, _)| *name).collect()
}

#[tokio::test(start_paused = true)]
async fn a_bearer_is_kept_to_its_share_of_the_regions_quota_within_two_percent() {
    for (region, rate) in [("us-east-1", 8.0), ("eu-central-1", 4.0)] {
        let mut bench = Bench::new(Rates::default());
        for channel in 0..400 {
            bench.call(channel, target_in(region, channel), LIST, &SharedPriority::new(Priority::Resync));
        }
        let took = bench.order().await.last().unwrap().1.as_secs_f64();
        assert!(took >= 399.0 / rate - 0.06, "{took} s in {region}");
        assert!(took <= 400.0 / rate * 1.02, "{took} s in {region}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_channels_batches_are_kept_below_one_a_second() {
    let mut bench = Bench::new(Rates::default());
    for batch in 0..20 {
        bench.call(batch, target(1), BATCH, &SharedPriority::new(Priority::Edit));
    }
    let order = bench.order().await;
    for pair in order.windows(2) {
        assert!(pair[1].1 - pair[0].1 >= Duration::from_millis(1200), "{pair:?}");
    }
    assert!(order[19].1 <= Duration::from_millis(19 * 1250 + 60));
}

#[tokio::test(start_paused = true)]
async fn many_tasks_never_take_more_than_the_rate_and_the_capacity_in_a_second() {
    let mut bench = Bench::new(Rates { bearer: Some(fixed("50")), ..Rates::default() });
    for call in 0..500 {
        bench.call(
            call,
            target(call % 200),
            if call % 2 == 0 { LIST } else { DESCRIBE },
            &SharedPriority::new(Priority::Retry),
        );
        if call % 37 == 0 {
            tokio::time::sleep(Duration::from_millis(70)).await;
        }
    }
    let order = bench.order().await;
    for (first, (_, begin)) in order.iter().enumerate() {
        let second = order[first..].iter().take_while(|(_, at)| *at <= *begin + Duration::from_secs(1)).count();
        assert!(second <= 50 + 1 + 3, "{second} calls in the second from {begin:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_high_rate_is_held_although_timers_tick_in_milliseconds() {
    let mut bench =
        Bench::new(Rates { bearer: Some(fixed("4000")), channel_list: Some(fixed("0")), ..Rates::default() });
    for call in 0..8000 {
        bench.call(call, target(call % 10), LIST, &SharedPriority::new(Priority::Resync));
    }
    let took = bench.order().await.last().unwrap().1.as_secs_f64();
    assert!((1.9..2.05).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn an_edit_goes_before_a_retry_before_a_resync() {
    let mut bench = Bench::new(Rates::default());
    for (name, level) in [(0, Priority::Resync), (1, Priority::Resync), (2, Priority::Retry), (3, Priority::Edit)] {
        bench.call(name, target(name), LIST, &SharedPriority::new(level));
        bench.settle().await;
    }
    assert_eq!(names(&bench.order().await), [0, 3, 2, 1]);
}

#[tokio::test(start_paused = true)]
async fn an_edit_behind_five_thousand_resyncs_is_let_go_next() {
    let mut bench = Bench::new(Rates::default());
    for name in 0..5000 {
        bench.call(name, target(name), LIST, &SharedPriority::new(Priority::Resync));
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    let asked = bench.start.elapsed();
    bench.call(9999, target(9999), BATCH, &SharedPriority::new(Priority::Edit));
    let order = bench.order().await;
    let edit = order.iter().find(|(name, _)| *name == 9999).unwrap().1;
    assert!(edit - asked <= Duration::from_millis(130), "{:?}", edit - asked);
    assert_eq!(order.len(), 5001);
}

#[tokio::test(start_paused = true)]
async fn a_resync_that_an_edit_joins_is_promoted_while_it_waits() {
    let mut bench = Bench::new(Rates::default());
    let joined = SharedPriority::new(Priority::Resync);
    for name in 0..20 {
        let own = SharedPriority::new(Priority::Resync);
        bench.call(name, target(name), LIST, if name == 19 { &joined } else { &own });
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    joined.raise_to(Priority::Edit);
    assert_eq!(names(&bench.order().await)[..3], [0, 1, 19]);
}

#[tokio::test(start_paused = true)]
async fn a_channel_with_a_hundred_calls_does_not_starve_one_with_one() {
    let mut bench = Bench::new(Rates::default());
    let priority = SharedPriority::new(Priority::Resync);
    for name in 0..100 {
        bench.call(name, target(1), LIST, &priority);
    }
    bench.settle().await;
    bench.call(100, target(2), LIST, &priority);
    bench.call(101, target(3), LIST, &priority);
    assert_eq!(names(&bench.order().await)[..5], [0, 1, 100, 101, 2]);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_its_channel_holds_up_nobody_else() {
    let mut bench = Bench::new(Rates::default());
    let edit = SharedPriority::new(Priority::Edit);
    for name in 0..3 {
        bench.call(name, target(1), BATCH, &edit);
    }
    for name in 3..8 {
        bench.call(name, target(name), LIST, &SharedPriority::new(Priority::Resync));
    }
    let order = bench.order().await;
    assert_eq!(names(&order), [0, 3, 4, 5, 6, 7, 1, 2]);
    assert!(order[5].1 <= Duration::from_millis(630), "{order:?}");
    assert!(order[7].1 >= Duration::from_millis(2400), "{order:?}");
}

#[tokio::test(start_paused = true)]
async fn bearers_and_regions_do_not_wait_for_each_other() {
    let mut bench = Bench::new(Rates::default());
    let mut other = target(1);
    other.bearer = MemberArn::parse("arn:aws:chime:us-east-1:123456789012:app-instance/1f/bot/other").unwrap();
    for (name, target) in [target(1), other, target_in("eu-central-1", 1)].into_iter().enumerate() {
        bench.call(name, target, DESCRIBE, &SharedPriority::new(Priority::Retry));
    }
    assert!(bench.order().await.iter().all(|(_, at)| at.is_zero()));
}

#[tokio::test(start_paused = true)]
async fn a_channels_limit_holds_for_all_its_bearers_together() {
    let mut bench = Bench::new(Rates::default());
    let mut other = target(1);
    other.bearer = MemberArn::parse("arn:aws:chime:us-east-1:123456789012:app-instance/1f/bot/other").unwrap();
    for name in 0..10 {
        bench.call(
            name,
            if name % 2 == 0 { target(1) } else { other.clone() },
            BATCH,
            &SharedPriority::new(Priority::Edit),
        );
    }
    for pair in bench.order().await.windows(2) {
        assert!(pair[1].1 - pair[0].1 >= Duration::from_millis(1200), "{pair:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_limits_nobody_waits() {
    let mut bench = Bench::new(Rates::UNLIMITED);
    for name in 0..3000 {
        bench.call(name, target(name % 7), BATCH, &SharedPriority::new(Priority::Resync));
    }
    let order = bench.order().await;
    assert_eq!(order.len(), 3000);
    assert!(order.iter().all(|(_, at)| at.is_zero()));
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_dropped_costs_nobody_anything() {
    let mut bench = Bench::new(Rates::default());
    let priority = SharedPriority::new(Priority::Edit);
    bench.call(0, target(0), LIST, &priority);
    bench.settle().await;
    for channel in 1..50 {
        let place = target(channel);
        let waiting = bench.limiter.acquire_permit(&place, LIST, &priority);
        assert!(tokio::time::timeout(Duration::ZERO, waiting).await.is_err());
    }
    bench.call(1, target(1), LIST, &priority);
    let order = bench.order().await;
    assert!(order[1].1 <= Duration::from_millis(127), "{order:?}");
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_is_granted_but_never_received_is_given_back() {
    let limiter = limiter(Rates::default());
    let (place, priority) = (target(0), SharedPriority::new(Priority::Edit));
    limiter.acquire_permit(&place, BATCH, &priority).await.start().succeeded();
    let mut waiting = Box::pin(limiter.acquire_permit(&place, BATCH, &priority));
    assert!(futures::poll!(&mut waiting).is_pending());
    // The grant arrives, but the task does not poll for it.
    tokio::time::sleep(Duration::from_secs(2)).await;
    drop(waiting);
    let asked = Instant::now();
    drop(limiter.acquire_permit(&place, BATCH, &priority).await.start());
    assert_eq!(asked.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_permit_without_a_call_is_given_back_to_those_who_wait() {
    let mut bench = Bench::new(Rates { bearer: Some(fixed("0.1")), ..Rates::default() });
    let unused = bench.limiter.acquire_permit(&target(0), LIST, &SharedPriority::new(Priority::Edit)).await;
    bench.call(1, target(1), LIST, &SharedPriority::new(Priority::Edit));
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(unused);
    assert!(bench.order().await[0].1 <= Duration::from_millis(105));
}

#[tokio::test(start_paused = true)]
async fn listing_answered_429_halves_the_bearer_until_successes_restore_it() {
    let bench = Bench::new(Rates::default());
    let (limiter, priority) = (&bench.limiter, SharedPriority::new(Priority::Resync));
    limiter.acquire_permit(&target(0), LIST, &priority).await.start().throttled();
    let asked = Instant::now();
    limiter.acquire_permit(&target(1), LIST, &priority).await.start().succeeded();
    assert!(asked.elapsed() >= Duration::from_secs(1));
    let asked = Instant::now();
    for call in 0..40 {
        limiter.acquire_permit(&target(call), LIST, &priority).await.start().succeeded();
    }
    let slow = asked.elapsed().as_secs_f64();
    assert!((8.5..10.1).contains(&slow), "{slow}");
    for call in 0..300 {
        limiter.acquire_permit(&target(call), LIST, &priority).await.start().succeeded();
    }
    let asked = Instant::now();
    for call in 0..80 {
        limiter.acquire_permit(&target(call), LIST, &priority).await.start().succeeded();
    }
    assert!((9.9..10.1).contains(&asked.elapsed().as_secs_f64()));
}

#[tokio::test(start_paused = true)]
async fn batch_answered_429_slows_its_channel_and_a_second_one_the_bearer() {
    let limiter = limiter(Rates::default());
    let priority = SharedPriority::new(Priority::Edit);
    limiter.acquire_permit(&target(1), BATCH, &priority).await.start().throttled();
    assert_eq!(limiter.batch_rate(&target(1)), Some(0.4));
    let asked = Instant::now();
    limiter.acquire_permit(&target(2), BATCH, &priority).await.start().succeeded();
    assert!(asked.elapsed() < Duration::from_millis(200));
    limiter.acquire_permit(&target(3), BATCH, &priority).await.start().throttled();
    let asked = Instant::now();
    limiter.acquire_permit(&target(4), BATCH, &priority).await.start().succeeded();
    assert!(asked.elapsed() >= Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_429_slows_even_without_a_limit() {
    let limiter = limiter(Rates::UNLIMITED);
    let priority = SharedPriority::new(Priority::Edit);
    limiter.acquire_permit(&target(1), DESCRIBE, &priority).await.start().throttled();
    let asked = Instant::now();
    for _ in 0..20 {
        limiter.acquire_permit(&target(1), DESCRIBE, &priority).await.start().succeeded();
    }
    assert!(asked.elapsed() >= Duration::from_millis(2700), "{:?}", asked.elapsed());
}

#[tokio::test(start_paused = true)]
async fn buckets_that_nobody_needs_are_forgotten() {
    let mut bench = Bench::new(Rates { bearer: Some(fixed("0")), ..Rates::default() });
    for name in 0..5000 {
        bench.call(name, target(name), LIST, &SharedPriority::new(Priority::Resync));
    }
    let limiter = Arc::clone(&bench.limiter);
    bench.order().await;
    assert_eq!(limiter.limits.lock().channels.len(), 5000);
    tokio::time::sleep(Duration::from_mins(1)).await;
    drop(limiter.acquire_permit(&target(1), LIST, &SharedPriority::new(Priority::Resync)).await.start());
    let limits = limiter.limits.lock();
    assert_eq!((limits.channels.len(), limits.bearers.len()), (1, 1));
    assert!(limits.channels.capacity() < 1000);
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_bucket_buys_no_burst() {
    let mut bench = Bench::new(Rates::default());
    bench.call(0, target(1), BATCH, &SharedPriority::new(Priority::Edit));
    tokio::time::sleep(Duration::from_mins(2)).await;
    let begin = bench.start.elapsed();
    for name in 1..3 {
        bench.call(name, target(1), BATCH, &SharedPriority::new(Priority::Edit));
    }
    let order = bench.order().await;
    assert_eq!(order[1].1, begin);
    assert!(order[2].1 - begin >= Duration::from_millis(1200));
}

#[tokio::test(start_paused = true)]
async fn the_rate_of_batches_in_force_is_told() {
    assert_eq!(limiter(Rates::default()).batch_rate(&target(1)), Some(0.8));
    assert_eq!(limiter(Rates::UNLIMITED).batch_rate(&target(1)), None);
}

#[tokio::test(start_paused = true)]
async fn a_channel_whose_call_left_without_its_turn_keeps_its_place() {
    let mut bench = Bench::new(Rates::default());
    let priority = SharedPriority::new(Priority::Edit);
    bench.call(0, target(0), LIST, &priority);
    bench.settle().await;
    let place = target(1);
    let limiter = Arc::clone(&bench.limiter);
    let mut edited = Box::pin(limiter.acquire_permit(&place, LIST, &priority));
    assert!(futures::poll!(&mut edited).is_pending());
    for channel in 2..6 {
        bench.call(channel, target(channel), LIST, &priority);
    }
    bench.settle().await;
    drop(edited);
    bench.call(1, target(1), LIST, &priority);
    assert_eq!(names(&bench.order().await), [0, 1, 2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn the_task_that_serves_a_queue_ends_with_it() {
    let limiter = limiter(Rates::default());
    let served = Arc::new(AtomicUsize::new(0));
    for round in 1..=3 {
        for channel in 0..4 {
            limiter
                .acquire_permit(&target(channel), LIST, &SharedPriority::new(Priority::Edit))
                .await
                .start()
                .succeeded();
            served.fetch_add(1, Ordering::Relaxed);
        }
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0, "round {round}");
    }
    assert_eq!(served.load(Ordering::Relaxed), 12);
}

#[tokio::test(start_paused = true)]
async fn calls_in_flight_stay_within_the_concurrency_limit() {
    let limiter = RateLimiter::new(Rates::UNLIMITED, NonZeroU16::new(2).unwrap());
    let (channel, priority) = (target(0), SharedPriority::new(Priority::Edit));
    let ask = || limiter.acquire_permit(&channel, Operation::ListChannelMemberships, &priority);
    let (first, second) = (ask().await.start(), ask().await);
    let mut third = std::pin::pin!(ask());
    assert!(futures::poll!(&mut third).is_pending());
    first.succeeded();
    let third = third.await;
    let mut fourth = std::pin::pin!(ask());
    assert!(futures::poll!(&mut fourth).is_pending());
    drop((second, third));
    drop(fourth.await);
}
