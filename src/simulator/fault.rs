//! What goes wrong on demand?
//!
//! A [`Fault`] says which calls it strikes and what it does to them. It is built in code or read from JSON:
//!
//! ```
//! use rollcall::simulator::{Effect, Fault, Operation};
//!
//! let twice_busy = Fault::new(Effect::status(503)).on(Operation::ListChannelMemberships).times(2);
//! let same: Fault = serde_json::from_str(
//!     r#"{"operation": "ListChannelMemberships", "times": 2, "effect": {"kind": "refuse", "status": 503}}"#,
//! ).unwrap();
//! assert_eq!(twice_busy, same);
//! ```

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::api_error::ApiError;
use super::operation::ApiOperation;

/// Which calls are struck, and how. Every condition that is set must hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// Only this operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<ApiOperation>,
    /// Only calls about this channel, by ARN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Only calls in this bearer's name, by ARN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer: Option<String>,
    /// Only calls that name this member, by ARN: a batch with them among others too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// Lets so many matching calls through first.
    #[serde(default)]
    pub skip: u64,
    /// Strikes so many calls; without it, until cleared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// Strikes each matching call with this probability, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// What it does.
    pub effect: FaultEffect,
}

/// What a fault does to a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum FaultEffect {
    /// Waits before the call is performed.
    Latency {
        /// How long, in milliseconds.
        milliseconds: u64,
    },
    /// Refuses the call, which has no effect.
    Refuse {
        /// The HTTP status.
        status: u16,
        /// The error shape (`AccessDeniedException`, …) in place of the one that goes with the status.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        /// The text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        /// A body as it is, with no error header, in place of code and text: what a proxy in between might answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<String>,
    },
    /// Cuts the connection before the call has any effect.
    Cut,
    /// Performs the call, then cuts the connection in place of the answer.
    LoseAnswer,
    /// Answers for chosen members of a batch, who are not added.
    RefuseMembers {
        /// Their ARNs.
        members: Vec<String>,
        /// The `ErrorCode`; absent if `null`, which the service's model allows.
        code: Option<String>,
        /// The `ErrorMessage`.
        #[serde(default)]
        message: Option<String>,
    },
    /// Leaves chosen members of a batch out of both lists of its answer.
    OmitMembers {
        /// Their ARNs.
        members: Vec<String>,
        /// Whether they are added all the same.
        #[serde(default)]
        added: bool,
    },
    /// A page answers with the token it was asked with, so that paging goes round in circles.
    RepeatToken,
    /// A page answers without a token though there is more.
    EndEarly,
}

impl FaultEffect {
    /// Refuses with the modelled error of a status.
    pub fn status(status: u16) -> Self {
        Self::Refuse { status, code: None, message: None, body: None }
    }

    /// Refuses with a status and an error shape.
    pub fn error(status: u16, code: &str) -> Self {
        Self::Refuse { status, code: Some(code.into()), message: None, body: None }
    }

    /// Refuses chosen members with a code.
    pub fn members<S: Into<String>>(code: &str, members: impl IntoIterator<Item = S>) -> Self {
        let members = members.into_iter().map(Into::into).collect();
        Self::RefuseMembers { members, code: Some(code.into()), message: Some("injected fault".into()) }
    }

    /// Waits before the call is performed.
    pub fn latency(duration: Duration) -> Self {
        Self::Latency { milliseconds: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX) }
    }
}

impl Fault {
    /// Strikes every call until cleared; narrow it with the methods below.
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

    /// Only this operation.
    pub fn on(self, operation: ApiOperation) -> Self {
        Self { operation: Some(operation), ..self }
    }

    /// Only calls about this channel.
    pub fn channel(self, arn: &str) -> Self {
        Self { channel: Some(arn.into()), ..self }
    }

    /// Only calls in this bearer's name.
    pub fn bearer(self, arn: &str) -> Self {
        Self { bearer: Some(arn.into()), ..self }
    }

    /// Only calls that name this member.
    pub fn member(self, arn: &str) -> Self {
        Self { member: Some(arn.into()), ..self }
    }

    /// Lets so many matching calls through first.
    pub fn skip(self, calls: u64) -> Self {
        Self { skip: calls, ..self }
    }

    /// Strikes so many calls.
    pub fn times(self, calls: u64) -> Self {
        Self { times: Some(calls), ..self }
    }

    /// Strikes with this probability.
    pub fn probability(self, probability: f64) -> Self {
        Self { probability: Some(probability), ..self }
    }
}

/// What faults look at in a call.
#[derive(Clone, Copy, Debug)]
pub struct FaultTarget<'a> {
    /// What it asks.
    pub operation: ApiOperation,
    /// Of which channel.
    pub channel: Option<&'a str>,
    /// In whose name.
    pub bearer: Option<&'a str>,
    /// Whom it names.
    pub members: &'a [String],
}

/// What becomes of a call that was struck. The default: nothing.
#[derive(Clone, Debug, Default)]
pub struct CallTweaks {
    /// To wait first.
    pub latency: Duration,
    /// What happens in place of performing it, or of its answer.
    pub interruption: Option<Interruption>,
    /// What happens to members of a batch, by ARN.
    pub members: HashMap<String, MemberTweak>,
    /// What happens to a page's token.
    pub token: Option<TokenTweak>,
}

/// What happens in place of a call, or of its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// Refused; with a raw body in place of the modelled one, if there is one.
    Refuse(ApiError, Option<String>),
    /// The connection is cut, nothing is done.
    Cut,
    /// It is done, and the connection is cut.
    LoseAnswer,
}

/// What happens to one member of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberTweak {
    /// Among the errors, not added.
    Refuse(Option<String>, Option<String>),
    /// In neither list; added or not.
    Omit(bool),
}

/// What happens to a page's token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenTweak {
    /// The one it was asked with again.
    Repeat,
    /// None.
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
    /// None; probabilities are drawn from this seed.
    pub fn new(random_seed: u64) -> Self {
        Self { armed: BTreeMap::new(), last_id: 0, random: fastrand::Rng::with_seed(random_seed) }
    }

    /// One more. Its id is for [`Faults::remove`].
    pub fn add(&mut self, fault: Fault) -> u64 {
        self.last_id += 1;
        self.armed.insert(self.last_id, ActiveFault { fault, matched: 0, hits: 0 });
        self.last_id
    }

    /// One less. Says whether it was there.
    pub fn remove(&mut self, id: u64) -> bool {
        self.armed.remove(&id).is_some()
    }

    /// None any more.
    pub fn clear(&mut self) {
        self.armed.clear();
    }

    /// All of them with their ids and how many calls each has struck, spent ones too.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Fault, u64)> {
        self.armed.iter().map(|(id, armed)| (*id, &armed.fault, armed.hits))
    }

    /// What becomes of this call. Latencies add up; of several interruptions the first injected wins.
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
                let mut refusal = ApiError::of_status(*status);
                if let Some(code) = code {
                    let short = code.trim_end_matches("Exception").trim_end_matches("Client");
                    refusal.code = short.to_owned().into();
                    refusal.shape = code.clone().into();
                }
                if let Some(message) = message {
                    refusal.message.clone_from(message);
                }
                tweaks.interruption.get_or_insert(Interruption::Refuse(refusal, body.clone()));
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

    fn strikes(faults: &mut FaultRegistry, operation: ApiOperation, members: &[String]) -> bool {
        let call = FaultTarget { operation, channel: Some("c"), bearer: Some("b"), members };
        faults.tweaks_for(call).interruption.is_some()
    }

    #[test]
    fn a_fault_skips_then_strikes_so_many_calls() {
        let mut faults = FaultRegistry::new(0);
        faults.add(Fault::new(FaultEffect::status(500)).on(ApiOperation::ListChannels).skip(1).times(2));
        let struck: Vec<_> = (0..5).map(|_| strikes(&mut faults, ApiOperation::ListChannels, &[])).collect();
        assert_eq!(struck, [false, true, true, false, false]);
        assert!(!strikes(&mut faults, ApiOperation::CreateChannel, &[]));
        assert_eq!(faults.iter().map(|(_, _, hits)| hits).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn a_fault_may_need_a_member_among_those_named() {
        let mut faults = FaultRegistry::new(0);
        let id = faults.add(Fault::new(FaultEffect::Cut).member("m"));
        assert!(!strikes(&mut faults, ApiOperation::ListChannels, &["x".into()]));
        assert!(strikes(&mut faults, ApiOperation::ListChannels, &["x".into(), "m".into()]));
        assert!(faults.remove(id) && !faults.remove(id));
        assert!(!strikes(&mut faults, ApiOperation::ListChannels, &["m".into()]));
    }

    #[test]
    fn probability_is_drawn_from_the_seed() {
        let draw = |seed| {
            let mut faults = FaultRegistry::new(seed);
            faults.add(Fault::new(FaultEffect::Cut).probability(0.5));
            (0..64).map(|_| strikes(&mut faults, ApiOperation::ListChannels, &[])).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert!(draw(7).contains(&true) && draw(7).contains(&false));
    }

    #[test]
    fn latencies_add_up_and_the_first_interruption_wins() {
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
