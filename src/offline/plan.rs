//! What would happen if these manifests were applied?
//!
//! A [`Plan`] is a value: whoever shows it needs nothing else. Its JSON is what `rollcall plan -o json` prints, and changes only by
//! fields that are added.

use serde::Serialize;

use crate::api::{KeepReason, MemberList, MemberProblem, MembershipType, PendingApproval, Prune, Reason};

/// The format of a plan's JSON. It goes up when a field is taken away or comes to mean something else.
pub const FORMAT: u32 = 1;

/// What would happen, resource by resource.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// [`FORMAT`].
    pub format: u32,
    /// By what it is known what was declared before.
    pub before: Before,
    /// What was not seen and may make a difference, in sentences for people.
    pub remarks: Vec<String>,
    /// The resources, sorted by `namespace/name`: those of the files, and those that are deleted with this change. Whoever stays as
    /// they were and is in no file is not among them.
    pub resources: Vec<ResourcePlan>,
    /// Sums over all resources.
    pub totals: Totals,
    /// What carrying it out costs.
    pub cost: Cost,
}

/// By what it is known what was declared before, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Before {
    /// The resources as they stand in a cluster (`--with-cluster`).
    Cluster,
    /// The resources as they stand in a file (`--state`).
    State,
    /// The manifests before the change (`--base`).
    Manifests,
    /// Not at all: removals are at most those, and not proven.
    Unknown,
}

/// What becomes of the resource itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Change {
    /// It is new, or it is not known that it was there.
    Created,
    /// Its spec or one of its sources is another than before.
    Changed,
    /// It is as it was.
    Unchanged,
    /// It was there and is not any more.
    Deleted,
}

/// What would happen to the members of one resource. Names are as people write them: `alice`, `bot/helper`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourcePlan {
    /// `namespace/name`.
    pub resource: String,
    /// File and line, where it stands in one: `team.yaml:12`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// What becomes of the resource itself.
    pub change: Change,
    /// The channel's ARN, as it is written.
    pub channel_arn: String,
    /// The type of the memberships.
    #[serde(rename = "type")]
    pub membership_type: MembershipType,
    /// The ARN in whose name the service would be called; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer: Option<String>,
    /// Whom it removes.
    pub prune: Prune,
    /// How many members it declares, how many of them are there, and how many are there undeclared. Absent where the channel
    /// was not, or could not be, looked at.
    #[serde(flatten)]
    pub counts: Option<Counts>,
    /// Who is added, sorted.
    pub add: MemberList,
    /// Who is removed, sorted. With `at_most` these and nobody else, and perhaps not all of them.
    pub remove: MemberList,
    /// Whether it is not known what the resource declared before, so that `remove` is proven of nobody.
    pub at_most: bool,
    /// What waits for approval, with the hash that approves it. Nobody of these is in `add` or `remove`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_approval: Option<PendingApproval>,
    /// Who is to be removed and waits for something else than approval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// Who is there, is declared by no resource any more, and is not removed all the same; sorted.
    pub stays: Vec<Stay>,
    /// Who is declared, is not there and is not added: declared by an older resource with the other type, refused by the service lately, out
    /// because they left. Sorted by ARN.
    pub problems: Vec<MemberProblem>,
    /// Why the resource as a whole, or a part of what it asks for, is not carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conflict: Option<Conflict>,
    /// Why not all could be found out, and what to do about it: the channel could not be read, or who added a member.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What else is worth knowing of it, in sentences.
    pub remarks: Vec<String>,
}

/// How the declared members stand before anything is done for this resource. Whom a resource before it in the plan adds to or removes from
/// the same channel is taken to be there, or gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// How many different members the resource declares.
    pub desired: usize,
    /// How many of them are there.
    pub present: usize,
    /// How many are there, with this type, whom no resource declares.
    pub undeclared: usize,
}

/// Who waits, and for what.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// Who, sorted.
    pub members: MemberList,
    /// For what, in words.
    pub why: String,
}

/// One who stays though no resource declares them any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stay {
    /// Who.
    pub member: String,
    /// Why.
    pub reason: KeepReason,
}

/// What stands against a resource, as its condition will say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Conflict {
    /// The condition's reason.
    pub reason: Reason,
    /// The condition's message.
    pub message: String,
}

/// Sums over all resources of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// How many resources the plan is about.
    pub resources: usize,
    /// In how many of them somebody is added or removed, or waits, or something is in conflict.
    pub affected: usize,
    /// How many members are added.
    pub add: usize,
    /// How many are removed; those that are only known at most are not among them.
    pub remove: usize,
    /// How many may be removed, where it is not known what was declared before.
    pub remove_at_most: usize,
    /// How many additions wait for approval.
    pub additions_pending_approval: usize,
    /// How many removals wait for approval.
    pub removals_pending_approval: usize,
    /// How many removals wait for something else.
    pub waiting: usize,
    /// How many undeclared members stay.
    pub stays: usize,
    /// How many members are declared and not added, and how many resources are in conflict as a whole, together.
    pub conflicts: usize,
    /// How many resources could not be planned, because their channel could not be read.
    pub errors: usize,
}

/// What carrying out a plan costs: what waits for approval is not in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    /// Pages of listings.
    pub listing_pages: usize,
    /// Batches that add members.
    pub batches: usize,
    /// Looks at one membership each.
    pub describes: usize,
    /// Deletes.
    pub deletes: usize,
    /// Looks at a channel and its moderators, before somebody is removed.
    pub channel_looks: usize,
    /// All of these calls.
    pub calls: usize,
    /// How long they take at the operator's rate, in seconds; 0 without a limit.
    pub seconds: u64,
}

impl Plan {
    /// A plan of these resources, in their order and with its sums.
    pub fn new(before: Before, remarks: Vec<String>, mut resources: Vec<ResourcePlan>, cost: Cost) -> Self {
        resources.sort_by(|a, b| a.resource.cmp(&b.resource));
        let mut totals = Totals { resources: resources.len(), ..Totals::default() };
        for resource in &resources {
            totals.add(resource);
        }
        Self { format: FORMAT, before, remarks, resources, totals, cost }
    }

    /// Whether anything would happen, or somebody has to decide something first.
    pub fn has_changes(&self) -> bool {
        self.totals.affected > 0
    }

    /// Whether part of it could not be found out.
    pub fn is_partial(&self) -> bool {
        self.totals.errors > 0
    }
}

impl ResourcePlan {
    /// Whether nothing would happen to its members, and nothing is in the way.
    pub fn is_empty(&self) -> bool {
        self.add.is_empty()
            && self.remove.is_empty()
            && self.pending_approval.is_none()
            && self.waiting.is_none()
            && self.problems.is_empty()
            && self.conflict.is_none()
            && self.error.is_none()
    }
}

impl Totals {
    fn add(&mut self, plan: &ResourcePlan) {
        self.affected += usize::from(!plan.is_empty() && plan.error.is_none());
        self.add += plan.add.len();
        *(if plan.at_most { &mut self.remove_at_most } else { &mut self.remove }) += plan.remove.len();
        if let Some(pending) = &plan.pending_approval {
            self.additions_pending_approval += pending.additions as usize;
            self.removals_pending_approval += pending.removals as usize;
        }
        self.waiting += plan.waiting.as_ref().map_or(0, |waiting| waiting.members.len());
        self.stays += plan.stays.len();
        self.conflicts += plan.problems.len() + usize::from(plan.conflict.is_some());
        self.errors += usize::from(plan.error.is_some());
    }
}
