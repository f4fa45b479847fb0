//! How do the declared members of a resource stand, at one moment of a pass?

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::intent::Intent;
use super::pass::Pass;
use super::store::Store;
use crate::api::{
    MAX_ERROR_MESSAGE_CHARS, MAX_ERRORS, MemberProblem, Mode, Prune, Stays, Undeclared, UndeclaredMember,
};
use crate::chime::port::{CallError, Service};
use crate::membership::ledger::{Ledger, to_the_second};
use crate::membership::names::NameSet;
use crate::membership::problem::Problems;

/// How many undeclared members a status names.
const UNDECLARED_SAMPLE: usize = 20;

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
    /// Who is there and declared by no resource.
    pub undeclared: Option<Undeclared>,
    /// How many additions wait for approval.
    pub withheld: usize,
    /// The refusal of a call without which nobody can be removed.
    pub removal_refused: Option<CallError>,
    /// How many are still to be removed, and why they wait.
    pub leaving: usize,
    pub waiting: Option<String>,
    /// Whether undeclared members are to be seen a second time.
    pub looking: bool,
    /// Claims and removals, to be written down.
    pub ledger: Ledger,
    /// Members whom an older resource declares with the other type, and that resource.
    pub rivals: Vec<(Box<str>, Box<str>)>,
    /// The older resource that removes undeclared members, where this one wants to as well.
    pub usurped: Option<Box<str>>,
    /// When the channel was last listed.
    pub listed: Option<Timestamp>,
    /// The resync interval in force.
    pub interval: Duration,
}

impl Findings {
    /// How many members are missing though nothing stood in their way.
    pub fn unplanned(&self) -> usize {
        let transient: usize = self.transient.iter().map(|(_, count)| count).sum();
        self.pending.saturating_sub(transient).saturating_sub(self.withheld)
    }

    /// How many wait for approval.
    pub fn pending_approval(&self) -> usize {
        let pending = self.ledger.pending_approval.as_ref().filter(|pending| !pending.approved);
        pending.map_or(0, |pending| pending.additions as usize + pending.removals as usize)
    }

    /// Counts whoever is `there`, and takes everybody else's problem from memory.
    pub fn new<S: Service, T: Store>(pass: &Pass<'_, S, T>, there: &NameSet) -> Self {
        let (intent, problems) = (&pass.intent, &pass.memory.problems);
        let names = intent.roster.names();
        let present = names.iter().filter(|name| there.contains(name)).count();
        let failed = problems.iter().filter(|(_, problem)| !problem.transient).count();
        let listed = pass.cell.listed().map(|(_, at)| at);
        Self {
            intent: Arc::clone(intent),
            desired: names.len(),
            present,
            pending: names.len().saturating_sub(present + failed),
            failed,
            errors: errors(intent, problems),
            omitted: problems.len().saturating_sub(MAX_ERRORS),
            refused: codes(problems, false),
            transient: codes(problems, true),
            undeclared: listed.map(|_| undeclared(pass)),
            withheld: pass.withheld.len(),
            removal_refused: pass.removal_refused.clone(),
            leaving: pass.leaving.len(),
            waiting: pass.waiting.as_ref().map(|(what, _)| what.clone()),
            looking: pass.intent.mode == Mode::Enforce && pass.second_look_at().is_some(),
            ledger: pass.ledger.clone(),
            rivals: pass.rivals(),
            usurped: pass.usurped(&pass.roll),
            listed,
            interval: pass.interval(),
        }
    }
}

/// Who is there and declared by no resource, and why they stay.
fn undeclared<S: Service, T: Store>(pass: &Pass<'_, S, T>) -> Undeclared {
    let (count, names) = pass.cell.undeclared(&pass.roll);
    let prune = pass.intent.prune;
    let pending = pass.ledger.pending_approval.as_ref().filter(|pending| pending.removals > 0 && !pending.approved);
    let reason = |name: &str| {
        let member = pass.intent.roster.arn(name);
        if pass.engine.settings.bearers.contains(&member) || pass.intent.target.bearer == member {
            Stays::Bearer
        } else if let Some(reason) = pass.memory.why_stays(name) {
            reason
        } else if pass.leaving.contains(name) && pending.is_some() {
            Stays::AwaitingApproval
        } else if pass.leaving.contains(name) || pass.ledger.claims.names().contains(name) {
            Stays::Waiting
        } else if member.is_bot() {
            Stays::Bot
        } else if prune == Prune::Authoritative {
            Stays::Waiting
        } else {
            Stays::NotOwned
        }
    };
    let sample = names.iter().take(UNDECLARED_SAMPLE).map(|name| UndeclaredMember {
        member_arn: pass.intent.roster.arn(name).as_str().to_owned(),
        reason: reason(name),
    });
    Undeclared { count: u32::try_from(count).unwrap_or(u32::MAX), sample: sample.collect() }
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
            next_attempt: Some(problem.next_attempt).filter(|at| *at < Timestamp::MAX).map(to_the_second),
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
