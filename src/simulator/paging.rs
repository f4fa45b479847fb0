//! Where does the next page begin?
//!
//! A token is opaque to callers: which list it is of, and the last item seen. So it stays valid while the list changes.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::operation::ApiOperation;
use crate::membership::arn::ChannelArn;

/// Tells lists apart, so that a token of one is refused by another.
pub fn list_id(operation: ApiOperation, channel: Option<&ChannelArn>, filter: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (operation, channel, filter).hash(&mut hasher);
    hasher.finish()
}

/// The token for the page after `item`.
pub fn encode_token(list: u64, item: &str) -> String {
    use std::fmt::Write;
    let mut token = format!("{list:016x}");
    for byte in item.bytes() {
        // Writing to a String cannot fail.
        let _ = write!(token, "{byte:02x}");
    }
    token
}

/// The item after which the page begins; `None` for a token that this list did not give.
pub fn decode_token(list: u64, token: &str) -> Option<String> {
    let item = token.strip_prefix(&format!("{list:016x}"))?;
    if !item.is_ascii() || item.len() % 2 != 0 {
        return None;
    }
    let bytes = item
        .as_bytes()
        .chunks_exact(2)
        .map(|pair| {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()
        })
        .collect::<Option<Vec<u8>>>()?;
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_back_to_the_item_it_was_made_of_in_its_own_list_only() {
        let members = list_id(ApiOperation::ListChannelMemberships, None, "DEFAULT");
        let hidden = list_id(ApiOperation::ListChannelMemberships, None, "HIDDEN");
        let token = encode_token(members, "arn:é");
        assert_eq!(decode_token(members, &token).as_deref(), Some("arn:é"));
        assert_eq!(decode_token(hidden, &token), None);
    }

    #[test]
    fn made_up_tokens_are_refused() {
        let list = list_id(ApiOperation::ListChannels, None, "");
        for made_up in ["", "x", "é", &format!("{list:016x}0"), &format!("{list:016x}zz"), &format!("{list:016x}ff")] {
            assert_eq!(decode_token(list, made_up), None, "{made_up}");
        }
    }
}
