//! The sentences about a plan that all formats share.

use std::fmt::Write as _;

use crate::api::{KeepReason, PendingApproval};
pub(super) use crate::engine::number;
use crate::offline::plan::{Before, Change, Cost, Plan, ResourcePlan, Totals};

/// The urgency of a resource for a reviewer, highest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// A person must decide something or correct a fault.
    Decide,
    /// Members are removed, now or later.
    Leave,
    /// Members are added, or undeclared members stay.
    Come,
    /// Nothing changes.
    Quiet,
}

impl Urgency {
    /// Returns the urgency of a resource.
    pub(super) fn of(plan: &ResourcePlan) -> Self {
        let open = plan.pending_approval.as_ref().is_some_and(|pending| !pending.approved)
            || plan.conflict.is_some()
            || plan.error.is_some()
            || !plan.problems.is_empty()
            || plan.at_most && !plan.remove.is_empty();
        if open {
            Self::Decide
        } else if !plan.remove.is_empty() || plan.waiting.is_some() || plan.pending_approval.is_some() {
            Self::Leave
        } else if !plan.add.is_empty()
            || !plan.stays.is_empty()
            || !plan.remarks.is_empty()
            || plan.change == Change::Deleted
        {
            Self::Come
        } else {
            Self::Quiet
        }
    }

    /// Returns the heading of the resources with this urgency.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Decide => "Needs a decision",
            Self::Leave => "Members are removed",
            Self::Come => "No members are removed",
            Self::Quiet => "No changes",
        }
    }
}

/// Returns the resources of one urgency, in the plan's order.
pub(super) fn of_urgency(plan: &Plan, urgency: Urgency) -> impl Iterator<Item = &ResourcePlan> + Clone {
    plan.resources.iter().filter(move |resource| Urgency::of(resource) == urgency)
}

/// Returns the whole plan in one line: `3 added, 1 removed, 2 pending approval in 2 of 14
/// resources`.
pub(super) fn headline(plan: &Plan) -> String {
    let totals = &plan.totals;
    let told = numbers(totals).into_iter().filter(|sum| sum.changes && sum.count > 0);
    let mut parts: Vec<String> = told.map(|sum| sum.phrase.replace('#', &number(sum.count))).collect();
    let resources = count(totals.resources, "resource");
    if parts.is_empty() {
        parts.push("no members added or removed".to_owned());
    }
    let mut line = parts.join(", ");
    let _ = match totals.affected {
        0 => write!(line, " in {resources}"),
        some => write!(line, " in {} of {resources}", number(some)),
    };
    if totals.errors > 0 {
        let _ = write!(line, "; {} could not be listed", number(totals.errors));
    }
    line
}

/// A total of a plan.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number {
    /// A short key that stays the same.
    pub(super) key: &'static str,
    /// The label beside the number.
    pub(super) heading: &'static str,
    /// The number.
    pub(super) count: usize,
    /// True for a change, or an intended change.
    pub(super) changes: bool,
    /// The phrase for a sentence, with `#` for the number.
    phrase: &'static str,
}

/// Returns the totals of a plan, in the order in which they are shown.
pub(super) fn numbers(totals: &Totals) -> [Number; 8] {
    let number = |key, heading, count, phrase| Number { key, heading, count, changes: true, phrase };
    let pending = totals.additions_pending_approval + totals.removals_pending_approval;
    [
        number("add", "added", totals.add, "# added"),
        number("remove", "removed", totals.remove, "# removed"),
        number("removeAtMost", "removed at most, not proven", totals.remove_at_most, "at most # removed (not proven)"),
        number("pendingApproval", "pending approval", pending, "# pending approval"),
        number("waiting", "removed later", totals.waiting, "# removed later"),
        number("conflicts", "not added, or in conflict", totals.conflicts, "# not added or in conflict"),
        Number { changes: false, ..number("stays", "stay undeclared", totals.stays, "") },
        Number { changes: false, ..number("errors", "could not be listed", totals.errors, "") },
    ]
}

/// Returns the sentence about channels that could not be listed.
pub(super) fn failed_listing_notice(totals: &Totals) -> Option<String> {
    let what = count(totals.errors, "resource");
    (totals.errors > 0).then(|| format!("{what} could not be listed: the changes there are unknown."))
}

/// Returns the sentence about removals.
pub(super) fn removals_notice(totals: &Totals) -> Option<String> {
    let n = totals.remove + totals.waiting;
    let end = if n == 1 { "ends" } else { "end" };
    (n > 0).then(|| format!("{} {end} once this is in force.", count(n, "membership")))
}

/// Returns the sentence about removals that are not proven.
pub(super) fn unproven_removals_notice(totals: &Totals) -> Option<String> {
    let n = totals.remove_at_most;
    let end = if n == 1 { "ends" } else { "end" };
    (n > 0).then(|| {
        format!(
            "At most {} {end}: no removal is proven, because the earlier declarations are unknown. Give --with-cluster, --state or --base.",
            count(n, "membership")
        )
    })
}

/// Returns the sentence about changes that need approval.
pub(super) fn pending_approval_notice(totals: &Totals) -> Option<String> {
    let parts = [(totals.removals_pending_approval, "removal"), (totals.additions_pending_approval, "addition")];
    let parts: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| count(*n, what)).collect();
    let one = totals.removals_pending_approval + totals.additions_pending_approval == 1;
    let waits = if one { "waits" } else { "wait" };
    (!parts.is_empty()).then(|| format!("{} {waits} for approval.", parts.join(" and ")))
}

/// The sentence before the hash of a plan that needs approval.
pub(super) const TO_APPROVE: &str =
    "If this is intended, wait until the resource says ApprovalRequired, then approve the hash";

/// Returns the changes that need approval, and the reasons.
pub(super) fn approval_reasons(pending: &PendingApproval) -> String {
    let reasons: Vec<String> = pending.reasons.iter().map(ToString::to_string).collect();
    let colon = if reasons.is_empty() { "" } else { ": " };
    format!("{}{colon}{}", describe_pending(pending), reasons.join("; "))
}

/// Returns the cost of the changes: `17 calls (14 pages listed, 1 batch, 2 deletes), about 3 s at
/// the operator's rate`.
pub(super) fn describe_cost(cost: &Cost) -> String {
    let parts = [
        (cost.listing_pages, "page listed", "pages listed"),
        (cost.batches, "batch", "batches"),
        (cost.channel_looks, "channel read", "channel reads"),
        (cost.describes, "member read", "member reads"),
        (cost.deletes, "delete", "deletes"),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, many)| format!("{} {}", number(*count), if *count == 1 { one } else { many }))
        .collect();
    let mut text = count(cost.calls, "call");
    if !parts.is_empty() {
        let _ = write!(text, " ({})", parts.join(", "));
    }
    if cost.seconds > 0 {
        let _ = write!(text, ", about {} at the operator's rate", duration(cost.seconds));
    }
    text
}

/// Formats a duration, rounded up: `40 s`, `3 min`, `2 h 5 min`.
fn duration(seconds: u64) -> String {
    match (seconds, seconds.div_ceil(60)) {
        (0..=90, _) => format!("{seconds} s"),
        (_, minutes @ 0..=90) => format!("{minutes} min"),
        (_, minutes) if minutes.is_multiple_of(60) => format!("{} h", minutes / 60),
        (_, minutes) => format!("{} h {} min", minutes / 60, minutes % 60),
    }
}

/// Groups the members that stay by their reason, in the order of the first names.
pub(super) fn stays_by_reason(plan: &ResourcePlan) -> Vec<(KeepReason, Vec<&str>)> {
    let mut groups: Vec<(KeepReason, Vec<&str>)> = Vec::new();
    for stay in &plan.stays {
        match groups.iter_mut().find(|(reason, _)| *reason == stay.reason) {
            Some((_, names)) => names.push(&stay.member),
            None => groups.push((stay.reason, vec![&stay.member])),
        }
    }
    groups
}

/// Returns the change of the resource itself; `None` if there is none or if it is unknown.
pub(super) fn describe_change(change: Change, before: Before) -> Option<&'static str> {
    match change {
        Change::Created if before == Before::Unknown => None,
        Change::Created => Some("new"),
        Change::Changed => Some("changed"),
        Change::Unchanged => None,
        Change::Deleted => Some("deleted"),
    }
}

/// Returns the changes that need approval: `12 removals and 3 additions`, and how many this
/// approval covers.
fn describe_pending(pending: &PendingApproval) -> String {
    let (removals, additions) = (pending.removals as usize, pending.additions as usize);
    let parts: Vec<String> = [(removals, "removal"), (additions, "addition")]
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| count(*n, what))
        .collect();
    let first = pending.members.len();
    let part = if first < removals + additions {
        format!(" (this approval lets the first {} through)", number(first))
    } else {
        String::new()
    };
    format!("{}{part}", parts.join(" and "))
}

/// Returns the command that approves the changes. It can be pasted into a shell, whatever the names
/// are.
pub(super) fn approve_command(resource: &str, pending: &PendingApproval) -> String {
    let (namespace, name) = resource.split_once('/').unwrap_or(("default", resource));
    let approval = format!("rollcall.dev/approve={}", pending.hash);
    format!(
        "kubectl annotate --overwrite -n {} chm {} {}",
        shell_word(namespace),
        shell_word(name),
        shell_word(&approval)
    )
}

/// Quotes a text as one word of a POSIX shell.
fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '=' | ':');
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Formats a count: `1 resource`, `2,000 resources`.
pub(super) fn count(n: usize, what: &str) -> String {
    format!("{} {what}{}", number(n), if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn approve_command_quotes_hostile_names() {
        let pending = PendingApproval { hash: "5c1e".to_owned(), ..PendingApproval::default() };
        assert_eq!(
            approve_command("care/support", &pending),
            "kubectl annotate --overwrite -n care chm support rollcall.dev/approve=5c1e"
        );
        assert_eq!(
            approve_command("care/$(reboot) 'x", &pending),
            r"kubectl annotate --overwrite -n care chm '$(reboot) '\''x' rollcall.dev/approve=5c1e"
        );
        assert_eq!(shell_word("--all"), "'--all'");
        assert_eq!(shell_word(""), "''");
    }

    #[test]
    fn duration_is_rounded_up() {
        let said = [1, 90, 91, 3600, 5400, 5401, 7200, 7500].map(duration);
        assert_eq!(said, ["1 s", "90 s", "2 min", "60 min", "90 min", "1 h 31 min", "2 h", "2 h 5 min"]);
    }

    #[test]
    fn large_numbers_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
    }
}
