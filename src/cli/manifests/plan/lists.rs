//! The lists of members in a resource's plan, in the order of their importance.

use super::phrases::{self, count, number};
use crate::api::MemberProblem;
use crate::membership::arn::{ChannelArn, display_name};
use crate::offline::plan::ResourcePlan;

/// The kind of a list, from the most to the least important for a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Members that are removed, or may be removed.
    Remove,
    /// Members that need approval.
    PendingApproval,
    /// Declared members that are not added.
    Refused,
    /// Members that are removed later.
    Later,
    /// Members that are added.
    Add,
    /// Undeclared members that stay.
    Stay,
}

impl Kind {
    /// Returns true for removals and for open decisions: they are shown first, and cut last.
    pub(super) fn is_urgent(self) -> bool {
        matches!(self, Self::Remove | Self::PendingApproval | Self::Refused | Self::Later)
    }
}

/// Members under one title.
#[derive(Clone, Debug)]
pub(super) struct List<'a> {
    pub(super) kind: Kind,
    /// The number of members and the change: `3 added`.
    pub(super) title: String,
    pub(super) members: Vec<Member<'a>>,
}

/// A line of a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member<'a> {
    /// `+` is added, `-` is removed, `!` is declared and not added, `=` stays. It is never a space:
    /// a line of a diff with a space and backticks would end the diff.
    pub(super) sign: char,
    pub(super) name: &'a str,
    pub(super) problem: Option<&'a MemberProblem>,
}

/// Returns the lists of a resource that are not empty.
pub(super) fn member_lists(plan: &ResourcePlan) -> Vec<List<'_>> {
    let (removed, added) = (number(plan.remove.len()), number(plan.add.len()));
    let removed =
        if plan.at_most { format!("at most {removed} removed, not proven") } else { format!("{removed} removed") };
    let mut lists = vec![list(Kind::Remove, removed, '-', plan.remove.iter())];
    if let Some(pending) = &plan.pending_approval {
        let members = pending.members.iter().map(|line| {
            let (sign, name) = match line.strip_prefix(['-', '+']) {
                Some(name) => (if line.starts_with('-') { '-' } else { '+' }, name),
                None => ('?', line),
            };
            Member { sign, name, problem: None }
        });
        lists.push(List {
            kind: Kind::PendingApproval,
            title: format!("{} pending approval", number((pending.removals + pending.additions) as usize)),
            members: members.collect(),
        });
    }
    let channel = ChannelArn::parse(&plan.channel_arn).ok();
    let problems = plan.problems.iter().map(|problem| Member {
        sign: '!',
        name: short_name(&problem.member_arn, channel.as_ref()),
        problem: Some(problem),
    });
    let title = format!("{} not added", number(plan.problems.len()));
    lists.push(List { kind: Kind::Refused, title, members: problems.collect() });
    if let Some(waiting) = &plan.waiting {
        let title = format!("{} removed later", number(waiting.members.len()));
        lists.push(list(Kind::Later, title, '-', waiting.members.iter()));
    }
    lists.push(list(Kind::Add, format!("{added} added"), '+', plan.add.iter()));
    for (reason, names) in phrases::stays_by_reason(plan) {
        let stay = if names.len() == 1 { "stays" } else { "stay" };
        let title = format!("{} {stay}: {}", number(names.len()), reason);
        lists.push(list(Kind::Stay, title, '=', names.into_iter()));
    }
    lists.retain(|list| !list.members.is_empty());
    lists
}

fn list<'a>(kind: Kind, title: String, sign: char, names: impl Iterator<Item = &'a str>) -> List<'a> {
    List { kind, title, members: names.map(|name| Member { sign, name, problem: None }).collect() }
}

/// Describes an error and its attempts: `Forbidden: The member is banned (tried 3 times)`.
pub(super) fn describe_problem(problem: &MemberProblem) -> String {
    let tried = if problem.attempts > 1 {
        format!(" (tried {})", count(problem.attempts as usize, "time"))
    } else {
        String::new()
    };
    format!("{}: {}{tried}", problem.error_code, problem.error_message)
}

/// Returns the short name of a member of the channel's app instance: `alice`, `bot/helper`.
pub(super) fn short_name<'a>(arn: &'a str, channel: Option<&ChannelArn>) -> &'a str {
    channel.and_then(|channel| channel.name_of(arn)).map_or(arn, display_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn member_of_the_same_app_instance_has_its_short_name() {
        let channel = ChannelArn::parse("arn:aws:chime:us-east-1:123456789012:app-instance/a/channel/c").ok();
        assert!(channel.is_some());
        for (arn, name) in [
            ("arn:aws:chime:us-east-1:123456789012:app-instance/a/user/alice", "alice"),
            ("arn:aws:chime:us-east-1:123456789012:app-instance/a/bot/helper", "bot/helper"),
            (
                "arn:aws:chime:us-east-1:123456789012:app-instance/b/user/alice",
                "arn:aws:chime:us-east-1:123456789012:app-instance/b/user/alice",
            ),
            ("", ""),
        ] {
            assert_eq!(short_name(arn, channel.as_ref()), name);
        }
        assert_eq!(short_name("alice", None), "alice");
    }
}
