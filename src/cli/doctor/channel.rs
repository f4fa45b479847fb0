//! What do bearer and AWS identity let the operator do with a channel?

use std::cell::RefCell;
use std::collections::HashSet;
use std::io::IsTerminal as _;
use std::sync::Arc;

use super::aws::of_credentials;
use super::report::{Finding, Report};
use super::{Args, remark};
use crate::api::MembershipType;
use crate::chime::client::Client;
use crate::chime::port::{
    CallError, CallErrorClass, ChannelInfo, ChannelsQuery, ListRequest, Operation, Privacy, Target,
};
use crate::chime::rate_limit::QuotaShare;
use crate::chime::reader::Reader;
use crate::chime::sdk::Sdk;
use crate::membership::arn::{ChannelArn, MemberArn};

/// A call that might pass by itself is made so often.
const TRIES: u32 = 3;

/// Asks the service, at its pace.
pub(super) struct Patient<'a> {
    args: &'a Args,
    client: Client<Sdk>,
    /// Bearers whom the service refuses: whatever else is asked in their name is refused as well.
    rejected: RefCell<HashSet<MemberArn>>,
}

impl<'a> Patient<'a> {
    pub fn new(args: &'a Args, sdk: Arc<Sdk>) -> Self {
        let client = args.service.client_of(sdk, QuotaShare::BESIDE_OPERATOR);
        Self { args, client, rejected: RefCell::default() }
    }

    /// Whether a bearer exists, and which role it has: only an AppInstanceAdmin may list PRIVATE channels.
    pub async fn bearer(&self, bearer: &MemberArn, report: &mut Report) {
        let query = ChannelsQuery { bearer: bearer.clone(), privacy: Privacy::Private };
        let finding = match self.reader().first_page(ListRequest::Channels(&query)).await {
            Ok(_) => Finding::ok("bearer", "exists and is an AppInstanceAdmin, who may do all of it in every channel"),
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
                _ => self.general("bearer", &error, bearer),
            },
        };
        report.add(finding.about(bearer.as_str()));
    }

    /// What a channel lets be done with it.
    pub async fn channel(&self, channel: &ChannelArn, report: &mut Report) {
        let about = channel.as_str();
        let Ok(bearer) = self.args.service.bearer_of(channel.app_instance()) else {
            let advice = format!("add --chime-bearer {}/user/<id>", channel.app_instance());
            report.add(Finding::failed("channel", "no bearer is given for its app instance", advice).about(about));
            return;
        };
        if self.rejected.borrow().contains(bearer) {
            report.add(Finding::skipped("channel", "its bearer is refused, so nothing was asked").about(about));
            return;
        }
        let target = Target {
            channel: channel.clone(),
            membership_type: MembershipType::Default,
            bearer: bearer.clone(),
            sub_channel: None,
        };
        if std::io::stderr().is_terminal() {
            remark(&format!("asking about {channel}"));
        }
        let mut look = Look { patient: self, target, allowed: Vec::new(), report };
        look.all().await;
        let allowed = look.allowed;
        if !allowed.is_empty() {
            report.add(Finding::ok("allowed", allowed.join(", ")).about(about));
        }
    }

    /// How much of the quotas is taken, and whether it was too much.
    pub fn pace(&self, report: &mut Report) {
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
            remark(&format!("{error}; once more in {:.1} s", rest.as_secs_f64()));
        })
    }

    /// A refusal that has the same meaning whatever was asked.
    fn general(&self, check: &'static str, error: &CallError, bearer: &MemberArn) -> Finding {
        match error.class {
            CallErrorClass::BearerRejected => {
                self.rejected.borrow_mut().insert(bearer.clone());
                Finding::failed(
                    check,
                    error.to_string(),
                    "make the user or bot, or correct --chime-bearer: the service does not know it",
                )
            }
            CallErrorClass::AccessDenied if is_iam(error) => {
                let advice = format!("allow chime:{} on {bearer} and on the channel", error.operation);
                Finding::failed(check, error.to_string(), advice)
            }
            CallErrorClass::AccessDenied => Finding::failed(check, error.to_string(), of_credentials(&error.code)),
            CallErrorClass::Throttled => {
                Finding::warning(check, error.to_string(), "ask again later: the quota is used up by others")
            }
            CallErrorClass::Transient => Finding::failed(
                check,
                error.to_string(),
                "see that the endpoint can be reached from here, and ask again later",
            ),
            CallErrorClass::ChannelNotAccessible => {
                let advice = "check the ARN: the channel is gone, or closed to this bearer, who is neither in it nor an AppInstanceAdmin";
                Finding::failed(check, error.to_string(), advice)
            }
            CallErrorClass::Refused => Finding::failed(check, error.to_string(), "check the ARNs"),
        }
    }
}

/// Whether IAM denies the action, and not the credentials are wrong.
fn is_iam(error: &CallError) -> bool {
    matches!(error.code.as_str(), "AccessDenied" | "NotAuthorized")
}

/// One channel, and what was found of it so far.
struct Look<'a> {
    patient: &'a Patient<'a>,
    target: Target,
    allowed: Vec<String>,
    report: &'a mut Report,
}

impl Look<'_> {
    /// Every action that the operator reads by, each for itself.
    async fn all(&mut self) {
        let elastic = match self.describe().await {
            Ok(info) => Some(info.elastic),
            Err(CallErrorClass::AccessDenied) => None,
            // Whatever else is asked has the same answer.
            Err(_) => return,
        };
        if elastic == Some(true) {
            self.list_a_sub_channel().await;
        } else {
            self.list(&self.target.clone()).await;
            self.list(&Target { membership_type: MembershipType::Hidden, ..self.target.clone() }).await;
        }
        let reader = self.patient.reader();
        // The bearer's own; that it is none is an answer.
        let answer = reader.describe_membership(&self.target, &self.target.bearer).await;
        self.note(Operation::DescribeChannelMembership.as_str(), answer, None);
        let answer = reader.first_page(ListRequest::Moderators(&self.target)).await;
        let for_what = Some("nobody is removed where it is not known who moderates");
        self.note(Operation::ListChannelModerators.as_str(), answer, for_what);
        let answer = reader.first_page(ListRequest::Bans(&self.target)).await;
        self.note(Operation::ListChannelBans.as_str(), answer, Some("a refusal because of a ban is not explained"));
    }

    /// The members of an elastic channel are listed by its sub-channels, and none of them is hidden.
    async fn list_a_sub_channel(&mut self) {
        let answer = self.patient.reader().first_page(ListRequest::SubChannels(&self.target)).await;
        let first = answer.as_ref().ok().and_then(|page| Some(page.items.first()?.id.clone()));
        self.note(Operation::ListSubChannels.as_str(), answer, None);
        if let Some(id) = first {
            self.list(&Target { sub_channel: Some(id.into()), ..self.target.clone() }).await;
        }
    }

    async fn describe(&mut self) -> Result<ChannelInfo, CallErrorClass> {
        let answer = self.patient.reader().describe_channel(&self.target).await;
        let info = answer.clone().map_err(|error| error.class);
        let for_what = Some("nobody is removed where it is not known who made the channel");
        let for_what = for_what.filter(|_| info.as_ref().err() == Some(&CallErrorClass::AccessDenied));
        self.note(Operation::DescribeChannel.as_str(), answer, for_what);
        info
    }

    async fn list(&mut self, target: &Target) {
        let answer = self.patient.reader().first_page(ListRequest::Members(target)).await;
        let kind = target.membership_type;
        let hidden = kind == MembershipType::Hidden;
        self.note(
            &format!("ListChannelMemberships ({kind})"),
            answer,
            hidden.then_some("a resource of type HIDDEN gets nowhere here"),
        );
    }

    /// Notes what was allowed, and what was not; `for_what` makes do without it, as far as it says.
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
            _ => self.patient.general("action", &error, bearer),
        };
        self.report.add(finding.about(self.target.channel.as_str()));
    }
}
