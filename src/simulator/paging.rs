//! The tokens of pages.
//!
//! A token is opaque to callers. It contains the id of the list and the last item of the page, so
//! it stays valid while the list changes.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::operation::ApiOperation;
use super::route::hex_byte;
use crate::membership::arn::ChannelArn;

/// Returns the id of a list, so that each list refuses the tokens of other lists.
pub fn list_id(operation: ApiOperation, channel: Option<&ChannelArn>, filter: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (operation, channel, filter).hash(&mut hasher);
    hasher.finish()
}

/// Returns the token for the page after `item`.
pub fn encode_token(list: u64, item: &str) -> String {
    use std::fmt::Write;
    let mut token = format!("{list:016x}");
    for byte in item.bytes() {
        // Writing to a String cannot fail.
        let _ = write!(token, "{byte:02x}");
    }
    token
}

/// Returns the last item of the previous page; `None` for a token of another list.
pub fn decode_token(list: u64, token: &str) -> Option<String> {
    let (digits, rest) = token.strip_prefix(&format!("{list:016x}"))?.as_bytes().as_chunks::<2>();
    let bytes = digits.iter().map(|[high, low]| hex_byte(*high, *low)).collect::<Option<Vec<u8>>>()?;
    rest.is_empty().then(|| String::from_utf8(bytes).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_decodes_in_its_own_list_only() {
        let members = list_id(ApiOperation::ListChannelMemberships, None, "DEFAULT");
        let hidden = list_id(ApiOperation::ListChannelMemberships, None, "HIDDEN");
        let token = encode_token(members, "arn:é");
        assert_eq!(decode_token(members, &token).as_deref(), Some("arn:é"));
        assert_eq!(decode_token(hidden, &token), None);
    }

    #[test]
    fn made_up_token_is_refused() {
        let list = list_id(ApiOperation::ListChannels, None, "");
        for made_up in ["", "x", "é", &format!("{list:016x}0"), &format!("{list:016x}zz"), &format!("{list:016x}ff")] {
            assert_eq!(decode_token(list, made_up), None, "{made_up}");
        }
    }
}
