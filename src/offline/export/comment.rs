//! Texts from the service in YAML comments, escaped so that they cannot end the comment.

/// The longest text that a comment shows, in characters.
const MAX_CHARACTERS: usize = 256;

/// Returns the text on one line. A character that YAML forbids or that is not visible becomes its
/// code, as in `\u{2028}`.
pub(super) fn escape_comment(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars().take(MAX_CHARACTERS) {
        if is_visible(letter) { escaped.push(letter) } else { escaped.extend(letter.escape_unicode()) }
    }
    if text.chars().nth(MAX_CHARACTERS).is_some() {
        escaped.push('…');
    }
    escaped
}

/// Returns whether a character is visible and safe: no control character, no line end of any
/// reader, none that YAML forbids, and none that changes the direction of the text.
fn is_visible(letter: char) -> bool {
    !letter.is_control()
        && !matches!(
            letter,
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_characters_are_escaped() {
        for (text, escaped) in [
            ("Zoë 田中 🦀 # 'x': \"y\" \\", "Zoë 田中 🦀 # 'x': \"y\" \\"),
            ("a\nmembers: [mallory]", "a\\u{a}members: [mallory]"),
            ("a\r\nb\tc\0d\u{7f}", "a\\u{d}\\u{a}b\\u{9}c\\u{0}d\\u{7f}"),
            ("a\u{85}b\u{2028}c\u{2029}d", "a\\u{85}b\\u{2028}c\\u{2029}d"),
            ("\u{202e}ecila\u{feff}\u{ffff}", "\\u{202e}ecila\\u{feff}\\u{ffff}"),
        ] {
            assert_eq!(escape_comment(text), escaped);
        }
        assert_eq!(escape_comment(&"é".repeat(300)).chars().count(), MAX_CHARACTERS + 1);
    }
}
