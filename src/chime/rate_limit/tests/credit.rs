//! Tests that later calls pay for a call on credit, and that each kind of call counts where it
//! should.

use super::*;

const DELETE: Operation = Operation::DeleteChannelMembership;

fn millis(from: Instant) -> u128 {
    from.elapsed().as_millis()
}

#[tokio::test(start_paused = true)]
async fn calls_on_credit_go_at_once_and_later_calls_wait_for_each_of_them() {
    let limiter = limiter(Rates::default());
    let began = Instant::now();
    for call in 0..4 {
        limiter.permit_on_credit(&target(call), DELETE).start().succeeded();
    }
    assert_eq!(millis(began), 0);
    limiter.acquire_permit(&target(9), DESCRIBE, &SharedPriority::new(Priority::Edit)).await.start().succeeded();
    assert!((500..=502).contains(&millis(began)), "{}", millis(began));
}

#[tokio::test(start_paused = true)]
async fn a_call_on_credit_takes_its_turn_from_those_who_wait_already() {
    let mut bench = Bench::new(Rates::default());
    for name in 0..3 {
        bench.call(name, target(name), LIST, &SharedPriority::new(Priority::Edit));
    }
    bench.settle().await;
    bench.limiter.permit_on_credit(&target(1), DELETE).start().succeeded();
    let order = bench.order().await;
    assert_eq!(order[0].1, Duration::ZERO);
    assert!(order[1].1 >= Duration::from_millis(250) && order[2].1 >= Duration::from_millis(375), "{order:?}");
}

#[tokio::test(start_paused = true)]
async fn looks_each_followed_by_a_delete_keep_the_bearers_rate() {
    let limiter = limiter(Rates::default());
    let began = Instant::now();
    for pair in 0..200 {
        limiter
            .acquire_permit(&target(pair % 3), DESCRIBE, &SharedPriority::new(Priority::Edit))
            .await
            .start()
            .succeeded();
        limiter.permit_on_credit(&target(pair % 3), DELETE).start().succeeded();
    }
    let took = began.elapsed().as_secs_f64();
    assert!((398.0 / 8.0 - 0.06..400.0 / 8.0 * 1.02).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn a_call_on_credit_is_under_way_beside_as_many_as_may_be_and_counts() {
    let limiter = RateLimiter::new(Rates::UNLIMITED, NonZeroU16::MIN);
    let (place, priority) = (target(0), SharedPriority::new(Priority::Edit));
    let only = limiter.acquire_permit(&place, DESCRIBE, &priority).await.start();
    let one_more = limiter.permit_on_credit(&place, DELETE).start();
    let mut next = std::pin::pin!(limiter.acquire_permit(&place, DESCRIBE, &priority));
    only.succeeded();
    assert!(tokio::time::timeout(Duration::from_mins(1), &mut next).await.is_err());
    one_more.succeeded();
    drop(next.await);
}

#[tokio::test(start_paused = true)]
async fn a_permit_on_credit_without_a_call_gives_back_what_it_took() {
    let limiter = RateLimiter::new(Rates::default(), NonZeroU16::MIN);
    let began = Instant::now();
    for _ in 0..4 {
        drop(limiter.permit_on_credit(&target(0), DELETE));
    }
    drop(limiter.acquire_permit(&target(0), DESCRIBE, &SharedPriority::new(Priority::Edit)).await.start());
    assert_eq!(millis(began), 0);
}

#[tokio::test(start_paused = true)]
async fn lists_of_any_kind_share_the_rate_of_the_channel_and_other_calls_do_not() {
    let mut bench =
        Bench::new(Rates { bearer: Some(FixedRate::UNLIMITED), channel_list: Some(fixed("1")), ..Rates::default() });
    let lists = [LIST, Operation::ListChannelModerators, Operation::ListChannelBans, Operation::ListSubChannels];
    for (name, operation) in lists.into_iter().chain([DESCRIBE, DELETE, Operation::DescribeChannel]).enumerate() {
        bench.call(name, target(1), operation, &SharedPriority::new(Priority::Edit));
    }
    let order = bench.order().await;
    assert_eq!(names(&order), [0, 4, 5, 6, 1, 2, 3]);
    let at: Vec<_> = order.iter().map(|(_, at)| at.as_secs_f64().round()).collect();
    assert_eq!(at, [0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 3.0]);
}

#[tokio::test(start_paused = true)]
async fn a_429_to_anything_but_a_batch_slows_the_bearer_and_no_channel() {
    for operation in [
        DELETE,
        Operation::DescribeChannel,
        Operation::ListChannelModerators,
        Operation::ListChannelBans,
        Operation::ListSubChannels,
    ] {
        let limiter = limiter(Rates::default());
        limiter.permit_on_credit(&target(1), operation).start().throttled();
        assert_eq!(limiter.batch_rate(&target(1)), Some(0.8), "{operation}");
        let began = Instant::now();
        limiter.acquire_permit(&target(2), DESCRIBE, &SharedPriority::new(Priority::Edit)).await.start().succeeded();
        assert!((1000..=1002).contains(&millis(began)), "{operation}: {}", millis(began));
        limiter.acquire_permit(&target(3), DESCRIBE, &SharedPriority::new(Priority::Edit)).await.start().succeeded();
        assert!(millis(began) >= 1200, "{operation}: {}", millis(began));
    }
}
