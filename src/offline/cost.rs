//! What does carrying out a plan cost, in calls and in time?
//!
//! What the operator calls at least, at the pace that it keeps to: listings, batches, one look before each removal and one delete. Retries
//! and waits for people are not in it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::plan::Cost;
use crate::chime::port::{MAX_BATCH, Target};
use crate::chime::rate_limit::{RateLimit, Rates};
use crate::engine::dry_run::{DryRun, MemberCounts};
use crate::membership::arn::{ChannelArn, MemberArn};

/// Adds up the calls of forecasts.
#[derive(Debug, Default)]
pub struct Bill {
    total: Cost,
    /// Pages of the largest listing of a target: all its resources share one.
    pages: HashMap<Target, usize>,
    /// Channels of which somebody is removed: all resources with one bearer share a look at it.
    looks: HashSet<(ChannelArn, MemberArn)>,
    batches: HashMap<ChannelArn, usize>,
    calls: HashMap<(String, MemberArn), usize>,
}

impl Bill {
    /// One more resource.
    pub fn add(&mut self, forecast: &DryRun) {
        let (Some(target), Some(counts)) = (&forecast.target, forecast.counts) else { return };
        self.list(target, counts);
        let batches = forecast.add.len().div_ceil(MAX_BATCH);
        *self.batches.entry(target.channel.clone()).or_default() += batches;
        self.total.batches += batches;
        self.call(target, batches);
        let removals = forecast.remove.len();
        self.total.describes += removals;
        self.total.deletes += removals;
        self.call(target, 2 * removals);
        let channel = (target.channel.clone(), target.bearer.clone());
        if removals > 0 && self.looks.insert(channel) {
            // The channel itself, and a page of its moderators.
            self.total.channel_looks += 2;
            self.call(target, 2);
        }
    }

    fn list(&mut self, target: &Target, counts: MemberCounts) {
        let known = self.pages.entry(target.clone()).or_default();
        let more = counts.pages.saturating_sub(*known);
        *known += more;
        self.total.listing_pages += more;
        self.call(target, more);
    }

    fn call(&mut self, target: &Target, calls: usize) {
        self.total.calls += calls;
        *self.calls.entry((target.channel.region().to_owned(), target.bearer.clone())).or_default() += calls;
    }

    /// The sum, at these rates: bearers and channels are worked off side by side, so the slowest of them decides.
    pub fn total(&self, rates: &Rates) -> Cost {
        let rest = |region: &str, limit: RateLimit, calls: usize| {
            let Some(rate) = rates.per_second(region, limit) else { return 0.0 };
            #[expect(clippy::cast_precision_loss, reason = "calls are far below 2^52")]
            let calls = calls as f64;
            calls / rate
        };
        let pages =
            self.pages.iter().map(|(target, pages)| rest(target.channel.region(), RateLimit::ChannelList, *pages));
        let batches =
            self.batches.iter().map(|(channel, batches)| rest(channel.region(), RateLimit::ChannelBatch, *batches));
        let calls = self.calls.iter().map(|((region, _), calls)| rest(region, RateLimit::Bearer, *calls));
        let seconds = pages.chain(batches).chain(calls).fold(0.0, f64::max);
        let seconds = Duration::try_from_secs_f64(seconds.ceil()).unwrap_or(Duration::MAX).as_secs();
        Cost { seconds, ..self.total }
    }
}
