//! The mapping of a request's method, path and query to an operation.
//!
//! The raw path is split before it is decoded, because an ARN is one percent-encoded segment.

use super::operation::ApiOperation;

/// The operation, path and query of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutedRequest {
    pub operation: ApiOperation,
    /// The first label of the path, decoded: a channel, an app instance or a user.
    pub subject: Option<String>,
    /// The second label of the path, decoded: a member, moderator or admin.
    pub member: Option<String>,
    pub query: Vec<(String, String)>,
}

impl RoutedRequest {
    /// Returns the value of a query parameter, the first if it is repeated.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Decodes a query; `None` if its percent-encoding is broken.
pub fn parse_query(raw_query: &str) -> Option<Vec<(String, String)>> {
    let pairs = raw_query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((percent_decode(key, true)?, percent_decode(value, true)?))
        })
        .collect()
}

/// Finds the operation of a request; `None` if the simulator has no such operation.
pub fn route_request(method: &str, raw_path: &str, raw_query: &str) -> Option<RoutedRequest> {
    let segments: Vec<String> =
        raw_path.strip_prefix('/')?.split('/').map(|segment| percent_decode(segment, false)).collect::<Option<_>>()?;
    let query = parse_query(raw_query)?;
    let has = |key: &str, value: &str| query.iter().any(|(k, v)| k == key && v == value);
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (operation, subject, member) = match (method, segments.as_slice()) {
        ("GET", ["channels"]) if has("scope", "app-instance-user-memberships") => {
            (ApiOperation::ListChannelMembershipsForAppInstanceUser, None, None)
        }
        // Another operation of the service has the path of DescribeChannel and a scope.
        ("GET", ["channels", _]) if query.iter().any(|(key, _)| key == "scope") => return None,
        ("GET", ["channels"]) if !query.iter().any(|(key, _)| key == "scope") => {
            (ApiOperation::ListChannels, None, None)
        }
        ("POST", ["channels"]) => (ApiOperation::CreateChannel, None, None),
        ("GET", ["channels", c]) => (ApiOperation::DescribeChannel, Some(c), None),
        ("DELETE", ["channels", c]) => (ApiOperation::DeleteChannel, Some(c), None),
        ("POST", ["channels", c, "memberships"]) if has("operation", "batch-create") => {
            (ApiOperation::BatchCreateChannelMembership, Some(c), None)
        }
        ("POST", ["channels", c, "memberships"]) => (ApiOperation::CreateChannelMembership, Some(c), None),
        ("GET", ["channels", c, "memberships"]) => (ApiOperation::ListChannelMemberships, Some(c), None),
        ("GET", ["channels", c, "memberships", m]) => (ApiOperation::DescribeChannelMembership, Some(c), Some(m)),
        ("DELETE", ["channels", c, "memberships", m]) => (ApiOperation::DeleteChannelMembership, Some(c), Some(m)),
        ("POST", ["channels", c, "moderators"]) => (ApiOperation::CreateChannelModerator, Some(c), None),
        ("GET", ["channels", c, "moderators"]) => (ApiOperation::ListChannelModerators, Some(c), None),
        ("GET", ["channels", c, "moderators", m]) => (ApiOperation::DescribeChannelModerator, Some(c), Some(m)),
        ("DELETE", ["channels", c, "moderators", m]) => (ApiOperation::DeleteChannelModerator, Some(c), Some(m)),
        ("POST", ["channels", c, "bans"]) => (ApiOperation::CreateChannelBan, Some(c), None),
        ("GET", ["channels", c, "bans"]) => (ApiOperation::ListChannelBans, Some(c), None),
        ("GET", ["channels", c, "bans", m]) => (ApiOperation::DescribeChannelBan, Some(c), Some(m)),
        ("DELETE", ["channels", c, "bans", m]) => (ApiOperation::DeleteChannelBan, Some(c), Some(m)),
        ("GET", ["channels", c, "subchannels"]) => (ApiOperation::ListSubChannels, Some(c), None),
        ("POST", ["app-instances"]) => (ApiOperation::CreateAppInstance, None, None),
        ("POST", ["app-instance-users"]) => (ApiOperation::CreateAppInstanceUser, None, None),
        ("DELETE", ["app-instance-users", u]) => (ApiOperation::DeleteAppInstanceUser, Some(u), None),
        ("POST", ["app-instance-bots"]) => (ApiOperation::CreateAppInstanceBot, None, None),
        ("POST", ["app-instances", a, "admins"]) => (ApiOperation::CreateAppInstanceAdmin, Some(a), None),
        ("DELETE", ["app-instances", a, "admins", u]) => (ApiOperation::DeleteAppInstanceAdmin, Some(a), Some(u)),
        _ => return None,
    };
    let owned = |label: Option<&&str>| label.map(|label| (*label).to_owned());
    Some(RoutedRequest { operation, subject: owned(subject), member: owned(member), query })
}

/// Decodes percent-encoding; `None` if it is broken or not UTF-8. In a query, `+` is a space.
pub fn percent_decode(text: &str, plus_is_space: bool) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex_byte(bytes.next()?, bytes.next()?)?,
            b'+' if plus_is_space => b' ',
            other => other,
        });
    }
    String::from_utf8(decoded).ok()
}

/// Returns the byte of two hexadecimal digits.
pub fn hex_byte(high: u8, low: u8) -> Option<u8> {
    let digit = |byte| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANNEL: &str = "arn%3Aaws%3Achime%3Aus-east-1%3A1%3Aapp-instance%2Fa%2Fchannel%2Fc";

    fn operation(method: &str, path: &str, query: &str) -> Option<ApiOperation> {
        route_request(method, path, query).map(|routed| routed.operation)
    }

    #[test]
    fn encoded_arn_is_one_label() {
        let routed =
            route_request("GET", &format!("/channels/{CHANNEL}/memberships/a%40b"), "sub-channel-id=x%2By").unwrap();
        assert_eq!(routed.subject.as_deref(), Some("arn:aws:chime:us-east-1:1:app-instance/a/channel/c"));
        assert_eq!(routed.member.as_deref(), Some("a@b"));
        assert_eq!(routed.parameter("sub-channel-id"), Some("x+y"));
    }

    #[test]
    fn query_selects_the_operation_of_a_shared_path() {
        let path = format!("/channels/{CHANNEL}/memberships");
        assert_eq!(operation("POST", &path, ""), Some(ApiOperation::CreateChannelMembership));
        assert_eq!(
            operation("POST", &path, "operation=batch-create"),
            Some(ApiOperation::BatchCreateChannelMembership)
        );
        assert_eq!(operation("GET", "/channels", "app-instance-arn=x"), Some(ApiOperation::ListChannels));
        assert_eq!(
            operation("GET", "/channels", "scope=app-instance-user-memberships"),
            Some(ApiOperation::ListChannelMembershipsForAppInstanceUser)
        );
    }

    #[test]
    fn unknown_request_has_no_route() {
        for (method, path, query) in [
            ("GET", "", ""),
            ("GET", "/", ""),
            ("PATCH", "/channels", ""),
            ("GET", "/channels/%zz", ""),
            ("GET", "/channels/%ff", ""),
            ("GET", "/channels/%", ""),
            ("GET", "/channels/x", "a=%f"),
            ("GET", "/channels", "scope=else"),
            ("GET", "/channels/arn:aws:chime:us-east-1:1:app-instance/a/channel/c/memberships", ""),
        ] {
            assert_eq!(operation(method, path, query), None, "{method} {path} {query}");
        }
    }
}
