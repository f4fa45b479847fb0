//! What would happen, as a comment of a pull request?
//!
//! It begins with [`MARKER`], by which a workflow finds its own comment again, and is never longer than [`LIMIT`]. Where there is not
//! room for all, every resource has its line before anybody is named, and those who leave are named before those who come; the
//! end says what is missing. The same plan gives the same bytes.

mod section;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use section::{Room, Section};

use super::shown::Prose;
use super::words::{self, Urgency, count, number};
use crate::offline::plan::Plan;

/// The first line of every comment.
const MARKER: &str = "<!-- rollcall plan -->";

/// The longest comment, in bytes. GitHub's API refuses more than 65,536 characters ("Body is too long (maximum is 65536 characters)");
/// bytes are never fewer than characters, however those are counted. The rest is for a line of the workflow's own.
const LIMIT: usize = 65_000;

/// What the headings and the last lines take at most.
const REST: usize = 1_000;

/// Up to so many resources with up to so many names each are unfolded.
const OPEN: (usize, usize) = (12, 40);

/// Those of whom something is said.
const TOLD: [Urgency; 3] = [Urgency::Decide, Urgency::Leave, Urgency::Come];

/// The plan as GitHub's and GitLab's Markdown.
pub(super) fn markdown(plan: &Plan) -> String {
    let mut room = Room(LIMIT - REST);
    let mut text = String::new();
    for block in head(plan) {
        if room.claim(block.len()) {
            text += &block;
        }
    }
    let mut sections: Vec<Section<'_>> = TOLD
        .iter()
        .flat_map(|urgency| words::of_urgency(plan, *urgency))
        .map(|resource| Section::of(resource, plan.before))
        .collect();
    // A third is kept for names.
    let mut lines = Room(room.0 / 3 * 2);
    for section in &mut sections {
        section.stands = lines.claim(section.frame()) && room.claim(section.frame());
    }
    for urgent in [true, false] {
        for section in sections.iter_mut().filter(|section| section.stands) {
            section.name(urgent, &mut room);
        }
    }
    let open = if sections.len() <= OPEN.0 { OPEN.1 } else { 0 };
    for urgency in TOLD {
        let mut standing = sections.iter().filter(|s| s.stands && Urgency::of(s.plan) == urgency).peekable();
        if standing.peek().is_some() {
            let resources = words::of_urgency(plan, urgency).count();
            let _ = write!(text, "\n#### {} ({})\n", urgency.title(), number(resources));
        }
        standing.for_each(|section| section.write(open, &mut text));
    }
    text += &missing(&sections);
    let quiet = words::of_urgency(plan, Urgency::Quiet).count();
    if quiet > 0 {
        let _ = write!(text, "\n{}: nothing happens to the members.\n", count(quiet, "resource"));
    }
    let _ = write!(text, "\nCost: {}.\n", words::cost(&plan.cost));
    text
}

/// The blocks over the resources, the most important first.
fn head(plan: &Plan) -> Vec<String> {
    let totals = &plan.totals;
    let mut blocks = vec![format!("{MARKER}\n### Rollcall: {}\n", words::verdict(plan))];
    let mut warn = |kind: &str, text: Option<String>| {
        blocks.extend(text.map(|text| format!("\n> [!{kind}]\n> {text}\n")));
    };
    warn("CAUTION", words::not_looked_at(totals));
    warn("WARNING", words::leave(totals));
    warn("WARNING", words::leave_at_most(totals));
    warn("IMPORTANT", words::wait(totals));
    if !plan.remarks.is_empty() {
        blocks.push("\nNot seen, or worth knowing:\n\n".to_owned());
        blocks.extend(plan.remarks.iter().map(|remark| format!("- Note: {}\n", Prose(&section::clip(remark)))));
    }
    blocks
}

/// What is not shown, and how to see it.
fn missing(sections: &[Section<'_>]) -> String {
    let resources = sections.iter().filter(|section| !section.stands).count();
    let names: usize = sections.iter().map(Section::unnamed).sum();
    if resources + names == 0 {
        return String::new();
    }
    format!(
        "\n> [!NOTE]\n> **Cut to fit a comment.** {} and {} are not shown. To see all, run the same command with `-o html`.\n",
        count(resources, "resource"),
        count(names, "name"),
    )
}
