use proptest::prelude::*;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::super::canned::{HOSTILE, adds_only, at_most, empty, errors, full_of, large, pending};
use super::*;

#[test]
fn an_empty_plan_says_so_in_a_line() {
    insta::assert_snapshot!(markdown(&empty()));
}

#[test]
fn who_comes_stands_in_a_diff() {
    insta::assert_snapshot!(markdown(&adds_only()));
}

#[test]
fn what_needs_approval_comes_first_with_its_hash_and_how_to_approve_it() {
    insta::assert_snapshot!(markdown(&pending()));
}

#[test]
fn removals_that_are_not_proven_are_said_to_be_so() {
    insta::assert_snapshot!(markdown(&at_most()));
}

#[test]
fn errors_and_conflicts_come_with_their_reasons() {
    insta::assert_snapshot!(markdown(&errors()));
}

#[test]
fn hostile_names_can_be_read_and_do_nothing() {
    insta::assert_snapshot!(markdown(&full_of("</details>@all [x](y)`\n#1\u{202e}|")));
}

#[test]
fn a_large_plan_fits_a_comment_and_says_what_is_missing() {
    let text = markdown(&large(1000, 100));
    assert!(text.len() <= LIMIT && text.len() > LIMIT * 9 / 10, "{}", text.len());
    assert!(text.contains("**Cut to fit a comment.**"), "{text}");
    let at = |needle: &str| text.find(needle).unwrap_or(usize::MAX);
    assert!(at("- leaver-000") < usize::MAX, "those who leave are named before those who come");
    assert!(at("channel-0990") < at("channel-0001"), "resources that people leave stand first");
}

#[test]
fn those_who_leave_are_all_named_before_anybody_who_comes() {
    let mut plan = large(30, 900);
    plan.resources.retain(|resource| !resource.remove.is_empty());
    let text = markdown(&Plan::new(plan.before, plan.remarks, plan.resources, plan.cost));
    assert_eq!(text.matches("\n- leaver-").count(), 2700);
    assert!(text.matches("\n+ newcomer-").count() < 2700 && text.contains(" more\n"), "{}", text.len());
}

#[test]
fn a_plan_with_nothing_but_long_texts_fits_too() {
    let long = "`<\u{202e}".repeat(30_000);
    let text = markdown(&full_of(&long));
    assert!(text.len() <= LIMIT, "{}", text.len());
    assert!(text.contains("**Cut to fit a comment.**"), "{text}");
}

/// What a reader of Markdown makes of a comment: its structure, and what of it is neither code nor ours.
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
            // What stands in a code element is no mention, whatever it is; it must not have a tag.
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

/// The tags of some HTML, and the text outside of code elements.
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

/// A comment full of a text has the structure of one full of a harmless word, and nothing of the text stands outside of code but words.
fn does_nothing(text: &str) {
    let (structure, loose) = read(&markdown(&full_of(text)));
    let (tame, _) = read(&markdown(&full_of("word")));
    assert_eq!(structure, tame, "{text:?}");
    for sign in ["@", "#1", "www.", "://", "](", "evil.example", "\u{202e}", "GH-1"] {
        assert!(!loose.contains(sign), "{text:?}: {sign} in {loose}");
    }
}

#[test]
fn no_hostile_text_changes_the_structure_of_a_comment() {
    for text in HOSTILE {
        does_nothing(text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_at_all_changes_the_structure_of_a_comment(text in r"([<>&`@#\[\]()!*_~|\\$:/.'\n\r \-+=1a]|\PC|www\.|<!--|-->|```){0,24}") {
        does_nothing(&text);
    }
}

#[test]
fn the_same_plan_gives_the_same_bytes() {
    assert_eq!(markdown(&pending()), markdown(&pending()));
    assert!(markdown(&pending()).starts_with(&format!("{MARKER}\n")));
}
