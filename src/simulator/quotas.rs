//! Token buckets for the call rates of the service.
//!
//! The rates are the defaults of the AWS General Reference, Amazon Chime SDK messaging quotas. AWS
//! does not document how large a burst may be. A bucket here holds the calls of one second, and at
//! least one call.

use std::collections::HashMap;
use std::time::Duration;

use super::operation::ApiOperation;
use crate::membership::arn::{ChannelArn, MemberArn};

/// The call rates above which calls are throttled.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Quotas {
    /// The rates of the service.
    #[default]
    Aws,
    /// The rates of the service times this factor.
    Scaled(f64),
    /// No limit.
    Off,
}

/// A rate that a call counts against.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum RateKey {
    /// All calls of a bearer.
    Bearer(MemberArn),
    /// Batches for a channel.
    Batch(ChannelArn),
    /// Creations and deletions of memberships, bans and moderators in a channel.
    Write(ChannelArn),
    /// Listings of the memberships, bans and moderators of a channel.
    List(ChannelArn),
    /// Descriptions of a channel.
    Describe(ChannelArn),
    /// Listings of an elastic channel's sub-channels.
    SubChannels(ChannelArn),
    /// Listings of a user's channels.
    OfUser(String),
}

#[derive(Clone, Copy, Debug)]
struct BucketLevel {
    tokens: f64,
    filled: Duration,
}

/// The parts of a call that determine its rates.
#[derive(Clone, Copy, Debug)]
pub struct CallCost<'a> {
    pub operation: ApiOperation,
    pub channel: Option<&'a ChannelArn>,
    pub elastic: bool,
    pub bearer: &'a MemberArn,
    /// The user in the query of a listing of a user's channels.
    pub user: Option<&'a str>,
    /// The number of creations that the call counts as, besides one call.
    pub creates: usize,
}

/// The token buckets.
#[derive(Debug)]
pub struct QuotaBuckets {
    scale: Option<f64>,
    buckets: HashMap<RateKey, BucketLevel>,
}

/// The number of buckets above which full buckets are dropped. An absent bucket is full.
const MAX_BUCKETS: usize = 100_000;

impl QuotaBuckets {
    /// Creates full buckets.
    pub fn new(quotas: Quotas) -> Self {
        let scale = match quotas {
            Quotas::Aws => Some(1.0),
            Quotas::Scaled(scale) => Some(scale),
            Quotas::Off => None,
        };
        Self { scale, buckets: HashMap::new() }
    }

    /// Takes the cost of a call from its buckets and returns true. Takes nothing and returns false
    /// if one of them lacks tokens.
    pub fn try_take(&mut self, load: CallCost<'_>, now: Duration) -> bool {
        let Some(scale) = self.scale else { return true };
        #[expect(clippy::cast_precision_loss, reason = "at most 100 members a batch")]
        let creates = load.creates as f64;
        let rates: Vec<(RateKey, f64, f64)> = load
            .rates()
            .into_iter()
            .map(|(rate, a_second)| {
                let cost = if matches!(rate, RateKey::Write(_)) && creates > 0.0 { creates } else { 1.0 };
                (rate, a_second * scale, cost)
            })
            .collect();
        let fits = rates.iter().all(|(rate, a_second, cost)| {
            let capacity = a_second.max(1.0);
            // A call that costs more than the capacity needs a full bucket.
            self.available_tokens(rate, *a_second, now) >= cost.min(capacity)
        });
        if fits {
            for (rate, a_second, cost) in rates {
                let tokens = self.available_tokens(&rate, a_second, now) - cost;
                self.buckets.insert(rate, BucketLevel { tokens, filled: now });
            }
            self.drop_full_buckets(scale, now);
        }
        fits
    }

    fn available_tokens(&self, rate: &RateKey, a_second: f64, now: Duration) -> f64 {
        let capacity = a_second.max(1.0);
        self.buckets.get(rate).map_or(capacity, |bucket| {
            let refill = now.saturating_sub(bucket.filled).as_secs_f64() * a_second;
            (bucket.tokens + refill).min(capacity)
        })
    }

    fn drop_full_buckets(&mut self, scale: f64, now: Duration) {
        if self.buckets.len() > MAX_BUCKETS {
            // The slowest bucket holds one call and fills in 1 / scale seconds.
            let long_enough = Duration::try_from_secs_f64(1.0 / scale).unwrap_or(Duration::MAX);
            self.buckets.retain(|_, bucket| bucket.tokens < 0.0 || now.saturating_sub(bucket.filled) < long_enough);
        }
    }
}

impl CallCost<'_> {
    fn rates(self) -> Vec<(RateKey, f64)> {
        let busiest_region = self.channel.map_or_else(|| region(self.bearer), ChannelArn::region) == "us-east-1";
        let mut rates = vec![(RateKey::Bearer(self.bearer.clone()), if busiest_region { 10.0 } else { 5.0 })];
        let writes = match (self.elastic, busiest_region) {
            (true, _) => 30.0,
            (false, true) => 15.0,
            (false, false) => 10.0,
        };
        let of_channel =
            |rate: fn(ChannelArn) -> RateKey, a_second: f64| self.channel.map(|arn| (rate(arn.clone()), a_second));
        match self.operation {
            ApiOperation::BatchCreateChannelMembership => {
                rates.extend(of_channel(RateKey::Batch, 1.0));
                if self.creates > 0 {
                    rates.extend(of_channel(RateKey::Write, writes));
                }
            }
            ApiOperation::CreateChannelMembership
            | ApiOperation::DeleteChannelMembership
            | ApiOperation::CreateChannelModerator
            | ApiOperation::DeleteChannelModerator
            | ApiOperation::CreateChannelBan
            | ApiOperation::DeleteChannelBan => rates.extend(of_channel(RateKey::Write, writes)),
            ApiOperation::ListChannelMemberships
            | ApiOperation::ListChannelModerators
            | ApiOperation::ListChannelBans => {
                rates.extend(of_channel(RateKey::List, 15.0));
            }
            ApiOperation::DescribeChannel => rates.extend(of_channel(RateKey::Describe, 20.0)),
            ApiOperation::ListSubChannels => rates.extend(of_channel(RateKey::SubChannels, 15.0)),
            ApiOperation::ListChannelMembershipsForAppInstanceUser => {
                rates.push((RateKey::OfUser(self.user.unwrap_or(self.bearer.as_str()).to_owned()), 15.0));
            }
            _ => {}
        }
        rates
    }
}

fn region(member: &MemberArn) -> &str {
    member.as_str().split(':').nth(3).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(region: &str, id: &str) -> ChannelArn {
        ChannelArn::parse(&format!("arn:aws:chime:{region}:1:app-instance/a/channel/{id}")).unwrap()
    }

    fn bearer(id: &str) -> MemberArn {
        MemberArn::parse(&format!("arn:aws:chime:us-east-1:1:app-instance/a/user/{id}")).unwrap()
    }

    fn admitted(
        buckets: &mut QuotaBuckets,
        operation: ApiOperation,
        channel: &ChannelArn,
        bearer: &MemberArn,
        now: f64,
    ) -> bool {
        let load = CallCost { operation, channel: Some(channel), elastic: false, bearer, user: None, creates: 0 };
        buckets.try_take(load, Duration::from_secs_f64(now))
    }

    #[test]
    fn channel_takes_one_batch_per_second_from_all_bearers() {
        let (mut buckets, support) = (QuotaBuckets::new(Quotas::Aws), channel("us-east-1", "support"));
        let mut batch = |channel: &ChannelArn, id: &str, now| {
            admitted(&mut buckets, ApiOperation::BatchCreateChannelMembership, channel, &bearer(id), now)
        };
        assert!(batch(&support, "x", 0.0));
        assert!(!batch(&support, "y", 0.9));
        assert!(batch(&channel("us-east-1", "other"), "x", 0.9));
        assert!(batch(&support, "y", 1.0));
    }

    fn passed_in_region(region: &str) -> usize {
        let mut buckets = QuotaBuckets::new(Quotas::Aws);
        let mut list = |number| {
            let channel = channel(region, &format!("c{number}"));
            admitted(&mut buckets, ApiOperation::ListChannelMemberships, &channel, &bearer("x"), 0.0)
        };
        (0..20).filter(|number| list(*number)).count()
    }

    #[test]
    fn bearer_makes_ten_calls_per_second_in_us_east_1() {
        assert_eq!(passed_in_region("us-east-1"), 10);
    }

    #[test]
    fn bearer_makes_five_calls_per_second_in_other_regions() {
        assert_eq!(passed_in_region("eu-central-1"), 5);
    }

    #[test]
    fn throttled_call_costs_the_other_rates_nothing() {
        let (mut buckets, support) = (QuotaBuckets::new(Quotas::Aws), channel("us-east-1", "support"));
        let batch = ApiOperation::BatchCreateChannelMembership;
        let refused = (0..50).filter(|_| !admitted(&mut buckets, batch, &support, &bearer("x"), 0.0)).count();
        assert_eq!(refused, 49);
        assert!(admitted(&mut buckets, ApiOperation::ListChannelMemberships, &support, &bearer("x"), 0.0));
    }

    #[test]
    fn rates_can_be_scaled_and_disabled() {
        let support = channel("us-east-1", "support");
        let passed = |quotas| {
            let mut buckets = QuotaBuckets::new(quotas);
            let batch = ApiOperation::BatchCreateChannelMembership;
            (0..100).filter(|_| admitted(&mut buckets, batch, &support, &bearer("x"), 0.0)).count()
        };
        assert_eq!(passed(Quotas::Scaled(4.0)), 4);
        assert_eq!(passed(Quotas::Scaled(0.5)), 1);
        assert_eq!(passed(Quotas::Off), 100);
    }
}
