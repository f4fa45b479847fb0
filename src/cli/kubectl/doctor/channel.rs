//! Checks of the permissions that a bearer and the AWS identity have on a channel.

use std::cell::RefCell;
use std::collections::HashSet;
use std::io::IsTerminal as _;
use std::sync::Arc;

use super::aws::credentials_advice;
use super::flags::Args;
use super::report::{Finding, Report, remark};
use crate::api::MembershipType;
use crate::chime::client::Client;
use crate::chime::port::{
    CallError, CallErrorClass, ChannelInfo, ChannelsQuery, ListRequest, Operation, Privacy, Target,
};
use crate::chime::rate_limit::QuotaShare;
use crate::chime::reader::Reader;
use crate::chime::sdk::Sdk;
use crate::membership::arn::{ChannelArn, MemberArn};

/// The number of attempts of a call that failed with a transient error.
const TRIES: u32 = 3;

/// Asks the service about bearers and channels, within the rate limits.
pub(super) struct ChannelProbe<'a> {
    args: &'a Args,
    client: Client<Sdk>,
    /// The bearers that the service rejects: it refuses all their other calls too.
    rejected: RefCell<HashSet<MemberArn>>,
}

impl<'a> ChannelProbe<'a> {
    pub fn new(args: &'a Args, sdk: Arc<Sdk>) -> Self {
        let client = args.service.client_of(sdk, QuotaShare::BESIDE_OPERATOR);
        Self { args, client, rejected: RefCell::default() }
    }

    /// Checks that a bearer exists, and its role: only an AppInstanceAdmin may list PRIVATE
    /// channels.
    pub async fn check_bearer(&self, bearer: &MemberArn, report: &mut Report) {
        let query = ChannelsQuery { bearer: bearer.clone(), privacy: Privacy::Private };
        let finding = match self.reader().first_page(ListRequest::Channels(&query)).await {
            Ok(_) => Finding::ok("bearer", "exists and is an AppInstanceAdmin, with all permissions in every channel"),
            Err(error) => match error.class {
                CallErrorClass::ChannelNotAccessible => Finding::warning(
                    "bearer",
                    "exists and is no AppInstanceAdmin",
                    "make it one, or a moderator of each channel: HIDDEN members, elastic channels and removals take that",
                ),
                CallErrorClass::AccessDenied if is_iam(&error) => Finding::skipped(
                    "bearer",
                    "its role is not known, because IAM does not allow chime:ListChannels, which only doctor and export call",
                ),
                _ => self.common_finding("bearer", &error, bearer),
            },
        };
        report.add(finding.about(bearer.as_str()));
    }

    /// Checks the actions that are allowed on a channel.
    pub async fn check_channel(&self, channel: &ChannelArn, report: &mut Report) {
        let about = channel.as_str();
        let Ok(bearer) = self.args.service.bearer_of(channel.app_instance()) else {
            let advice = format!("add --chime-bearer {}/user/<id>", channel.app_instance());
            report.add(Finding::failed("channel", "no bearer is given for its app instance", advice).about(about));
            return;
        };
        if self.rejected.borrow().contains(bearer) {
            report.add(
                Finding::skipped("channel", "its bearer is rejected, so the channel was not checked").about(about),
            );
            return;
        }
        let target = Target {
            channel: channel.clone(),
            membership_type: MembershipType::Default,
            bearer: bearer.clone(),
            sub_channel: None,
        };
        if std::io::stderr().is_terminal() {
            remark(&format!("checking {channel}"));
        }
        let mut check = ChannelCheck { probe: self, target, allowed: Vec::new(), report };
        check.run_all().await;
        let allowed = check.allowed;
        if !allowed.is_empty() {
            report.add(Finding::ok("allowed", allowed.join(", ")).about(about));
        }
    }

    /// Checks the quotas: the rate in use, and the number of throttled calls.
    pub fn check_quotas(&self, report: &mut Report) {
        let share = |target: &Target| self.client.rate_limiter().bearer_rate(target);
        let target = self.args.channel.first().and_then(|channel| {
            let bearer = self.args.service.bearer_of(channel.app_instance()).ok()?.clone();
            Some(Target {
                channel: channel.clone(),
                membership_type: MembershipType::Default,
                bearer,
                sub_channel: None,
            })
        });
        let rate = target.as_ref().map(|target| match share(target) {
            Some(rate) => format!(", at {rate} a second for a bearer"),
            None => ", with no limit".to_owned(),
        });
        let calls = self.client.call_metrics();
        report.add(match calls.throttled_count() {
            0 => Finding::ok("quota", format!("no call was answered 429{}", rate.unwrap_or_default())),
            throttled => Finding::warning(
                "quota",
                format!("calls answered 429: {throttled}{}", rate.unwrap_or_default()),
                "another process uses up the quota: lower --quota-share of the operator, or ask AWS for more",
            ),
        });
    }

    fn reader(&self) -> Reader<'_, Sdk> {
        Reader::new(&self.client, TRIES, &|error, rest| {
            remark(&format!("{error}; retry in {:.1} s", rest.as_secs_f64()));
        })
    }

    /// Returns the finding of an error that has the same meaning for every action.
    fn common_finding(&self, check: &'static str, error: &CallError, bearer: &MemberArn) -> Finding {
        match error.class {
            CallErrorClass::BearerRejected => {
                self.rejected.borrow_mut().insert(bearer.clone());
                Finding::failed(
                    check,
                    error.to_string(),
                    "create the user or bot, or correct --chime-bearer: the service does not know it",
                )
            }
            CallErrorClass::AccessDenied if is_iam(error) => {
                let advice = format!("allow chime:{} on {bearer} and on the channel", error.operation);
                Finding::failed(check, error.to_string(), advice)
            }
            CallErrorClass::AccessDenied => Finding::failed(check, error.to_string(), credentials_advice(&error.code)),
            CallErrorClass::Throttled => {
                Finding::warning(check, error.to_string(), "run doctor again later: other callers use up the quota")
            }
            CallErrorClass::Transient => Finding::failed(
                check,
                error.to_string(),
                "check that the endpoint can be reached from here, and run doctor again later",
            ),
            CallErrorClass::ChannelNotAccessible => {
                let advice =
                    "check the ARN: the channel is gone, or this bearer is neither a member nor an AppInstanceAdmin";
                Finding::failed(check, error.to_string(), advice)
            }
            CallErrorClass::Refused => Finding::failed(check, error.to_string(), "check the ARNs"),
        }
    }
}

/// Returns true if IAM denies the action; false if the credentials are wrong.
fn is_iam(error: &CallError) -> bool {
    matches!(error.code.as_str(), "AccessDenied" | "NotAuthorized")
}

/// The checks of one channel, and the actions that are allowed so far.
struct ChannelCheck<'a> {
    probe: &'a ChannelProbe<'a>,
    target: Target,
    allowed: Vec<String>,
    report: &'a mut Report,
}

impl ChannelCheck<'_> {
    /// Checks every read action of the operator, each on its own.
    async fn run_all(&mut self) {
        let elastic = match self.describe().await {
            Ok(info) => Some(info.elastic),
            Err(CallErrorClass::AccessDenied) => None,
            // All other calls would have the same answer.
            Err(_) => return,
        };
        if elastic == Some(true) {
            self.list_a_sub_channel().await;
        } else {
            self.list(&self.target.clone()).await;
            self.list(&Target { membership_type: MembershipType::Hidden, ..self.target.clone() }).await;
        }
        let reader = self.probe.reader();
        // The bearer's own membership; its absence is an answer too.
        let answer = reader.describe_membership(&self.target, &self.target.bearer).await;
        self.note(Operation::DescribeChannelMembership.as_str(), answer, None);
        let answer = reader.first_page(ListRequest::Moderators(&self.target)).await;
        let for_what = Some("no members are removed while the moderators are unknown");
        self.note(Operation::ListChannelModerators.as_str(), answer, for_what);
        let answer = reader.first_page(ListRequest::Bans(&self.target)).await;
        self.note(Operation::ListChannelBans.as_str(), answer, Some("a refusal because of a ban is not explained"));
    }

    /// Checks the listing of an elastic channel, which goes by sub-channels. An elastic channel has
    /// no HIDDEN members.
    async fn list_a_sub_channel(&mut self) {
        let answer = self.probe.reader().first_page(ListRequest::SubChannels(&self.target)).await;
        let first = answer.as_ref().ok().and_then(|page| Some(page.items.first()?.id.clone()));
        self.note(Operation::ListSubChannels.as_str(), answer, None);
        if let Some(id) = first {
            self.list(&Target { sub_channel: Some(id.into()), ..self.target.clone() }).await;
        }
    }

    async fn describe(&mut self) -> Result<ChannelInfo, CallErrorClass> {
        let answer = self.probe.reader().describe_channel(&self.target).await;
        let info = answer.clone().map_err(|error| error.class);
        let for_what = Some("no members are removed while the channel's creator is unknown");
        let for_what = for_what.filter(|_| info.as_ref().err() == Some(&CallErrorClass::AccessDenied));
        self.note(Operation::DescribeChannel.as_str(), answer, for_what);
        info
    }

    async fn list(&mut self, target: &Target) {
        let answer = self.probe.reader().first_page(ListRequest::Members(target)).await;
        let kind = target.membership_type;
        let hidden = kind == MembershipType::Hidden;
        self.note(
            &format!("ListChannelMemberships ({kind})"),
            answer,
            hidden.then_some("a resource of type HIDDEN cannot work here"),
        );
    }

    /// Records an allowed action, or a finding. `for_what` names the feature that is lost without
    /// the action.
    fn note<T>(&mut self, what: &str, answer: Result<T, CallError>, for_what: Option<&str>) {
        let Err(error) = answer else { return self.allowed.push(what.to_owned()) };
        let bearer = &self.target.bearer;
        let finding = match (error.class, for_what) {
            (CallErrorClass::AccessDenied, Some(for_what)) if is_iam(&error) => Finding::warning(
                "action",
                format!("{error}; {for_what}"),
                format!("allow chime:{} on {bearer} and on the channel", error.operation),
            ),
            (CallErrorClass::ChannelNotAccessible, Some(for_what)) => Finding::warning(
                "role",
                format!("{error}; {for_what}"),
                format!("make {bearer} an AppInstanceAdmin, or a moderator of the channel"),
            ),
            _ => self.probe.common_finding("action", &error, bearer),
        };
        self.report.add(finding.about(self.target.channel.as_str()));
    }
}
