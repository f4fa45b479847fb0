//! Parsing of a source: a text that names members, one a line or as a YAML list.

use std::borrow::Cow;

use serde_yaml::Spanned;

use super::arn::{ArnError, ChannelArn};

/// Why a text cannot be read as members. Says where, and never what stands there: it may be a
/// secret put into the wrong place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// A line is no member.
    #[error(
        "line {line} names no member: write an id (1 to 64 of A-Z a-z 0-9 : - _ . @, letter or digit at both ends), bot/<id>, or a \
         full user or bot ARN"
    )]
    NotAMember {
        /// The line, from 1.
        line: u64,
    },
    /// A line is a member of another app instance.
    #[error("line {line} is not of the channel's app instance")]
    Foreign {
        /// The line, from 1.
        line: u64,
    },
    /// The text begins as a YAML list and does not go on as a list of members.
    #[error("line {line} is not a part of a YAML list of members: write one \"- <member>\" a line")]
    NotAList {
        /// The line, from 1.
        line: u64,
    },
}

/// The members that a text names, by their names within the channel. Blank lines, and what follows
/// a `#`, are ignored. A text whose first member begins with `- ` or `[` is a YAML list.
pub fn read(channel: &ChannelArn, text: &str) -> Result<Vec<String>, SourceError> {
    Ok(located(channel, text)?.into_iter().map(|(_, name)| name).collect())
}

/// As [`read`], each with its line, from 1.
pub fn located(channel: &ChannelArn, text: &str) -> Result<Vec<(u64, String)>, SourceError> {
    let first = text.lines().map(content).find(|line| !line.is_empty()).unwrap_or_default();
    let is_list = first.starts_with('[') || first == "-" || first.starts_with("- ") || first == "---";
    if is_list {
        return list(text)?.into_iter().map(|(line, written)| name(channel, line, &written)).collect();
    }
    let lines = (1..).zip(text.lines().map(content)).filter(|(_, written)| !written.is_empty());
    lines.map(|(line, written)| name(channel, line, written)).collect()
}

fn content(line: &str) -> &str {
    line.split('#').next().unwrap_or_default().trim()
}

fn list(text: &str) -> Result<Vec<(u64, String)>, SourceError> {
    let list: Vec<Spanned<String>> = serde_yaml::from_str(text)
        .map_err(|error| SourceError::NotAList { line: error.location().map_or(1, |location| location.line()) })?;
    Ok(list.into_iter().map(|item| (item.referenced.line(), item.value)).collect())
}

fn name(channel: &ChannelArn, line: u64, written: &str) -> Result<(u64, String), SourceError> {
    match channel.name(written) {
        Ok(name) => Ok((line, Cow::into_owned(name))),
        Err(ArnError::ForeignMember { .. }) => Err(SourceError::Foreign { line }),
        Err(_) => Err(SourceError::NotAMember { line }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_in_support(text: &str) -> Result<Vec<String>, SourceError> {
        read(&ChannelArn::parse("arn:aws:chime:us-east-1:1:app-instance/i/channel/support").unwrap(), text)
    }

    #[test]
    fn lines_and_lists_name_the_same_members() {
        let wanted = ["user/alice", "bot/helper", "user/012"];
        for text in [
            "alice\nbot/helper\n012\n",
            "# on call\n\n  alice # since May\r\nbot/helper\r\n\r\n012",
            "- alice\n- bot/helper # speaks\n- 012\n",
            "# on call\n- alice\n\n- \"bot/helper\"\n- '012'\n",
            "[alice, bot/helper, '012']",
            "---\n- alice\n- arn:aws:chime:us-east-1:1:app-instance/i/bot/helper\n- 012",
        ] {
            assert_eq!(read_in_support(text).unwrap(), wanted, "{text}");
        }
        assert_eq!(read_in_support("\n# nobody\n").unwrap(), Vec::<String>::new());
        assert_eq!(read_in_support("[]").unwrap(), Vec::<String>::new());
    }

    #[test]
    fn invalid_line_is_named_by_number_and_not_by_text() {
        for (text, line) in [
            ("alice\n\nsecret word\n", 3),
            ("- alice\n- {secret: word}\n", 2),
            ("- alice\nsecret\n", 2),
            ("- alice\n- secret word\n", 2),
            ("alice\narn:aws:chime:us-east-1:1:app-instance/secret/user/bob", 2),
            ("[alice, secret", 1),
            ("- [secret]\n", 1),
        ] {
            let error = read_in_support(text).unwrap_err().to_string();
            assert!(error.contains(&format!("line {line} ")), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn hostile_text_is_read_without_a_panic() {
        let bomb = "- &a [x,x,x,x,x,x,x,x]\n- &b [*a,*a,*a,*a,*a,*a,*a,*a]\n- &c [*b,*b,*b,*b,*b,*b,*b]\n- [*c,*c,*c,*c,*c,*c]\n";
        for text in [bomb, "\0", "- \0", "-", "---", "- ", "[", "é\u{7f}"] {
            let _ = read_in_support(text);
        }
    }
}
