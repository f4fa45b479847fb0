//! One well-formed call, and the response to it.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::api_error::ApiError;
use super::fault::{CallTweaks, TokenTweak};
use super::paging;
use super::route::RoutedRequest;
use crate::api::MembershipType;
use crate::membership::arn::{ChannelArn, MemberArn};

/// A call to be executed.
#[derive(Debug)]
pub struct ApiCall<'a> {
    /// The operation, the path and the query.
    pub routed: &'a RoutedRequest,
    /// The channel in the path, if the operation has one.
    pub channel: Option<ChannelArn>,
    /// The bearer. Identity operations have none.
    pub bearer: Option<MemberArn>,
    pub body: &'a [u8],
    /// The time of the execution, since the simulator's start.
    pub now: Duration,
    /// The changes that faults make to the call.
    pub tweaks: CallTweaks,
}

/// The response to a call that was not refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiResponse {
    pub status: u16,
    /// The body; empty with 204.
    pub body: Vec<u8>,
    /// The number of members that the body lists.
    pub listed: usize,
}

impl ApiResponse {
    /// Returns a response with a JSON body.
    pub fn json(status: u16, body: &impl Serialize) -> Result<Self, ApiError> {
        // Our types always serialize. Otherwise, the caller gets the service's code for a bug.
        let body = serde_json::to_vec(body).map_err(|error| ApiError::service_failure(error.to_string()))?;
        Ok(Self { status, body, listed: 0 })
    }

    /// Returns a 204 without a body.
    pub fn no_content() -> Self {
        Self { status: 204, body: vec![], listed: 0 }
    }
}

/// The page of a list that a call requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// The maximum number of items.
    pub limit: usize,
    /// The last item of the previous page.
    pub cursor: Option<String>,
    /// The id of the list, as in [`paging::list_id`].
    pub list: u64,
}

impl PageRequest {
    /// Returns the token for the page after `last`.
    pub fn token_after(&self, last: &str) -> String {
        paging::encode_token(self.list, last)
    }

    /// Returns the page of sorted items after the cursor, and the token of the next page.
    pub fn paginate<'i, T>(&self, items: impl Iterator<Item = (&'i str, T)>) -> (Vec<T>, Option<String>) {
        let mut after = items.filter(|(key, _)| self.cursor.as_deref().is_none_or(|cursor| *key > cursor));
        let page: Vec<_> = after.by_ref().take(self.limit).collect();
        let more = after.next().is_some();
        let next = page.last().filter(|_| more).map(|(key, _)| self.token_after(key));
        (page.into_iter().map(|(_, item)| item).collect(), next)
    }
}

impl<'a> ApiCall<'a> {
    /// Parses a call. A malformed call is refused before any change or lookup.
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

    pub fn channel(&self) -> Result<&ChannelArn, ApiError> {
        self.channel.as_ref().ok_or_else(|| ApiError::bad_request("The call names no channel"))
    }

    pub fn bearer(&self) -> Result<&MemberArn, ApiError> {
        self.bearer.as_ref().ok_or_else(ApiError::unknown_bearer)
    }

    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        serde_json::from_slice(self.body).map_err(|error| {
            ApiError::bad_request(format!("The body is not valid for {}: {error}", self.routed.operation))
        })
    }

    /// Parses the second label of the path as a user or bot.
    pub fn member(&self) -> Result<MemberArn, ApiError> {
        parse_member(self.routed.member.as_deref().unwrap_or_default())
    }

    /// Parses the `type` of the query.
    pub fn membership_type(&self) -> Result<MembershipType, ApiError> {
        parse_membership_type(self.routed.parameter("type")).map_err(ApiError::bad_request)
    }

    /// Parses the page that the query requests. `filter` tells this list from other lists of the
    /// same operation and channel.
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

    /// Returns the token of the next page, as a fault may have changed it.
    pub fn next_token(&self, next: Option<String>) -> Option<String> {
        match self.tweaks.token {
            Some(TokenTweak::Repeat) => self.routed.parameter("next-token").map(str::to_owned).or(next),
            Some(TokenTweak::Drop) => None,
            None => next,
        }
    }
}

/// Parses the ARN of a user or bot.
pub fn parse_member(arn: &str) -> Result<MemberArn, ApiError> {
    MemberArn::parse(arn).map_err(|_| ApiError::bad_request(format!("{arn:?} is not the ARN of a user or bot")))
}

/// Parses a membership type. The default is DEFAULT.
pub fn parse_membership_type(text: Option<&str>) -> Result<MembershipType, String> {
    match text {
        None | Some("DEFAULT") => Ok(MembershipType::Default),
        Some("HIDDEN") => Ok(MembershipType::Hidden),
        Some(other) => Err(format!("type {other:?} is neither DEFAULT nor HIDDEN")),
    }
}
