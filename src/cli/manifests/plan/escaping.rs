//! Escapes foreign texts for pages, comments and terminals: they stay readable and have no effect.
//!
//! Letters, digits, punctuation and plain spaces are kept. All other characters are shown by
//! number, as `\u{202e}`: they could break a line, change the direction of writing or be invisible.
//! The rules of the surrounding language come on top.

use std::fmt::{self, Display, Write};

/// A text as HTML, between tags. It must not be used inside a tag.
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

/// A text as a code span of Markdown. A code span contains no markup (CommonMark, code spans), and
/// GitHub reads no mention or link in it. The fence is longer than any run of backticks inside.
pub(super) struct Code<'a>(pub(super) &'a str);

impl Display for Code<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut longest, mut run) = (0, 0);
        for c in self.0.chars() {
            run = if c == '`' { run + 1 } else { 0 };
            longest = longest.max(run);
        }
        let fence = "`".repeat(longest + 1);
        // CommonMark strips one space from both sides if both are there; a span of spaces alone
        // keeps them.
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

/// A sentence as Markdown: words of letters and plain numbers are kept, everything else becomes
/// code. The result reads as a sentence, and contains no markup, mention, link or number of an
/// issue.
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

/// The punctuation that may follow a word.
const PUNCTUATION: [char; 4] = [',', '.', ':', ';'];

fn is_plain(word: &str) -> bool {
    // `www.` begins a link on GitHub, and elsewhere perhaps in the middle of a word.
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
    fn invisible_character_is_shown_by_its_number() {
        let tricks = "a\u{202e}b\u{2066}\u{200b}\u{feff}\u{ad}\n\r\t\0\u{85}\u{2028}\u{e0041}\u{a0}";
        assert_eq!(
            Visible(tricks).to_string(),
            r"a\u{202e}b\u{2066}\u{200b}\u{feff}\u{ad}\n\r\t\0\u{85}\u{2028}\u{e0041}\u{a0}"
        );
        assert_eq!(Visible("zoë@日本 'x' \"y\" \\").to_string(), "zoë@日本 'x' \"y\" \\");
    }

    #[test]
    fn code_span_ends_with_the_text() {
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
    fn sentence_keeps_plain_words_and_quotes_the_rest() {
        let sentence = "bob declared with type DEFAULT here and HIDDEN in care/old, which is older: 1,000 of @team. See www.example.com; #12 5c1e0f";
        assert_eq!(
            Prose(sentence).to_string(),
            "bob declared with type DEFAULT here and HIDDEN in `care/old`, which is older: 1,000 of `@team`. See `www.example.com`; `#12` `5c1e0f`"
        );
        assert_eq!(Prose("**a** [b](c) <d>").to_string(), "`**a**` `[b](c)` `<d>`");
        assert_eq!(Prose("www. aWWW.").to_string(), "`www`. `aWWW`.");
    }

    #[test]
    fn html_escapes_every_special_character() {
        assert_eq!(Html("<a href=\"x\">&'").to_string(), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
    }
}
