//! How does a text that others chose stand in a comment, and never break out of it?

/// The longest text that a comment shows, in characters.
const MOST: usize = 256;

/// The text on one line, of characters that YAML allows and that show as what they are: anything else as its code, `\u{2028}`.
pub(super) fn tame(text: &str) -> String {
    let mut tamed = String::with_capacity(text.len());
    for letter in text.chars().take(MOST) {
        if shows(letter) { tamed.push(letter) } else { tamed.extend(letter.escape_unicode()) }
    }
    if text.chars().nth(MOST).is_some() {
        tamed.push('…');
    }
    tamed
}

/// Neither a control character, nor one that some readers end a line at, nor one that YAML forbids, nor one that turns the direction of
/// what follows.
fn shows(letter: char) -> bool {
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
    fn what_would_end_the_line_or_is_not_seen_is_told_by_its_code() {
        for (text, tamed) in [
            ("Zoë 田中 🦀 # 'x': \"y\" \\", "Zoë 田中 🦀 # 'x': \"y\" \\"),
            ("a\nmembers: [mallory]", "a\\u{a}members: [mallory]"),
            ("a\r\nb\tc\0d\u{7f}", "a\\u{d}\\u{a}b\\u{9}c\\u{0}d\\u{7f}"),
            ("a\u{85}b\u{2028}c\u{2029}d", "a\\u{85}b\\u{2028}c\\u{2029}d"),
            ("\u{202e}ecila\u{feff}\u{ffff}", "\\u{202e}ecila\\u{feff}\\u{ffff}"),
        ] {
            assert_eq!(tame(text), tamed);
        }
        assert_eq!(tame(&"é".repeat(300)).chars().count(), MOST + 1);
    }
}
