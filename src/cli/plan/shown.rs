//! How does a name from outside stand in a page or a comment, so that it is read and does nothing?
//!
//! Everything that is not a letter, digit, punctuation or plain space is shown by its number, as `\u{202e}`: what would break a line, turn the
//! direction of writing or not be seen at all. Then comes what the language around it asks for.

use std::fmt::{self, Display, Write};

/// A text as HTML, between tags. It must not stand in a tag.
pub(super) struct Html<'a>(pub(super) &'a str);

impl Display for Html<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        visible(self.0).try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            c => f.write_char(c),
        })
    }
}

/// A text as a code span of Markdown (CommonMark, code spans: nothing within one is markup; GitHub takes nothing within one
/// for a mention or a link). The fence is longer than any run of backticks inside.
pub(super) struct Code<'a>(pub(super) &'a str);

impl Display for Code<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut longest, mut run) = (0, 0);
        for c in self.0.chars() {
            run = if c == '`' { run + 1 } else { 0 };
            longest = longest.max(run);
        }
        let fence = "`".repeat(longest + 1);
        // One space on either side is taken off again where both are there; a span of spaces alone keeps them.
        let edge = |c: char| c == '`' || c == ' ';
        let pad = if self.0.is_empty() || self.0.starts_with(edge) || self.0.ends_with(edge) { " " } else { "" };
        write!(f, "{fence}{pad}{}{pad}{fence}", Visible(self.0))
    }
}

/// A text as a line of a fenced code block, or of the terminal.
pub(super) struct Visible<'a>(pub(super) &'a str);

impl Display for Visible<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        visible(self.0).try_for_each(|c| f.write_char(c))
    }
}

/// A sentence as Markdown: words of letters and plain numbers as they are, whatever else as code. So it reads as a sentence, and nothing in it can
/// be markup, a mention, a link or a number of an issue.
pub(super) struct Prose<'a>(pub(super) &'a str);

impl Display for Prose<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = self.0.split(' ').peekable();
        while let Some(word) = words.next() {
            let bare = word.trim_end_matches(PUNCTUATION);
            if is_plain(bare) {
                f.write_str(word)?;
            } else {
                write!(f, "{}{}", Code(bare), &word[bare.len()..])?;
            }
            if words.peek().is_some() {
                f.write_char(' ')?;
            }
        }
        Ok(())
    }
}

/// What may follow a word and be no part of it.
const PUNCTUATION: [char; 4] = [',', '.', ':', ';'];

fn is_plain(word: &str) -> bool {
    // `www.` begins a link on GitHub, and elsewhere perhaps in the middle of a word, too.
    if word.to_ascii_lowercase().ends_with("www") {
        return false;
    }
    word.is_empty()
        || word.chars().all(|c| c.is_ascii_alphabetic())
        || word.chars().all(|c| c.is_ascii_digit() || c == ',') && word.starts_with(|c: char| c.is_ascii_digit())
}

fn visible(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().flat_map(|c| {
        let as_it_is = matches!(c, '"' | '\'' | '\\');
        let escaped = (!as_it_is).then(|| c.escape_debug());
        as_it_is.then_some(c).into_iter().chain(escaped.into_iter().flatten())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_or_turns_the_text_is_shown_by_its_number() {
        let tricks = "a\u{202e}b\u{2066}\u{200b}\u{feff}\u{ad}\n\r\t\0\u{85}\u{2028}\u{e0041}\u{a0}";
        assert_eq!(
            Visible(tricks).to_string(),
            r"a\u{202e}b\u{2066}\u{200b}\u{feff}\u{ad}\n\r\t\0\u{85}\u{2028}\u{e0041}\u{a0}"
        );
        assert_eq!(Visible("zoë@日本 'x' \"y\" \\").to_string(), "zoë@日本 'x' \"y\" \\");
    }

    #[test]
    fn a_code_span_ends_where_the_text_does() {
        for (text, span) in [
            ("alice", "`alice`"),
            ("a`b", "``a`b``"),
            ("``", "``` `` ```"),
            ("`", "`` ` ``"),
            (" a", "`  a `"),
            ("", "`  `"),
            ("a\nb", r"`a\nb`"),
        ] {
            assert_eq!(Code(text).to_string(), span);
        }
    }

    #[test]
    fn a_sentence_stays_one_and_all_else_in_it_is_code() {
        let sentence = "bob declared with type DEFAULT here and HIDDEN in care/old, which is older: 1,000 of @team. See www.example.com; #12 5c1e0f";
        assert_eq!(
            Prose(sentence).to_string(),
            "bob declared with type DEFAULT here and HIDDEN in `care/old`, which is older: 1,000 of `@team`. See `www.example.com`; `#12` `5c1e0f`"
        );
        assert_eq!(Prose("**a** [b](c) <d>").to_string(), "`**a**` `[b](c)` `<d>`");
        assert_eq!(Prose("www. aWWW.").to_string(), "`www`. `aWWW`.");
    }

    #[test]
    fn html_has_no_sign_left_that_means_something() {
        assert_eq!(Html("<a href=\"x\">&'").to_string(), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
    }
}
