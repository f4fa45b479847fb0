//! The plan as a comment of a pull request.
//!
//! A comment begins with [`MARKER`], by which a workflow finds it again, and is never longer than
//! [`LIMIT`]. If the space is short, every resource has its line before any member is named, and
//! removals are named before additions. The last lines say what is missing. The same plan gives the
//! same bytes.

mod section;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use section::{Section, Space};

use super::escaping::Prose;
use super::phrases::{self, Urgency, count, number};
use crate::offline::plan::Plan;

/// The first line of every comment.
const MARKER: &str = "<!-- rollcall plan -->";

/// The longest comment, in bytes. GitHub's API refuses more than 65,536 characters ("Body is too
/// long (maximum is 65536 characters)"); a text has at least as many bytes as characters. The rest
/// is for a line of the workflow.
const LIMIT: usize = 65_000;

/// The space for headings and last lines, in bytes.
const REST: usize = 1_000;

/// The most resources, and the most names of each, that are unfolded.
const OPEN: (usize, usize) = (12, 40);

/// The urgencies whose resources have a section.
const TOLD: [Urgency; 3] = [Urgency::Decide, Urgency::Leave, Urgency::Come];

/// Returns the plan as Markdown of GitHub and GitLab.
pub(super) fn markdown(plan: &Plan) -> String {
    let mut space = Space(LIMIT - REST);
    let mut text = String::new();
    for block in head(plan) {
        if space.claim(block.len()) {
            text += &block;
        }
    }
    let mut sections: Vec<Section<'_>> = TOLD
        .iter()
        .flat_map(|urgency| phrases::of_urgency(plan, *urgency))
        .map(|resource| Section::of(resource, plan.before))
        .collect();
    // A third of the space is kept for names.
    let mut lines = Space(space.0 / 3 * 2);
    for section in &mut sections {
        section.stands = lines.claim(section.frame()) && space.claim(section.frame());
    }
    for urgent in [true, false] {
        for section in sections.iter_mut().filter(|section| section.stands) {
            section.name(urgent, &mut space);
        }
    }
    let open = if sections.len() <= OPEN.0 { OPEN.1 } else { 0 };
    for urgency in TOLD {
        let mut standing = sections.iter().filter(|s| s.stands && Urgency::of(s.plan) == urgency).peekable();
        if standing.peek().is_some() {
            let resources = phrases::of_urgency(plan, urgency).count();
            let _ = write!(text, "\n#### {} ({})\n", urgency.title(), number(resources));
        }
        standing.for_each(|section| section.write(open, &mut text));
    }
    text += &missing(&sections);
    let quiet = phrases::of_urgency(plan, Urgency::Quiet).count();
    if quiet > 0 {
        let _ = write!(text, "\n{}: no changes.\n", count(quiet, "resource"));
    }
    let _ = write!(text, "\nCost: {}.\n", phrases::describe_cost(&plan.cost));
    text
}

/// Returns the blocks above the resources, the most important first.
fn head(plan: &Plan) -> Vec<String> {
    let totals = &plan.totals;
    let mut blocks = vec![format!("{MARKER}\n### Rollcall: {}\n", phrases::headline(plan))];
    let mut warn = |kind: &str, text: Option<String>| {
        blocks.extend(text.map(|text| format!("\n> [!{kind}]\n> {text}\n")));
    };
    warn("CAUTION", phrases::failed_listing_notice(totals));
    warn("WARNING", phrases::removals_notice(totals));
    warn("WARNING", phrases::unproven_removals_notice(totals));
    warn("IMPORTANT", phrases::pending_approval_notice(totals));
    if !plan.remarks.is_empty() {
        blocks.push("\nNot seen, or worth knowing:\n\n".to_owned());
        blocks.extend(plan.remarks.iter().map(|remark| format!("- Note: {}\n", Prose(&section::clip(remark)))));
    }
    blocks
}

/// Returns a note about what is not shown, and how to see it.
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
