//! The plan of a change: what would happen if these manifests were applied.
//!
//! A [`Plan`] is a value: its printers need nothing else. Its JSON is what `rollcall plan -o json`
//! prints. It changes only by new fields.

use serde::Serialize;

use crate::api::{KeepReason, MemberList, MemberProblem, MembershipType, PendingApproval, Prune, Reason};

/// The format of a plan's JSON. It goes up when a field is removed or changes its meaning.
pub const FORMAT: u32 = 1;

/// A plan, resource by resource.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// [`FORMAT`].
    pub format: u32,
    /// The source of what was declared before.
    pub before: Before,
    /// The facts that were not read and may make a difference, in sentences.
    pub remarks: Vec<String>,
    /// The resources, sorted by `namespace/name`: those of the files, and those that are deleted
    /// with this change. An unchanged resource that is in no file is not listed.
    pub resources: Vec<ResourcePlan>,
    /// Sums over all resources.
    pub totals: Totals,
    /// The cost of the change.
    pub cost: Cost,
}

/// The source of what was declared before, and by which resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Before {
    /// The resources in a cluster (`--with-cluster`).
    Cluster,
    /// The resources in a state file (`--state`).
    State,
    /// The manifests before the change (`--base`).
    Manifests,
    /// No source: removals are at most those shown, and not proven.
    Unknown,
}

/// The change of the resource itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Change {
    /// The resource is new, or its earlier state is unknown.
    Created,
    /// Its spec or one of its sources has changed.
    Changed,
    /// It is unchanged.
    Unchanged,
    /// It was deleted.
    Deleted,
}

/// The changes to the members of one resource. Names are short, such as `alice` and `bot/helper`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourcePlan {
    /// `namespace/name`.
    pub resource: String,
    /// File and line, if the resource is in a file: `team.yaml:12`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// The change of the resource itself.
    pub change: Change,
    /// The channel's ARN, as it is written.
    pub channel_arn: String,
    /// The type of the memberships.
    #[serde(rename = "type")]
    pub membership_type: MembershipType,
    /// The ARN of the bearer; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer: Option<String>,
    /// The members that it removes.
    pub prune: Prune,
    /// How many members it declares, how many of them are present, and how many present members are
    /// undeclared. Absent if the channel was not, or could not be, read.
    #[serde(flatten)]
    pub counts: Option<Counts>,
    /// The members to add, sorted.
    pub add: MemberList,
    /// The members to remove, sorted. With `at_most`, at most these members, and perhaps not all of
    /// them.
    pub remove: MemberList,
    /// True if it is unknown what the resource declared before, so that no removal is proven.
    pub at_most: bool,
    /// The changes that wait for approval, with the hash that approves them. None of these members
    /// is in `add` or `remove`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_approval: Option<PendingApproval>,
    /// The members to remove that wait for something other than approval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<WaitingMembers>,
    /// The present members that no resource declares and that are not removed, sorted.
    pub stays: Vec<Stay>,
    /// The declared members that are absent and not added: an older resource declares them with the
    /// other type, the service refused them recently, or they left. Sorted by ARN.
    pub problems: Vec<MemberProblem>,
    /// The reason that the resource, or a part of it, is not reconciled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conflict: Option<Conflict>,
    /// The reason that the plan is incomplete, and the remedy: the channel could not be read, or
    /// the invitation of a member could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Other remarks, in sentences.
    pub remarks: Vec<String>,
}

/// The counts of members before any change of this resource. A change that an earlier resource of
/// the plan makes to the same channel counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// How many different members the resource declares.
    pub desired: usize,
    /// How many of them are present.
    pub present: usize,
    /// How many present members of this type no resource declares.
    pub undeclared: usize,
}

/// Members that wait, and the reason.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WaitingMembers {
    /// The members, sorted.
    pub members: MemberList,
    /// The reason, as a text.
    pub why: String,
}

/// A member that stays though no resource declares it any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stay {
    /// The member.
    pub member: String,
    /// The reason.
    pub reason: KeepReason,
}

/// A fault of a resource, as its condition will show it.
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
    /// How many resources are in the plan.
    pub resources: usize,
    /// How many resources have members to add or remove, members that wait, or a conflict.
    pub affected: usize,
    /// How many members are added.
    pub add: usize,
    /// How many members are removed, without those that are known at most.
    pub remove: usize,
    /// How many members may be removed, if it is unknown what was declared before.
    pub remove_at_most: usize,
    /// How many additions wait for approval.
    pub additions_pending_approval: usize,
    /// How many removals wait for approval.
    pub removals_pending_approval: usize,
    /// How many removals wait for something other than approval.
    pub waiting: usize,
    /// How many undeclared members stay.
    pub stays: usize,
    /// How many declared members are not added, plus how many resources are in conflict.
    pub conflicts: usize,
    /// How many resources could not be planned because their channel could not be read.
    pub errors: usize,
}

/// The cost of a plan, without the changes that wait for approval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    /// Pages of listings.
    pub listing_pages: usize,
    /// Batches that add members.
    pub batches: usize,
    /// Checks of one membership each.
    pub describes: usize,
    /// Deletes.
    pub deletes: usize,
    /// Calls about a channel and its moderators, before a removal.
    pub channel_looks: usize,
    /// All of these calls.
    pub calls: usize,
    /// How long they take at the operator's rate, in seconds; 0 without a limit.
    pub seconds: u64,
}

impl Plan {
    /// Creates a plan of these resources, sorted and with its sums.
    pub fn new(before: Before, remarks: Vec<String>, mut resources: Vec<ResourcePlan>, cost: Cost) -> Self {
        resources.sort_by(|a, b| a.resource.cmp(&b.resource));
        let mut totals = Totals { resources: resources.len(), ..Totals::default() };
        for resource in &resources {
            totals.add(resource);
        }
        Self { format: FORMAT, before, remarks, resources, totals, cost }
    }

    /// Returns whether anything would change, or needs a decision first.
    pub fn has_changes(&self) -> bool {
        self.totals.affected > 0
    }

    /// Returns whether a part of the plan is unknown.
    pub fn is_partial(&self) -> bool {
        self.totals.errors > 0
    }
}

impl ResourcePlan {
    /// Returns whether nothing would change for its members, and nothing blocks it.
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
