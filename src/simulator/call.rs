//! What does one call say, once it is read and well-formed?

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::api_error::ApiError;
use super::fault::{CallTweaks, TokenTweak};
use super::paging;
use super::route::RoutedRequest;
use crate::api::MembershipType;
use crate::membership::arn::{ChannelArn, MemberArn};

/// A call to be performed.
#[derive(Debug)]
pub struct ApiCall<'a> {
    /// What the request's line says.
    pub routed: &'a RoutedRequest,
    /// The channel in the path, if the operation has one.
    pub channel: Option<ChannelArn>,
    /// In whose name; identity operations know none.
    pub bearer: Option<MemberArn>,
    /// The body as it came.
    pub body: &'a [u8],
    /// When it is performed, since the simulator's start.
    pub now: Duration,
    /// What faults change about it.
    pub tweaks: CallTweaks,
}

/// An answer that is no refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiResponse {
    /// The HTTP status.
    pub status: u16,
    /// The body; empty with 204.
    pub body: Vec<u8>,
    /// Members that it lists.
    pub listed: usize,
}

impl ApiResponse {
    /// An answer with a body.
    pub fn json(status: u16, body: &impl Serialize) -> Result<Self, ApiError> {
        // Our own types serialize; if one did not, the caller gets the service's own word for a bug.
        let body = serde_json::to_vec(body).map_err(|error| ApiError::service_failure(error.to_string()))?;
        Ok(Self { status, body, listed: 0 })
    }

    /// 204.
    pub fn empty() -> Self {
        Self { status: 204, body: vec![], listed: 0 }
    }
}

/// Which page of a list is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// How many at most.
    pub limit: usize,
    /// The last item of the page before.
    pub cursor: Option<String>,
    /// What tells this list from others.
    pub list: u64,
}

impl PageRequest {
    /// The token for the page after `last`.
    pub fn token_after(&self, last: &str) -> String {
        paging::encode_token(self.list, last)
    }

    /// Cuts a page out of items in order: those after the cursor, and the token for more.
    pub fn paginate<'i, T>(&self, items: impl Iterator<Item = (&'i str, T)>) -> (Vec<(&'i str, T)>, Option<String>) {
        let mut after = items.filter(|(key, _)| self.cursor.as_deref().is_none_or(|cursor| *key > cursor));
        let page: Vec<_> = after.by_ref().take(self.limit).collect();
        let more = after.next().is_some();
        let next = page.last().filter(|_| more).map(|(key, _)| self.token_after(key));
        (page, next)
    }
}

impl<'a> ApiCall<'a> {
    /// Reads a call. What is malformed is refused before anything is changed or looked up.
    pub fn from_request(routed: &'a RoutedRequest, bearer: Option<&str>, body: &'a [u8]) -> Result<Self, ApiError> {
        let identity = routed.operation.is_identity();
        let channel = match &routed.subject {
            Some(arn) if !identity => Some(
                ChannelArn::parse(arn).map_err(|_| ApiError::bad_request(format!("{arn:?} is not a channel ARN")))?,
            ),
            _ => None,
        };
        let bearer = match bearer {
            _ if identity => None,
            None | Some("") => return Err(ApiError::bad_request("The x-amz-chime-bearer HTTP header is missing")),
            Some(arn) => Some(MemberArn::parse(arn).map_err(|_| ApiError::unknown_bearer())?),
        };
        Ok(Self { routed, channel, bearer, body, now: Duration::ZERO, tweaks: CallTweaks::default() })
    }

    /// The channel of a call that has one in its path.
    pub fn channel(&self) -> Result<&ChannelArn, ApiError> {
        self.channel.as_ref().ok_or_else(|| ApiError::bad_request("the call names no channel"))
    }

    /// The bearer of a call that has one.
    pub fn bearer(&self) -> Result<&MemberArn, ApiError> {
        self.bearer.as_ref().ok_or_else(ApiError::unknown_bearer)
    }

    /// The body, read as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        serde_json::from_slice(self.body).map_err(|error| {
            ApiError::bad_request(format!("the body is not what {} takes: {error}", self.routed.operation))
        })
    }

    /// The second label of the path, as a user or bot.
    pub fn member(&self) -> Result<MemberArn, ApiError> {
        member(self.routed.member.as_deref().unwrap_or_default())
    }

    /// The `type` of the query; DEFAULT if absent.
    pub fn membership_type(&self) -> Result<MembershipType, ApiError> {
        match self.routed.parameter("type") {
            None | Some("DEFAULT") => Ok(MembershipType::Default),
            Some("HIDDEN") => Ok(MembershipType::Hidden),
            Some(other) => Err(ApiError::bad_request(format!("type {other:?} is neither DEFAULT nor HIDDEN"))),
        }
    }

    /// The page asked for. `filter` is what else tells this list from others of the same operation and channel.
    pub fn page(&self, filter: &str, default_limit: usize) -> Result<PageRequest, ApiError> {
        let limit = match self.routed.parameter("max-results") {
            None => default_limit.clamp(1, 50),
            Some(text) => text
                .parse()
                .ok()
                .filter(|limit| (1..=50).contains(limit))
                .ok_or_else(|| ApiError::bad_request(format!("max-results {text:?} is not 1 to 50")))?,
        };
        let list = paging::list_id(self.routed.operation, self.channel.as_ref(), filter);
        let cursor = match self.routed.parameter("next-token") {
            None | Some("") => None,
            Some(token) => Some(
                paging::decode_token(list, token).ok_or_else(|| ApiError::bad_request("The next token is invalid"))?,
            ),
        };
        Ok(PageRequest { limit, cursor, list })
    }

    /// The token that a page gives, unless a fault has it otherwise.
    pub fn next_token(&self, next: Option<String>) -> Option<String> {
        match self.tweaks.token {
            Some(TokenTweak::Repeat) => self.routed.parameter("next-token").map(str::to_owned).or(next),
            Some(TokenTweak::Drop) => None,
            None => next,
        }
    }
}

/// A user or bot named by a call's input.
pub fn member(arn: &str) -> Result<MemberArn, ApiError> {
    MemberArn::parse(arn).map_err(|_| ApiError::bad_request(format!("{arn:?} is not the ARN of a user or bot")))
}
