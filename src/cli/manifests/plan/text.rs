//! The plan as text.

use std::io::{self, Write};

use super::escaping::Visible;
use super::lists;
use super::phrases::{self, Urgency, count};
use crate::membership::arn::ChannelArn;
use crate::offline::plan::{Before, Plan, ResourcePlan, Totals};

/// The most names of one kind that are printed for a resource.
const MOST_NAMES: usize = 20;

pub(super) fn print(plan: &Plan, out: &mut impl Write) -> io::Result<()> {
    for resource in plan.resources.iter().filter(|resource| Urgency::of(resource) != Urgency::Quiet) {
        print_resource(resource, plan.before, out)?;
        writeln!(out)?;
    }
    for remark in &plan.remarks {
        writeln!(out, "Note: {}.", Visible(remark))?;
    }
    writeln!(out, "{}", sum(&plan.totals))?;
    if plan.cost.calls > 0 && plan.has_changes() {
        writeln!(out, "Carrying it out takes {}.", phrases::describe_cost(&plan.cost))?;
    }
    Ok(())
}

fn print_resource(plan: &ResourcePlan, before: Before, out: &mut impl Write) -> io::Result<()> {
    let change = phrases::describe_change(plan.change, before).unwrap_or_default();
    let place = plan.place.as_deref().unwrap_or_default();
    let parts: Vec<&str> = [change, place].into_iter().filter(|part| !part.is_empty()).collect();
    let aside = if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) };
    let kind = plan.membership_type;
    writeln!(out, "{}{}", Visible(&plan.resource), Visible(&aside))?;
    let counts = plan.counts.map(|counts| {
        format!(
            ": {} declared, {} of them present, {} others present",
            counts.desired, counts.present, counts.undeclared
        )
    });
    writeln!(out, "  {} {kind}{}", Visible(&plan.channel_arn), counts.unwrap_or_default())?;
    names(plan.add.len(), plan.add.iter().map(|name| format!("+ {name}")), out)?;
    let removed = if plan.at_most { "-?" } else { "-" };
    names(plan.remove.len(), plan.remove.iter().map(|name| format!("{removed} {name}")), out)?;
    if plan.at_most && !plan.remove.is_empty() {
        writeln!(out, "  at most these are removed; no removal is proven")?;
    }
    if let Some(pending) = &plan.pending_approval {
        writeln!(out, "  ! pending approval: {}", phrases::approval_reasons(pending))?;
        names(pending.members.len(), pending.members.iter().map(|name| format!("! {name}")), out)?;
        let command = phrases::approve_command(&plan.resource, pending);
        writeln!(out, "  ! once it waits for approval, approve it: {}", Visible(&command))?;
    }
    if let Some(waiting) = &plan.waiting {
        names(waiting.members.len(), waiting.members.iter().map(|name| format!("… {name}")), out)?;
        writeln!(out, "  … to be removed, but {}", Visible(&waiting.why))?;
    }
    let stays = plan.stays.iter().map(|stay| format!("~ {} stays ({:?})", stay.member, stay.reason));
    names(plan.stays.len(), stays, out)?;
    let channel = ChannelArn::parse(&plan.channel_arn).ok();
    let problems = plan.problems.iter().map(|problem| {
        let member = lists::short_name(&problem.member_arn, channel.as_ref());
        format!("x {member} is not added: {}", lists::describe_problem(problem))
    });
    names(plan.problems.len(), problems, out)?;
    if let Some(conflict) = &plan.conflict {
        writeln!(out, "  x {}: {}", conflict.reason.as_str(), Visible(&conflict.message))?;
    }
    if let Some(error) = &plan.error {
        writeln!(out, "  error: {}", Visible(error))?;
    }
    for remark in &plan.remarks {
        writeln!(out, "  {}", Visible(remark))?;
    }
    Ok(())
}

fn names(count: usize, lines: impl Iterator<Item = String>, out: &mut impl Write) -> io::Result<()> {
    // The line "and 1 more" would be as long as the name itself.
    let most = if count == MOST_NAMES + 1 { count } else { MOST_NAMES };
    for line in lines.take(most) {
        writeln!(out, "  {}", Visible(&line))?;
    }
    if count > most {
        writeln!(out, "  and {} more (-o json has all)", count - most)?;
    }
    Ok(())
}

/// Returns the last line: "Plan: 3 to add, 1 to remove, 2 pending approval, 0 conflicts in 2 of 14
/// resources."
fn sum(totals: &Totals) -> String {
    let mut parts = vec![format!("{} to add", totals.add), format!("{} to remove", totals.remove)];
    if totals.remove_at_most > 0 {
        parts.push(format!("at most {} more to remove (not proven)", totals.remove_at_most));
    }
    parts.push(format!("{} pending approval", totals.additions_pending_approval + totals.removals_pending_approval));
    if totals.waiting > 0 {
        parts.push(format!("{} waiting", totals.waiting));
    }
    parts.push(count(totals.conflicts, "conflict"));
    if totals.errors > 0 {
        parts.push(format!("{} not known", totals.errors));
    }
    format!("Plan: {} in {} of {}.", parts.join(", "), totals.affected, count(totals.resources, "resource"))
}
