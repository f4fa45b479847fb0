//! How do the declared members of a resource stand, at one moment of a pass?

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::intent::Intent;
use crate::api::{MAX_ERROR_MESSAGE_CHARS, MAX_ERRORS, MemberProblem};
use crate::membership::names::NameSet;
use crate::membership::problem::Problems;

/// Where the declared members stand: `desired = present + pending + failed`.
#[derive(Clone, Debug)]
pub(super) struct Findings {
    pub intent: Arc<Intent>,
    pub desired: usize,
    pub present: usize,
    pub pending: usize,
    pub failed: usize,
    /// The first problems by ARN, as the status shows them.
    pub errors: Vec<MemberProblem>,
    /// How many more there are.
    pub omitted: usize,
    /// How many members were refused with each code, the most frequent first.
    pub refused: Vec<(String, usize)>,
    /// The same for those who are tried again soon.
    pub transient: Vec<(String, usize)>,
    /// When the channel was last listed.
    pub listed: Option<Timestamp>,
    /// The resync interval in force.
    pub interval: Duration,
}

impl Findings {
    /// How many members are missing though nothing stood in their way.
    pub fn unplanned(&self) -> usize {
        self.pending.saturating_sub(self.transient.iter().map(|(_, count)| count).sum())
    }

    /// Counts whoever is `there`, and takes everybody else's problem from `problems`.
    pub fn new(
        intent: &Arc<Intent>,
        there: &NameSet,
        problems: &Problems,
        listed: Option<Timestamp>,
        interval: Duration,
    ) -> Self {
        let names = intent.roster.names();
        let present = names.iter().filter(|name| there.contains(name)).count();
        let failed = problems.iter().filter(|(_, problem)| !problem.transient).count();
        Self {
            intent: Arc::clone(intent),
            desired: names.len(),
            present,
            pending: names.len() - present - failed,
            failed,
            errors: errors(intent, problems),
            omitted: problems.len().saturating_sub(MAX_ERRORS),
            refused: codes(problems, false),
            transient: codes(problems, true),
            listed,
            interval,
        }
    }
}

fn errors(intent: &Intent, problems: &Problems) -> Vec<MemberProblem> {
    problems
        .iter()
        .take(MAX_ERRORS)
        .map(|(name, problem)| MemberProblem {
            member_arn: intent.roster.arn(name).as_str().to_owned(),
            error_code: problem.code.clone(),
            error_message: problem.message.chars().take(MAX_ERROR_MESSAGE_CHARS).collect(),
            attempts: problem.attempts,
            first_seen: to_the_second(problem.first_seen),
            next_attempt: Some(to_the_second(problem.next_attempt)),
        })
        .collect()
}

fn codes(problems: &Problems, transient: bool) -> Vec<(String, usize)> {
    let mut counts = BTreeMap::<&str, usize>::new();
    for (_, problem) in problems.iter().filter(|(_, problem)| problem.transient == transient) {
        *counts.entry(&problem.code).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().map(|(code, count)| (code.to_owned(), count)).collect();
    counts.sort_by(|(_, a), (_, b)| b.cmp(a));
    counts
}

/// Kubernetes keeps times to the second.
pub(super) fn to_the_second(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}
