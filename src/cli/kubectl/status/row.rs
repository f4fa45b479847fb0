//! The facts about one resource that `rollcall status` shows, and the totals.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::api::{ChannelMembershipStatus, MembershipType, Prune, Reason};
use crate::cli::shared::output::{age, plural};
use crate::cli::shared::resources::Entry;
use crate::engine::number;
use crate::membership::arn::ChannelArn;

/// One resource.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cli) struct Row {
    pub namespace: String,
    pub name: String,
    pub channel: String,
    #[serde(rename = "type")]
    pub membership_type: Option<MembershipType>,
    pub prune: Option<Prune>,
    pub suspended: bool,
    pub deleting: bool,
    pub generation: i64,
    /// The generation that the fields below describe.
    pub observed_generation: Option<i64>,
    pub ready: String,
    pub reason: String,
    pub message: String,
    /// True while the operator works on the resource.
    pub reconciling: bool,
    /// True if the operator cannot continue without help.
    pub stalled: bool,
    pub desired: Option<u32>,
    pub present: Option<u32>,
    pub pending: Option<u32>,
    pub failed: Option<u32>,
    pub undeclared: Option<u32>,
    pub removals_pending_approval: u32,
    pub additions_pending_approval: u32,
    /// The last listing in the status; later listings that showed nothing new are not recorded.
    pub last_listed: Option<Timestamp>,
    /// The time when the status was written.
    pub as_of: Option<Timestamp>,
    pub last_handled_reconcile_at: Option<String>,
}

impl Row {
    pub fn of(entry: &Entry) -> Self {
        let nothing = ChannelMembershipStatus::default();
        let status = entry.status().unwrap_or(&nothing);
        let condition = |kind: &str| status.conditions.iter().find(|condition| condition.type_ == kind);
        let ready = condition("Ready");
        let holds = |kind: &str| condition(kind).is_some_and(|condition| condition.status == "True");
        let arn = entry.spec().map(|spec| spec.channel_arn.as_str()).unwrap_or_default();
        let id = ChannelArn::parse(arn).map(|channel| channel.id().to_owned());
        let pending = status.pending_approval.as_ref().filter(|pending| !pending.approved);
        Self {
            namespace: entry.namespace().to_owned(),
            name: entry.name().to_owned(),
            channel: id.ok().or_else(|| status.channel.clone()).unwrap_or_else(|| arn.to_owned()),
            membership_type: entry.spec().map(|spec| spec.membership_type),
            prune: entry.spec().map(|spec| spec.prune),
            suspended: entry.spec().is_some_and(|spec| spec.suspend),
            deleting: entry.is_deleting(),
            generation: entry.generation(),
            observed_generation: status.observed_generation.filter(|seen| *seen >= 0),
            ready: ready.map_or_else(|| "Unknown".to_owned(), |it| it.status.clone()),
            reason: ready.map(|it| it.reason.clone()).unwrap_or_default(),
            message: ready.map(|it| it.message.clone()).unwrap_or_default(),
            reconciling: holds("Reconciling"),
            stalled: holds("Stalled"),
            desired: status.desired,
            present: status.present,
            pending: status.pending,
            failed: status.failed,
            undeclared: status.undeclared.as_ref().map(|undeclared| undeclared.count),
            removals_pending_approval: pending.map_or(0, |pending| pending.removals),
            additions_pending_approval: pending.map_or(0, |pending| pending.additions),
            last_listed: status.last_listed.as_ref().map(|at| at.0),
            as_of: entry.status_written_at(),
            last_handled_reconcile_at: status.last_handled_reconcile_at.clone(),
        }
    }

    /// Returns the key by which rows are sorted.
    pub fn place(&self) -> (&str, &str) {
        (&self.namespace, &self.name)
    }

    /// `namespace/name`.
    pub fn resource(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Returns true if the status describes the current spec.
    pub fn is_current(&self) -> bool {
        self.observed_generation == Some(self.generation)
    }

    /// Returns the status of Ready for the current spec.
    pub fn verdict(&self) -> &str {
        if self.is_current() || self.reason == Reason::Suspended.as_str() { &self.ready } else { "Unknown" }
    }

    /// Returns the cells of the table.
    pub fn cells(&self, wide: bool, now: Timestamp) -> Vec<String> {
        let count = |count: Option<u32>| count.map_or_else(|| "-".to_owned(), |count| number(count as usize));
        let pending = self.removals_pending_approval + self.additions_pending_approval;
        vec![
            if wide { self.resource() } else { self.name.clone() },
            match self.membership_type {
                Some(MembershipType::Hidden) => format!("{} (HIDDEN)", self.channel),
                _ => self.channel.clone(),
            },
            self.verdict().to_owned(),
            if self.reason.is_empty() { "-".to_owned() } else { self.reason.clone() },
            format!("{}/{}", count(self.present), count(self.desired)),
            count(self.pending),
            count(self.failed),
            if pending == 0 { "-".to_owned() } else { number(pending as usize) },
            self.last_listed.map_or_else(|| "-".to_owned(), |at| age(at, now)),
        ]
    }

    /// Returns the next step for a resource that is not Ready.
    pub fn next_step(&self) -> Option<String> {
        let none = self.reason.is_empty();
        if none && self.suspended {
            return Some("suspended before its first reconcile".to_owned());
        }
        if none {
            return Some("no status: does the operator run, and does it watch this namespace?".to_owned());
        }
        if !self.is_current() && self.reason != Reason::Suspended.as_str() {
            return Some(format!(
                "the operator has not reconciled the newest spec yet (generation {}); before: {}",
                self.generation, self.message
            ));
        }
        (self.ready != "True" || self.deleting).then(|| {
            let deleting = if self.deleting { "is being deleted; " } else { "" };
            format!("{deleting}{}: {}", self.reason, self.message)
        })
    }

    /// Returns the row as one line.
    pub fn line(&self) -> String {
        let count = |count: Option<u32>| count.map_or_else(|| "-".to_owned(), |count| number(count as usize));
        let reason = if self.reason.is_empty() { "-" } else { &self.reason };
        let mut line = format!(
            "{}  {}  {reason}  {}/{} present, {} pending, {} failed",
            self.resource(),
            self.verdict(),
            count(self.present),
            count(self.desired),
            count(self.pending),
            count(self.failed),
        );
        if let Some(next) = self.next_step() {
            line.push_str("; ");
            line.push_str(&next);
        }
        line
    }
}

/// The totals of all rows.
pub(in crate::cli) struct StatusTotals {
    resources: usize,
    ready: usize,
    reconciling: usize,
    stalled: usize,
    suspended: usize,
    desired: usize,
    present: usize,
    failed: usize,
    pending_approval: usize,
}

impl StatusTotals {
    pub fn of(rows: &[Row]) -> Self {
        let sum = |of: fn(&Row) -> Option<u32>| rows.iter().filter_map(of).map(|it| it as usize).sum();
        let number_of = |which: fn(&&Row) -> bool| rows.iter().filter(which).count();
        Self {
            resources: rows.len(),
            ready: number_of(|row| row.verdict() == "True" && !row.suspended),
            reconciling: number_of(|row| row.reconciling && row.is_current()),
            stalled: number_of(|row| row.stalled && row.is_current()),
            suspended: number_of(|row| row.suspended),
            desired: sum(|row| row.desired),
            present: sum(|row| row.present),
            failed: sum(|row| row.failed),
            pending_approval: sum(|row| Some(row.removals_pending_approval + row.additions_pending_approval)),
        }
    }
}

impl fmt::Display for StatusTotals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ready", plural(self.resources, "resource", "resources"), number(self.ready))?;
        let told = [(self.reconciling, "in progress"), (self.stalled, "stalled"), (self.suspended, "suspended")];
        for (count, what) in told.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, ", {} {what}", number(count))?;
        }
        let rest = self.resources.saturating_sub(self.ready + self.reconciling + self.stalled + self.suspended);
        if rest > 0 {
            write!(f, ", {} other", number(rest))?;
        }
        write!(f, "; {} of {} declared members present", number(self.present), number(self.desired))?;
        for (count, what) in
            [(self.failed, "failed"), (self.pending_approval, "additions and removals pending approval")]
        {
            if count > 0 {
                write!(f, ", {} {what}", number(count))?;
            }
        }
        Ok(())
    }
}
