//! The section of one resource in a comment, within the space that is left.

use std::fmt::Write as _;

use super::super::escaping::{Code, Html, Prose, Visible};
use super::super::lists::{self, List, Member};
use super::super::phrases::{self, number};
use crate::offline::plan::{Before, ResourcePlan};

/// The most characters of a foreign text; a condition's message has no more.
const MAX_TEXT: usize = 1024;

/// The number of bytes that are left.
pub(super) struct Space(pub(super) usize);

impl Space {
    /// Takes bytes if that many are left.
    pub(super) fn claim(&mut self, bytes: usize) -> bool {
        let fits = bytes <= self.0;
        self.0 -= if fits { bytes } else { 0 };
        fits
    }
}

/// The section of one resource.
pub(super) struct Section<'a> {
    pub(super) plan: &'a ResourcePlan,
    /// True if there is space for the section.
    pub(super) stands: bool,
    summary: String,
    why: String,
    parts: Vec<Part<'a>>,
}

/// The lines of one list that fit.
struct Part<'a> {
    list: List<'a>,
    title: String,
    lines: Vec<String>,
}

impl<'a> Section<'a> {
    const BEGIN: &'static str = "\n<details open>\n<summary>";
    const BEGIN_FOLDED: &'static str = "\n<details>\n<summary>";
    const AFTER_SUMMARY: &'static str = "</summary>\n";
    const DIFF: (&'static str, &'static str) = ("\n```diff\n", "```\n");
    const END: &'static str = "\n</details>\n";

    pub(super) fn of(plan: &'a ResourcePlan, before: Before) -> Self {
        let part = |list: List<'a>| Part { title: format!("@@ {} @@\n", list.title), list, lines: Vec::new() };
        let parts = lists::member_lists(plan).into_iter().map(part).collect();
        Self { plan, stands: false, summary: summary(plan, before), why: why(plan), parts }
    }

    /// Returns the bytes of the section without any names.
    pub(super) fn frame(&self) -> usize {
        let fixed = [Self::BEGIN, Self::AFTER_SUMMARY, Self::DIFF.0, Self::DIFF.1, Self::END];
        fixed.iter().map(|part| part.len()).sum::<usize>() + self.summary.len() + self.why.len()
    }

    /// Adds the names of the urgent lists, or of the others, as far as there is space.
    pub(super) fn name(&mut self, urgent: bool, space: &mut Space) {
        self.parts.iter_mut().filter(|part| part.list.kind.is_urgent() == urgent).for_each(|part| part.name(space));
    }

    /// Returns the number of members that are not named.
    pub(super) fn unnamed(&self) -> usize {
        self.parts.iter().map(Part::unnamed).sum()
    }

    /// Writes the section, unfolded if it has at most `open` names.
    pub(super) fn write(&self, open: usize, text: &mut String) {
        let names: usize = self.parts.iter().map(|part| part.list.members.len()).sum();
        *text += if names <= open { Self::BEGIN } else { Self::BEGIN_FOLDED };
        *text += &self.summary;
        *text += Self::AFTER_SUMMARY;
        *text += &self.why;
        if self.parts.iter().any(|part| !part.lines.is_empty()) {
            *text += Self::DIFF.0;
            self.parts.iter().for_each(|part| part.write(text));
            *text += Self::DIFF.1;
        }
        *text += Self::END;
    }
}

impl Part<'_> {
    /// The most bytes of the line that counts the members without a line.
    const MORE: usize = 40;

    fn name(&mut self, space: &mut Space) {
        if space.claim(self.title.len() + Self::MORE) {
            let lines = self.list.members.iter().map(line).take_while(|line| space.claim(line.len()));
            self.lines = lines.collect();
        }
    }

    fn unnamed(&self) -> usize {
        self.list.members.len() - self.lines.len()
    }

    fn write(&self, text: &mut String) {
        *text += &self.title;
        self.lines.iter().for_each(|line| *text += line);
        if self.unnamed() > 0 {
            let _ = writeln!(text, "  … and {} more", number(self.unnamed()));
        }
    }
}

/// Returns a line of a diff. A line of a fenced block is plain text, and no line that begins with a
/// sign ends the block.
fn line(member: &Member<'_>) -> String {
    let why =
        member.problem.map(|problem| format!(": {}", clip(&lists::describe_problem(problem)))).unwrap_or_default();
    format!("{} {}{}\n", member.sign, Visible(member.name), Visible(&why))
}

/// Returns the line of a resource that is always visible. It is in a block of HTML: foreign texts
/// are escaped, and in a `code` element, where GitHub reads no mention.
fn summary(plan: &ResourcePlan, before: Before) -> String {
    let mut parts = vec![format!("<code>{}</code>", Html(&plan.resource))];
    parts.extend(phrases::describe_change(plan.change, before).map(str::to_owned));
    parts.extend(plan.error.as_ref().map(|_| "<b>could not be listed</b>".to_owned()));
    parts.extend(plan.conflict.as_ref().map(|conflict| format!("<b>{}</b>", conflict.reason.as_str())));
    let pending = plan.pending_approval.as_ref().map_or(0, |pending| (pending.additions + pending.removals) as usize);
    let later = plan.waiting.as_ref().map_or(0, |waiting| waiting.members.len());
    let numbers = [
        (if plan.at_most { "at most −" } else { "−" }, plan.remove.len(), ""),
        ("", pending, " pending approval"),
        ("", plan.problems.len(), " not added"),
        ("−", later, " later"),
        ("+", plan.add.len(), ""),
        ("", plan.stays.len(), " undeclared stay"),
    ];
    let numbers = numbers.iter().filter(|(_, n, _)| *n > 0);
    parts.extend(numbers.map(|(sign, n, end)| format!("{sign}{}{end}", number(*n))));
    parts.extend(plan.place.as_ref().map(|place| format!("<code>{}</code>", Html(place))));
    parts.join(" · ")
}

/// Returns the reasons, in paragraphs.
fn why(plan: &ResourcePlan) -> String {
    let mut text = String::new();
    if let Some(error) = &plan.error {
        let _ = write!(text, "\n**Could not be listed:** {}\n", Prose(&clip(error)));
    }
    if let Some(conflict) = &plan.conflict {
        let _ = write!(text, "\n**{}:** {}\n", conflict.reason.as_str(), Prose(&clip(&conflict.message)));
    }
    if let Some(pending) = &plan.pending_approval {
        let _ = write!(text, "\n**Pending approval:** {}.", Prose(&phrases::approval_reasons(pending)));
        // The command cannot end its block: it is one line, and begins with our own word.
        let _ = if pending.approved {
            writeln!(text, " It is approved, with the hash {}.", Code(&pending.hash))
        } else {
            let command = phrases::approve_command(&plan.resource, pending);
            let hash = Code(&pending.hash);
            writeln!(text, " {} {hash}:\n\n```sh\n{}\n```", phrases::TO_APPROVE, Visible(&command))
        };
    }
    if let Some(waiting) = &plan.waiting {
        let _ = write!(text, "\n**Removed later:** {}\n", Prose(&clip(&waiting.why)));
    }
    for remark in &plan.remarks {
        let _ = write!(text, "\n**Note:** {}\n", Prose(&clip(remark)));
    }
    text
}

/// Cuts a foreign text.
pub(super) fn clip(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((at, _)) => format!("{} …", &text[..at]),
        None => text.to_owned(),
    }
}
