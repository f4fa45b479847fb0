//! The cost of a plan, in calls and in time.
//!
//! The estimate counts the fewest calls that the operator makes, at its own rate: listings,
//! batches, and one check and one delete for each removal. It does not count retries, nor the time
//! in which a plan waits for approval.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::plan::Cost;
use crate::chime::port::{MAX_BATCH, Target};
use crate::chime::rate_limit::{RateLimit, Rates};
use crate::engine::dry_run::{DryRun, MemberCounts};
use crate::membership::arn::{ChannelArn, MemberArn};

/// The calls of several dry runs, added up.
#[derive(Debug, Default)]
pub struct CostEstimate {
    total: Cost,
    /// The pages of the largest listing of each target: all its resources share one listing.
    pages: HashMap<Target, usize>,
    /// The channels with removals: all resources with one bearer share the calls about the channel.
    looks: HashSet<(ChannelArn, MemberArn)>,
    batches: HashMap<ChannelArn, usize>,
    calls: HashMap<(String, MemberArn), usize>,
}

impl CostEstimate {
    /// Adds the calls for one more resource.
    pub fn add(&mut self, dry_run: &DryRun) {
        let (Some(target), Some(counts)) = (&dry_run.target, dry_run.counts) else { return };
        self.list(target, counts);
        let batches = dry_run.add.len().div_ceil(MAX_BATCH);
        *self.batches.entry(target.channel.clone()).or_default() += batches;
        self.total.batches += batches;
        self.call(target, batches);
        let removals = dry_run.remove.len();
        self.total.describes += removals;
        self.total.deletes += removals;
        self.call(target, 2 * removals);
        let channel = (target.channel.clone(), target.bearer.clone());
        if removals > 0 && self.looks.insert(channel) {
            // One call reads the channel, and one lists a page of its moderators.
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

    /// Returns the sum at these rates. Bearers and channels work in parallel, so the slowest
    /// decides.
    pub fn total(&self, rates: &Rates) -> Cost {
        let seconds_for = |region: &str, limit: RateLimit, calls: usize| {
            let Some(rate) = rates.per_second(region, limit) else { return 0.0 };
            #[expect(clippy::cast_precision_loss, reason = "calls are far below 2^52")]
            let calls = calls as f64;
            calls / rate
        };
        let pages = self
            .pages
            .iter()
            .map(|(target, pages)| seconds_for(target.channel.region(), RateLimit::ChannelList, *pages));
        let batches = self
            .batches
            .iter()
            .map(|(channel, batches)| seconds_for(channel.region(), RateLimit::ChannelBatch, *batches));
        let calls = self.calls.iter().map(|((region, _), calls)| seconds_for(region, RateLimit::Bearer, *calls));
        let seconds = pages.chain(batches).chain(calls).fold(0.0, f64::max);
        let seconds = Duration::try_from_secs_f64(seconds.ceil()).unwrap_or(Duration::MAX).as_secs();
        Cost { seconds, ..self.total }
    }
}
