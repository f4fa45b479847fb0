//! The calls a second under each of the service's limits.
//!
//! The documented quotas are those of the AWS General Reference, "Amazon Chime SDK endpoints and
//! quotas", messaging. They are shared with the live chat application, so Rollcall takes a share of
//! them.

use std::str::FromStr;

/// A limit of the service that calls count against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RateLimit {
    /// All calls in the name of one bearer, in a region.
    Bearer,
    /// Batch calls on one channel. AWS does not raise this one on request.
    ChannelBatch,
    /// Listings of one channel's memberships, bans and moderators together.
    ChannelList,
}

impl RateLimit {
    /// Returns the documented default, in calls a second. A region that the quota page does not
    /// name gets the lowest documented value.
    pub fn documented_rate(self, region: &str) -> f64 {
        match (self, region) {
            (Self::Bearer, "us-east-1") => 10.0,
            (Self::Bearer, _) => 5.0,
            (Self::ChannelBatch, _) => 1.0,
            (Self::ChannelList, _) => 15.0,
        }
    }
}

/// The reason why a share or a rate was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RateError {
    /// Not a share of a quota.
    #[error("{0:?} is no share of a quota: write a percentage above 0% and up to 100%, such as 80%")]
    NotAShare(String),
    /// Not a rate.
    #[error("{0:?} is no rate: write calls a second, such as 8 or 0.5, from 0.001 to 1000000, or 0 for no limit")]
    NotARate(String),
}

/// The share of a documented quota that Rollcall uses, above 0 and up to 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct QuotaShare(f64);

impl Default for QuotaShare {
    /// 80 %: leaves the live application a fifth, and a margin for clocks that differ.
    fn default() -> Self {
        Self(0.8)
    }
}

impl QuotaShare {
    /// 20 %: for a command that runs beside an operator and a live application, because their calls
    /// matter more.
    pub const BESIDE_OPERATOR: Self = Self(0.2);

    /// Returns the share as a factor.
    pub fn factor(self) -> f64 {
        self.0
    }
}

impl FromStr for QuotaShare {
    type Err = RateError;

    /// Reads `80%`, or the factor `0.8`.
    fn from_str(text: &str) -> Result<Self, RateError> {
        let (digits, whole) = text.trim().strip_suffix('%').map_or((text.trim(), 1.0), |percent| (percent, 100.0));
        match digits.trim().parse::<f64>() {
            // Below a thousandth, an interval between two calls is no useful length of time.
            Ok(number) if (whole / 1000.0..=whole).contains(&number) => Ok(Self(number / whole)),
            _ => Err(RateError::NotAShare(text.to_owned())),
        }
    }
}

impl std::fmt::Display for QuotaShare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}%", self.0 * 100.0)
    }
}

/// A configured rate that replaces the share, in calls a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FixedRate(Option<f64>);

impl FixedRate {
    /// No limit, written `0`.
    pub const UNLIMITED: Self = Self(None);

    /// Returns the calls a second, or `None` for no limit.
    pub fn per_second(self) -> Option<f64> {
        self.0
    }
}

impl FromStr for FixedRate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        match text.trim().parse::<f64>() {
            Ok(0.0) => Ok(Self::UNLIMITED),
            // Outside of this range an interval between two calls is no useful length of time.
            Ok(rate) if (0.001..=1_000_000.0).contains(&rate) => Ok(Self(Some(rate))),
            _ => Err(RateError::NotARate(text.to_owned())),
        }
    }
}

impl std::fmt::Display for FixedRate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.unwrap_or(0.0))
    }
}

/// The configured rates.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// The share of each documented quota, where no rate is given (`--quota-share`).
    pub share: QuotaShare,
    /// In place of the share: calls of one bearer in a region (`--bearer-rate`).
    pub bearer: Option<FixedRate>,
    /// In place of the share: batches on one channel (`--channel-batch-rate`).
    pub channel_batch: Option<FixedRate>,
    /// In place of the share: listings of one channel (`--channel-list-rate`).
    pub channel_list: Option<FixedRate>,
}

impl Rates {
    /// No limit at all: for a simulator or a benchmark, never for AWS.
    pub const UNLIMITED: Self = Self {
        share: QuotaShare(1.0),
        bearer: Some(FixedRate::UNLIMITED),
        channel_batch: Some(FixedRate::UNLIMITED),
        channel_list: Some(FixedRate::UNLIMITED),
    };

    /// Returns the calls a second under a limit in a region; `None` for no limit.
    pub fn per_second(&self, region: &str, limit: RateLimit) -> Option<f64> {
        let fixed = match limit {
            RateLimit::Bearer => self.bearer,
            RateLimit::ChannelBatch => self.channel_batch,
            RateLimit::ChannelList => self.channel_list,
        };
        fixed.map_or_else(|| Some(limit.documented_rate(region) * self.share.factor()), FixedRate::per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(text: &str) -> FixedRate {
        text.parse().unwrap()
    }

    #[test]
    fn a_share_is_taken_of_the_regions_quota() {
        let rates = Rates::default();
        assert_eq!(rates.per_second("us-east-1", RateLimit::Bearer), Some(8.0));
        assert_eq!(rates.per_second("eu-central-1", RateLimit::Bearer), Some(4.0));
        assert_eq!(rates.per_second("us-east-1", RateLimit::ChannelBatch), Some(0.8));
        assert_eq!(rates.per_second("us-east-1", RateLimit::ChannelList), Some(12.0));
    }

    #[test]
    fn a_region_without_a_documented_quota_gets_the_lowest() {
        assert_eq!(Rates::default().per_second("ap-southeast-9", RateLimit::Bearer), Some(4.0));
    }

    #[test]
    fn a_given_rate_takes_the_place_of_the_share() {
        let rates = Rates { bearer: Some(fixed("40")), channel_batch: Some(fixed("0")), ..Rates::default() };
        assert_eq!(rates.per_second("eu-central-1", RateLimit::Bearer), Some(40.0));
        assert_eq!(rates.per_second("eu-central-1", RateLimit::ChannelBatch), None);
        assert_eq!(rates.per_second("eu-central-1", RateLimit::ChannelList), Some(12.0));
    }

    #[test]
    fn shares_are_read_as_percentages_or_factors() {
        for (text, factor) in [("80%", 0.8), ("0.8", 0.8), (" 20 % ", 0.2), ("100%", 1.0), ("1", 1.0)] {
            assert!((text.parse::<QuotaShare>().unwrap().factor() - factor).abs() < 1e-9, "{text}");
        }
        for bad in ["", "%", "0", "0%", "101%", "1.5", "-1%", "NaN", "inf%", "eighty"] {
            assert!(bad.parse::<QuotaShare>().is_err(), "{bad}");
        }
        assert_eq!(QuotaShare::default().to_string(), "80%");
    }

    #[test]
    fn rates_that_are_no_rates_are_refused_by_name() {
        for bad in ["", "-1", "NaN", "inf", "1e-9", "1e12", "ten", "8/s"] {
            let error = bad.parse::<FixedRate>().unwrap_err();
            assert!(error.to_string().contains(&format!("{bad:?}")), "{error}");
        }
    }
}
