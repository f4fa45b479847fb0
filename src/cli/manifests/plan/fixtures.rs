//! The plans that the tests render.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::{
    ApprovalReason, KeepReason, MemberList, MemberProblem, MembershipType, PendingApproval, Prune, Reason,
};
use crate::offline::plan::{Before, Change, Conflict, Cost, Counts, Plan, ResourcePlan, Stay, WaitingMembers};

const INSTANCE: &str = "arn:aws:chime:us-east-1:123456789012:app-instance/1f0a";

/// Returns a resource without changes.
pub(super) fn quiet(resource: &str) -> ResourcePlan {
    let id = resource.rsplit('/').next().unwrap_or_default();
    ResourcePlan {
        resource: resource.to_owned(),
        place: Some(format!("channels/{id}.yaml:1")),
        change: Change::Unchanged,
        channel_arn: format!("{INSTANCE}/channel/{id}"),
        membership_type: MembershipType::Default,
        bearer: Some(format!("{INSTANCE}/user/rollcall")),
        prune: Prune::Owned,
        counts: Some(Counts { desired: 12, present: 12, undeclared: 0 }),
        add: MemberList::default(),
        remove: MemberList::default(),
        at_most: false,
        pending_approval: None,
        waiting: None,
        stays: Vec::new(),
        problems: Vec::new(),
        conflict: None,
        error: None,
        remarks: Vec::new(),
    }
}

fn plan(before: Before, resources: Vec<ResourcePlan>) -> Plan {
    let batches = resources.iter().filter(|resource| !resource.add.is_empty()).count();
    let deletes = resources.iter().map(|resource| resource.remove.len()).sum();
    let listing_pages = resources.len();
    let calls = listing_pages + batches + 2 * deletes;
    let cost = Cost { listing_pages, batches, describes: deletes, deletes, channel_looks: 0, calls, seconds: 3 };
    Plan::new(before, Vec::new(), resources, cost)
}

fn names(names: &[&str]) -> MemberList {
    names.iter().collect()
}

/// Returns a plan without resources.
pub(super) fn empty() -> Plan {
    plan(Before::Cluster, Vec::new())
}

/// Returns a plan that adds three members to one of two resources.
pub(super) fn adds_only() -> Plan {
    let support = ResourcePlan {
        change: Change::Changed,
        add: names(&["alice", "bot/helper", "carol"]),
        counts: Some(Counts { desired: 12, present: 9, undeclared: 1 }),
        ..quiet("care/support")
    };
    plan(Before::Manifests, vec![support, quiet("care/on-call")])
}

/// Returns a plan with removals, some of which need approval.
pub(super) fn pending() -> Plan {
    let leavers: Vec<String> = (1..=12).map(|n| format!("-leaver-{n}")).collect();
    let sales = ResourcePlan {
        change: Change::Changed,
        add: names(&["dora"]),
        pending_approval: Some(PendingApproval {
            additions: 0,
            removals: 12,
            hash: "5c1e0f9a41d2b7e3".to_owned(),
            reasons: vec![ApprovalReason::TooManyRemovals],
            members: leavers.iter().collect(),
            approved: false,
        }),
        counts: Some(Counts { desired: 30, present: 29, undeclared: 12 }),
        ..quiet("care/sales")
    };
    let support = ResourcePlan {
        change: Change::Changed,
        add: names(&["alice", "bob"]),
        remove: names(&["erin"]),
        waiting: Some(WaitingMembers {
            members: names(&["frank"]),
            why: "a source of care/on-call cannot be read".to_owned(),
        }),
        stays: vec![
            Stay { member: "grace".to_owned(), reason: KeepReason::Moderator },
            Stay { member: "heidi".to_owned(), reason: KeepReason::NotOwned },
            Stay { member: "ivan".to_owned(), reason: KeepReason::NotOwned },
        ],
        ..quiet("care/support")
    };
    let gone = ResourcePlan { change: Change::Deleted, counts: None, ..quiet("care/temporary") };
    plan(Before::State, vec![sales, support, gone, quiet("care/on-call"), quiet("care/night")])
}

/// Returns a plan for which the earlier declarations are unknown.
pub(super) fn at_most() -> Plan {
    let support = ResourcePlan {
        change: Change::Created,
        remove: names(&["erin", "frank"]),
        at_most: true,
        remarks: vec!["who joined in the last 10 minutes is not among them".to_owned()],
        ..quiet("care/support")
    };
    let mut plan = plan(Before::Unknown, vec![support]);
    plan.remarks =
        vec!["what was declared before was not seen: give --with-cluster, --state FILE or --base DIR".to_owned()];
    plan
}

/// Returns a plan with conflicts, and with channels that could not be listed.
pub(super) fn errors() -> Plan {
    let problem = |member: &str, code: &str, message: &str, attempts| MemberProblem {
        member_arn: format!("{INSTANCE}/{member}"),
        error_code: code.to_owned(),
        error_message: message.to_owned(),
        attempts,
        first_seen: Time(Timestamp::UNIX_EPOCH),
        next_attempt: None,
    };
    let closed = ResourcePlan {
        counts: None,
        error: Some(
            "ListChannelMemberships answered Forbidden: check that the channel exists and that the bearer is an AppInstanceAdmin"
                .to_owned(),
        ),
        ..quiet("care/closed")
    };
    let support = ResourcePlan {
        problems: vec![
            problem("bot/old", "OwnershipConflict", "care/legacy, which is older, declares it with type HIDDEN", 1),
            problem("user/mallory", "Forbidden", "The member is banned from the channel", 3),
        ],
        conflict: Some(Conflict {
            reason: Reason::OwnershipConflict,
            message: "bot/old declared with type DEFAULT here and HIDDEN in care/legacy, which is older: take it out of one of the two"
                .to_owned(),
        }),
        ..quiet("care/support")
    };
    plan(Before::Cluster, vec![closed, support])
}

/// Returns a plan with `text` in every field that can hold a foreign text.
pub(super) fn full_of(text: &str) -> Plan {
    let members = || [text, "zoe"].iter().collect::<MemberList>();
    let problem = MemberProblem {
        member_arn: text.to_owned(),
        error_code: text.to_owned(),
        error_message: text.to_owned(),
        attempts: 2,
        first_seen: Time(Timestamp::UNIX_EPOCH),
        next_attempt: None,
    };
    let resource = ResourcePlan {
        resource: format!("{text}/{text}"),
        place: Some(text.to_owned()),
        channel_arn: text.to_owned(),
        bearer: Some(text.to_owned()),
        add: members(),
        remove: members(),
        pending_approval: Some(PendingApproval {
            additions: 1,
            removals: 1,
            hash: text.to_owned(),
            reasons: vec![ApprovalReason::NoMembersDeclared],
            members: [format!("+{text}"), format!("-{text}")].iter().collect(),
            approved: false,
        }),
        waiting: Some(WaitingMembers { members: members(), why: text.to_owned() }),
        stays: vec![Stay { member: text.to_owned(), reason: KeepReason::Bot }],
        problems: vec![problem],
        conflict: Some(Conflict { reason: Reason::InvalidMember, message: text.to_owned() }),
        error: Some(text.to_owned()),
        remarks: vec![text.to_owned()],
        ..quiet("care/support")
    };
    let silent = ResourcePlan { resource: format!("~{text}"), ..quiet("care/on-call") };
    let mut plan = plan(Before::Cluster, vec![resource, silent]);
    plan.remarks = vec![text.to_owned()];
    plan
}

/// Returns a plan that adds this many members to this many resources, and removes as many from
/// every tenth.
pub(super) fn large(resources: usize, members: usize) -> Plan {
    let many = |who: &str| (0..members).map(|n| format!("{who}-{n:03}")).collect::<MemberList>();
    let resource = |n: usize| ResourcePlan {
        change: Change::Changed,
        add: many("newcomer"),
        remove: if n.is_multiple_of(10) { many("leaver") } else { MemberList::default() },
        ..quiet(&format!("team-{:02}/channel-{n:04}", n % 20))
    };
    plan(Before::Cluster, (0..resources).map(resource).collect())
}

/// Texts that try to be markup or commands.
pub(super) const HOSTILE: [&str; 22] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "</code></pre></details></style></script>",
    "<!-- rollcall plan -->",
    "&lt;b&gt;&amp;&#60;b&#62;",
    "[a](javascript:alert(1))",
    "](javascript:alert(1))",
    "![x](https://evil.example/x.png)",
    "https://evil.example www.evil.example a@evil.example www. evil",
    "@all @org/team #1 org/repo#1 GH-1",
    "`", // one that would end a code span
    "```\n# Heading\n~~~",
    "a | b | c \\",
    "**bold** _under_ ~~gone~~ $`x`$",
    "one\r\ntwo\n\nthree\tfour",
    "\u{202e}elttil \u{2066}a\u{2069}\u{200f}",
    "\u{0}\u{7f}\u{85}\u{1b}[31m\u{200b}\u{feff}",
    "$(reboot) `reboot`; reboot 'x",
    "- [ ] task\n> quote\n1. one",
    "+alice",
    "",
];
