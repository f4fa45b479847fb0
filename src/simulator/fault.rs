//! Faults that are injected into calls on demand.
//!
//! A [`Fault`] selects calls and has an effect on them. It is built in code or read from JSON:
//!
//! ```
//! use rollcall::simulator::{ApiOperation, Fault, FaultEffect};
//!
//! let twice = Fault::new(FaultEffect::status(503)).on(ApiOperation::ListChannels).times(2);
//! let same: Fault = serde_json::from_str(
//!     r#"{"operation": "ListChannels", "times": 2, "effect": {"kind": "refuse", "status": 503}}"#,
//! ).unwrap();
//! assert_eq!(twice, same);
//! ```

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::api_error::ApiError;
use super::operation::ApiOperation;

/// The calls that a fault selects, and its effect on them. All conditions that are set must hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// The operation of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<ApiOperation>,
    /// The ARN of the channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The ARN of the bearer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer: Option<String>,
    /// The ARN of a member that the call names, also among others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// The number of matching calls before the first effect.
    #[serde(default)]
    pub skip: u64,
    /// The number of calls with the effect. If it is absent, the fault stays until it is cleared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// The probability of the effect on a matching call, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// The effect.
    pub effect: FaultEffect,
}

/// The effect of a fault on a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum FaultEffect {
    /// Waits before the call is executed.
    Latency {
        /// The wait in milliseconds.
        milliseconds: u64,
    },
    /// Refuses the call. The call changes nothing.
    Refuse {
        /// The HTTP status.
        status: u16,
        /// The error shape (`AccessDeniedException`, …). The default belongs to the status.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        /// The message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        /// A raw body without an error header, as a proxy might send it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<String>,
    },
    /// Cuts the connection before the call changes anything.
    Cut,
    /// Executes the call, then cuts the connection instead of a response.
    LoseAnswer,
    /// Refuses selected members of a batch. They are not added.
    RefuseMembers {
        /// Their ARNs.
        members: Vec<String>,
        /// The `ErrorCode`. `null` omits it, which the service's model allows.
        code: Option<String>,
        /// The `ErrorMessage`.
        #[serde(default)]
        message: Option<String>,
    },
    /// Omits selected members of a batch from both lists of the response.
    OmitMembers {
        /// Their ARNs.
        members: Vec<String>,
        /// True if they are added nevertheless.
        #[serde(default)]
        added: bool,
    },
    /// Returns a page with the token of the request, so that paging never ends.
    RepeatToken,
    /// Returns a page without a token, although more items follow.
    EndEarly,
}

impl FaultEffect {
    /// Returns an effect that refuses with the modelled error of a status.
    pub fn status(status: u16) -> Self {
        Self::Refuse { status, code: None, message: None, body: None }
    }

    /// Returns an effect that refuses with a status and an error shape.
    pub fn error(status: u16, code: &str) -> Self {
        Self::Refuse { status, code: Some(code.into()), message: None, body: None }
    }

    /// Returns an effect that refuses selected members with a code.
    pub fn members<S: Into<String>>(code: &str, members: impl IntoIterator<Item = S>) -> Self {
        let members = members.into_iter().map(Into::into).collect();
        Self::RefuseMembers { members, code: Some(code.into()), message: Some("injected fault".into()) }
    }

    /// Returns an effect that waits before the call is executed.
    pub fn latency(duration: Duration) -> Self {
        Self::Latency { milliseconds: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX) }
    }
}

impl Fault {
    /// Creates a fault for every call until it is cleared. The methods below narrow it.
    pub fn new(effect: FaultEffect) -> Self {
        Self {
            operation: None,
            channel: None,
            bearer: None,
            member: None,
            skip: 0,
            times: None,
            probability: None,
            effect,
        }
    }

    /// Selects only this operation.
    pub fn on(self, operation: ApiOperation) -> Self {
        Self { operation: Some(operation), ..self }
    }

    /// Selects only calls about this channel.
    pub fn channel(self, arn: &str) -> Self {
        Self { channel: Some(arn.into()), ..self }
    }

    /// Selects only calls of this bearer.
    pub fn bearer(self, arn: &str) -> Self {
        Self { bearer: Some(arn.into()), ..self }
    }

    /// Selects only calls that name this member.
    pub fn member(self, arn: &str) -> Self {
        Self { member: Some(arn.into()), ..self }
    }

    /// Skips this number of matching calls first.
    pub fn skip(self, calls: u64) -> Self {
        Self { skip: calls, ..self }
    }

    /// Ends the fault after this number of calls.
    pub fn times(self, calls: u64) -> Self {
        Self { times: Some(calls), ..self }
    }

    /// Sets the probability of the effect.
    pub fn probability(self, probability: f64) -> Self {
        Self { probability: Some(probability), ..self }
    }
}

/// The parts of a call that the conditions of faults are compared with.
#[derive(Clone, Copy, Debug)]
pub struct FaultTarget<'a> {
    pub operation: ApiOperation,
    pub channel: Option<&'a str>,
    pub bearer: Option<&'a str>,
    pub members: &'a [String],
}

/// The changes that faults make to a call. The default is no change.
#[derive(Clone, Debug, Default)]
pub struct CallTweaks {
    /// The wait before the execution.
    pub latency: Duration,
    /// The event instead of the execution, or instead of the response.
    pub interruption: Option<Interruption>,
    /// The changes to members of a batch, by ARN.
    pub members: HashMap<String, MemberTweak>,
    /// The change to the token of a page.
    pub token: Option<TokenTweak>,
}

/// An event instead of the execution of a call, or instead of its response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// The call is refused, with a raw body instead of the modelled body if there is one.
    Refuse(ApiError, Option<String>),
    /// The connection is cut and the call is not executed.
    Cut,
    /// The call is executed and the connection is cut.
    LoseAnswer,
}

/// The change to one member of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberTweak {
    /// The member is in the errors, with this code and message, and is not added.
    Refuse(Option<String>, Option<String>),
    /// The member is in neither list, and is added nevertheless if this is true.
    Omit(bool),
}

/// The change to the token of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenTweak {
    /// The page has the token of the request.
    Repeat,
    /// The page has no token.
    Drop,
}

#[derive(Debug)]
struct ActiveFault {
    fault: Fault,
    matched: u64,
    hits: u64,
}

/// The faults in force.
#[derive(Debug)]
pub struct FaultRegistry {
    armed: BTreeMap<u64, ActiveFault>,
    last_id: u64,
    random: fastrand::Rng,
}

impl FaultRegistry {
    /// Creates a registry without faults. `random_seed` is the seed for probabilities.
    pub fn new(random_seed: u64) -> Self {
        Self { armed: BTreeMap::new(), last_id: 0, random: fastrand::Rng::with_seed(random_seed) }
    }

    /// Adds a fault. Returns its id, for [`Self::remove`].
    pub fn add(&mut self, fault: Fault) -> u64 {
        self.last_id += 1;
        self.armed.insert(self.last_id, ActiveFault { fault, matched: 0, hits: 0 });
        self.last_id
    }

    /// Removes a fault. Returns true if it existed.
    pub fn remove(&mut self, id: u64) -> bool {
        self.armed.remove(&id).is_some()
    }

    pub fn clear(&mut self) {
        self.armed.clear();
    }

    /// Iterates over all faults with their id and number of hits, including used-up faults.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Fault, u64)> {
        self.armed.iter().map(|(id, armed)| (*id, &armed.fault, armed.hits))
    }

    /// Returns the changes to a call. Latencies add up. The first interruption wins.
    pub fn tweaks_for(&mut self, call: FaultTarget<'_>) -> CallTweaks {
        let mut tweaks = CallTweaks::default();
        for ActiveFault { fault, matched, hits } in self.armed.values_mut() {
            if !fault.matches(call) || fault.times.is_some_and(|times| *hits >= times) {
                continue;
            }
            *matched += 1;
            if *matched <= fault.skip || fault.probability.is_some_and(|probability| self.random.f64() >= probability) {
                continue;
            }
            *hits += 1;
            fault.effect.apply(&mut tweaks);
        }
        tweaks
    }
}

impl Fault {
    fn matches(&self, call: FaultTarget<'_>) -> bool {
        self.operation.is_none_or(|operation| operation == call.operation)
            && self.channel.as_deref().is_none_or(|channel| call.channel == Some(channel))
            && self.bearer.as_deref().is_none_or(|bearer| call.bearer == Some(bearer))
            && self.member.as_ref().is_none_or(|member| call.members.contains(member))
    }
}

impl FaultEffect {
    fn apply(&self, tweaks: &mut CallTweaks) {
        match self {
            Self::Latency { milliseconds } => {
                tweaks.latency = tweaks.latency.saturating_add(Duration::from_millis(*milliseconds));
            }
            Self::Refuse { status, code, message, body } => {
                let mut error = ApiError::of_status(*status);
                if let Some(code) = code {
                    let short = code.trim_end_matches("Exception").trim_end_matches("Client");
                    error.code = short.to_owned().into();
                    error.shape = code.clone().into();
                }
                if let Some(message) = message {
                    error.message.clone_from(message);
                }
                tweaks.interruption.get_or_insert(Interruption::Refuse(error, body.clone()));
            }
            Self::Cut => {
                tweaks.interruption.get_or_insert(Interruption::Cut);
            }
            Self::LoseAnswer => {
                tweaks.interruption.get_or_insert(Interruption::LoseAnswer);
            }
            Self::RefuseMembers { members, code, message } => {
                let refuse = MemberTweak::Refuse(code.clone(), message.clone());
                tweaks.members.extend(members.iter().map(|member| (member.clone(), refuse.clone())));
            }
            Self::OmitMembers { members, added } => {
                tweaks.members.extend(members.iter().map(|member| (member.clone(), MemberTweak::Omit(*added))));
            }
            Self::RepeatToken => tweaks.token = Some(TokenTweak::Repeat),
            Self::EndEarly => tweaks.token = Some(TokenTweak::Drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interrupts(faults: &mut FaultRegistry, operation: ApiOperation, members: &[String]) -> bool {
        let call = FaultTarget { operation, channel: Some("c"), bearer: Some("b"), members };
        faults.tweaks_for(call).interruption.is_some()
    }

    #[test]
    fn fault_skips_calls_and_ends_after_its_times() {
        let mut faults = FaultRegistry::new(0);
        faults.add(Fault::new(FaultEffect::status(500)).on(ApiOperation::ListChannels).skip(1).times(2));
        let struck: Vec<_> = (0..5).map(|_| interrupts(&mut faults, ApiOperation::ListChannels, &[])).collect();
        assert_eq!(struck, [false, true, true, false, false]);
        assert!(!interrupts(&mut faults, ApiOperation::CreateChannel, &[]));
        assert_eq!(faults.iter().map(|(_, _, hits)| hits).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn fault_selects_calls_that_name_a_member() {
        let mut faults = FaultRegistry::new(0);
        let id = faults.add(Fault::new(FaultEffect::Cut).member("m"));
        assert!(!interrupts(&mut faults, ApiOperation::ListChannels, &["x".into()]));
        assert!(interrupts(&mut faults, ApiOperation::ListChannels, &["x".into(), "m".into()]));
        assert!(faults.remove(id) && !faults.remove(id));
        assert!(!interrupts(&mut faults, ApiOperation::ListChannels, &["m".into()]));
    }

    #[test]
    fn probability_depends_on_the_random_seed() {
        let draw = |seed| {
            let mut faults = FaultRegistry::new(seed);
            faults.add(Fault::new(FaultEffect::Cut).probability(0.5));
            (0..64).map(|_| interrupts(&mut faults, ApiOperation::ListChannels, &[])).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert!(draw(7).contains(&true) && draw(7).contains(&false));
    }

    #[test]
    fn latencies_add_up_and_first_interruption_wins() {
        let mut faults = FaultRegistry::new(0);
        for effect in [
            FaultEffect::latency(Duration::from_millis(2)),
            FaultEffect::Cut,
            FaultEffect::latency(Duration::from_millis(3)),
            FaultEffect::LoseAnswer,
        ] {
            faults.add(Fault::new(effect));
        }
        let tweaks = faults.tweaks_for(FaultTarget {
            operation: ApiOperation::ListChannels,
            channel: None,
            bearer: None,
            members: &[],
        });
        assert_eq!((tweaks.latency, tweaks.interruption), (Duration::from_millis(5), Some(Interruption::Cut)));
    }
}
