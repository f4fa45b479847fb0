use proptest::prelude::*;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::super::fixtures::{HOSTILE, adds_only, at_most, empty, errors, full_of, large, pending};
use super::*;

#[test]
fn empty_plan_is_one_line() {
    insta::assert_snapshot!(markdown(&empty()));
}

#[test]
fn additions_are_shown_as_a_diff() {
    insta::assert_snapshot!(markdown(&adds_only()));
}

#[test]
fn pending_approval_comes_first_with_hash_and_command() {
    insta::assert_snapshot!(markdown(&pending()));
}

#[test]
fn unproven_removals_are_marked_as_unproven() {
    insta::assert_snapshot!(markdown(&at_most()));
}

#[test]
fn errors_and_conflicts_show_their_reasons() {
    insta::assert_snapshot!(markdown(&errors()));
}

#[test]
fn hostile_names_are_readable_and_harmless() {
    insta::assert_snapshot!(markdown(&full_of("</details>@all [x](y)`\n#1\u{202e}|")));
}

#[test]
fn large_plan_fits_a_comment_and_counts_the_rest() {
    let text = markdown(&large(1000, 100));
    assert!(text.len() <= LIMIT && text.len() > LIMIT * 9 / 10, "{}", text.len());
    assert!(text.contains("**Cut to fit a comment.**"), "{text}");
    let at = |needle: &str| text.find(needle).unwrap_or(usize::MAX);
    assert!(at("- leaver-000") < usize::MAX, "those who leave are named before those who come");
    assert!(at("channel-0990") < at("channel-0001"), "resources that people leave stand first");
}

#[test]
fn removals_are_named_before_additions() {
    let mut plan = large(30, 900);
    plan.resources.retain(|resource| !resource.remove.is_empty());
    let text = markdown(&Plan::new(plan.before, plan.remarks, plan.resources, plan.cost));
    assert_eq!(text.matches("\n- leaver-").count(), 2700);
    assert!(text.matches("\n+ newcomer-").count() < 2700 && text.contains(" more\n"), "{}", text.len());
}

#[test]
fn plan_of_long_texts_fits_a_comment() {
    let long = "`<\u{202e}".repeat(30_000);
    let text = markdown(&full_of(&long));
    assert!(text.len() <= LIMIT, "{}", text.len());
    assert!(text.contains("**Cut to fit a comment.**"), "{text}");
}

/// Returns the structure of a comment as a Markdown reader sees it, and the text outside of code.
fn read(markdown: &str) -> (Vec<String>, String) {
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS | Options::ENABLE_GFM;
    let (mut structure, mut loose, mut code) = (Vec::new(), String::new(), false);
    for event in Parser::new_ext(markdown, options) {
        match event {
            Event::Start(Tag::CodeBlock(kind)) => {
                structure.push(format!("{kind:?}"));
                code = true;
            }
            Event::End(TagEnd::CodeBlock) => code = false,
            Event::Text(_) if code => {}
            Event::Text(text) => loose += &text,
            // Text in a code element is no mention; it must contain no tag.
            Event::Html(html) | Event::InlineHtml(html) => {
                let (tags, texts) = tags(&html);
                structure.extend(tags);
                loose += &texts;
            }
            Event::Code(_) | Event::SoftBreak => {}
            other => structure.push(format!("{other:?}")),
        }
    }
    (structure, loose)
}

/// Returns the tags of some HTML, and the text outside of code elements.
fn tags(html: &str) -> (Vec<String>, String) {
    let (mut tags, mut loose, mut rest, mut code) = (Vec::new(), String::new(), html, false);
    while let Some((text, after)) = rest.split_once('<') {
        let (tag, after) = after.split_once('>').unwrap_or((after, ""));
        loose += if code { "" } else { text };
        code = tag == "code";
        tags.push(tag.to_owned());
        rest = after;
    }
    loose += rest;
    (tags, loose)
}

/// Asserts that a comment full of this text has the structure of one full of a harmless word, and
/// that only words of the text are outside of code.
fn does_nothing(text: &str) {
    let (structure, loose) = read(&markdown(&full_of(text)));
    let (tame, _) = read(&markdown(&full_of("word")));
    assert_eq!(structure, tame, "{text:?}");
    for sign in ["@", "#1", "www.", "://", "](", "evil.example", "\u{202e}", "GH-1"] {
        assert!(!loose.contains(sign), "{text:?}: {sign} in {loose}");
    }
}

#[test]
fn hostile_text_changes_no_structure_of_a_comment() {
    for text in HOSTILE {
        does_nothing(text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_text_changes_no_structure_of_a_comment(text in r"([<>&`@#\[\]()!*_~|\\$:/.'\n\r \-+=1a]|\PC|www\.|<!--|-->|```){0,24}") {
        does_nothing(&text);
    }
}

#[test]
fn same_plan_renders_the_same_bytes() {
    assert_eq!(markdown(&pending()), markdown(&pending()));
    assert!(markdown(&pending()).starts_with(&format!("{MARKER}\n")));
}
