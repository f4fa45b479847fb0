mod browser;

use proptest::prelude::*;

use super::super::canned::{HOSTILE, adds_only, at_most, empty, errors, full_of, pending};
use super::*;

/// The page between its style and its script.
fn body(plan: &Plan) -> String {
    let page = html(plan);
    let (_, body) = page.split_once("<body>\n").unwrap();
    body.split_once("<script>").unwrap().0.to_owned()
}

#[test]
fn an_empty_plan_is_a_page_too() {
    insta::assert_snapshot!(body(&empty()));
}

#[test]
fn those_to_whom_nothing_happens_are_one_line_that_unfolds() {
    insta::assert_snapshot!(body(&adds_only()));
}

#[test]
fn what_needs_approval_comes_first_with_its_hash_and_how_to_approve_it() {
    insta::assert_snapshot!(body(&pending()));
}

#[test]
fn removals_that_are_not_proven_are_said_to_be_so() {
    insta::assert_snapshot!(body(&at_most()));
}

#[test]
fn errors_and_conflicts_come_with_their_reasons() {
    insta::assert_snapshot!(body(&errors()));
}

#[test]
fn the_page_allows_its_own_style_and_script_and_nothing_else() {
    let policy = policy(SCRIPT);
    assert_eq!(policy.matches("'sha256-").count(), 2);
    assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
    let page = html(&pending());
    for tag in tags(&page).iter().filter(|tag| tag.contains("src=") || tag.contains("href=")) {
        assert!(tag.contains("\"#resources\"") || tag.contains("\"data:,\""), "{tag}");
    }
}

/// The tags of a page in their order, those that are not closed too.
fn tags(page: &str) -> Vec<&str> {
    page.split('<').skip(1).map(|rest| rest.split_once('>').map_or(rest, |(tag, _)| tag)).collect()
}

/// A page full of a text has the tags of one full of a harmless word, to the letter: so no text stands in a tag or makes one.
fn does_nothing(text: &str) {
    let (plan, tame) = (full_of(text), full_of("word"));
    assert_eq!(tags(&body(&plan)), tags(&body(&tame)), "{text:?}");
    assert_eq!(html(&plan).split("<style>").next(), html(&tame).split("<style>").next(), "{text:?}");
    let unseen = |c: char| {
        c.is_control() && c != '\n'
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!body(&plan).contains(unseen), "{text:?}");
}

#[test]
fn no_hostile_text_changes_a_tag_of_the_page() {
    for text in HOSTILE {
        does_nothing(text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_at_all_changes_a_tag_of_the_page(text in r#"([<>&"'=/ \n\r\x00a]|\PC|</|<!--|-->|&lt;){0,24}"#) {
        does_nothing(&text);
    }
}

#[test]
fn the_same_plan_gives_the_same_bytes() {
    assert_eq!(html(&pending()), html(&pending()));
}
