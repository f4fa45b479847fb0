mod browser;

use proptest::prelude::*;

use super::super::fixtures::{HOSTILE, adds_only, at_most, empty, errors, full_of, pending};
use super::*;

/// Returns the page between its style and its script.
fn body(plan: &Plan) -> String {
    let page = html(plan);
    let (_, body) = page.split_once("<body>\n").unwrap();
    body.split_once("<script>").unwrap().0.to_owned()
}

#[test]
fn empty_plan_is_a_page() {
    insta::assert_snapshot!(body(&empty()));
}

#[test]
fn unaffected_resources_fold_into_one_line() {
    insta::assert_snapshot!(body(&adds_only()));
}

#[test]
fn pending_approval_comes_first_with_hash_and_command() {
    insta::assert_snapshot!(body(&pending()));
}

#[test]
fn unproven_removals_are_marked_as_unproven() {
    insta::assert_snapshot!(body(&at_most()));
}

#[test]
fn errors_and_conflicts_show_their_reasons() {
    insta::assert_snapshot!(body(&errors()));
}

#[test]
fn page_allows_only_its_own_style_and_script() {
    let policy = policy(SCRIPT);
    assert_eq!(policy.matches("'sha256-").count(), 2);
    assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
    let page = html(&pending());
    for tag in tags(&page).iter().filter(|tag| tag.contains("src=") || tag.contains("href=")) {
        assert!(tag.contains("\"#resources\"") || tag.contains("\"data:,\""), "{tag}");
    }
}

/// Returns the tags of a page in order, unclosed tags included.
fn tags(page: &str) -> Vec<&str> {
    page.split('<').skip(1).map(|rest| rest.split_once('>').map_or(rest, |(tag, _)| tag)).collect()
}

/// Asserts that a page full of this text has exactly the tags of a page full of a harmless word:
/// the text is in no tag and makes none.
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
fn hostile_text_changes_no_tag_of_the_page() {
    for text in HOSTILE {
        does_nothing(text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_text_changes_no_tag_of_the_page(text in r#"([<>&"'=/ \n\r\x00a]|\PC|</|<!--|-->|&lt;){0,24}"#) {
        does_nothing(&text);
    }
}

#[test]
fn same_plan_renders_the_same_bytes() {
    assert_eq!(html(&pending()), html(&pending()));
}
