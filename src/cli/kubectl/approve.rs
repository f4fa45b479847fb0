//! `rollcall approve` approves the plan that waits in a resource's status.

use std::io::{BufRead as _, IsTerminal as _, Write as _, stderr, stdin};
use std::time::Duration;

use clap::builder::BoolishValueParser;
use serde::Serialize;
use serde_json::{Value, json};

use crate::api::{APPROVE, ApprovalReason, MemberList, PendingApproval};
use crate::cli::shared::cluster;
use crate::cli::shared::failure::Failure;
use crate::cli::shared::output::{Format, OutputArgs, join_lines, plural, print, print_json};
use crate::cli::shared::resources::{Entry, ResourceClient, TargetArgs, describe_failure};
use crate::engine::{DEFAULT_REMOVALS, approval_reasons, number};

/// The most names that are shown; --output json has all of them.
const MOST_SHOWN: usize = 50;

/// The number of checks whether the operator has observed a withdrawn approval, and the time
/// between two checks.
const FORGET_TRIES: usize = 60;
const FORGET_POLL: Duration = Duration::from_millis(500);

/// The number of attempts to write an object that others keep writing.
const TRIES: usize = 10;

/// Show the plan that waits for approval, ask, and approve exactly that plan.
///
/// A plan that changed since it was shown is not approved: look again. If the chart's
/// admission.approval is on, this needs the verb approve on channelmemberships.rollcall.dev.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  rollcall approve support -n care
  rollcall approve support -n care --yes
  rollcall approve -A -l team=care
  rollcall approve support --hash 5c1e0f2a9b3d4c6e")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    targets: TargetArgs,

    /// Do not ask: approve the plan that is shown.
    #[arg(short, long, env = "ROLLCALL_YES", value_parser = BoolishValueParser::new())]
    yes: bool,

    /// Approve only the plan with this hash, which you have read before; implies --yes for it.
    #[arg(long, env = "ROLLCALL_HASH", value_name = "HASH")]
    hash: Option<String>,

    #[command(flatten)]
    output: OutputArgs,
}

/// A plan that waits for approval.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct PendingPlan {
    resource: String,
    channel: String,
    hash: String,
    additions: u32,
    removals: u32,
    /// The number of members that the resource declares.
    desired: Option<u32>,
    reasons: Vec<ApprovalReason>,
    /// The reasons in a sentence, with the limit.
    why: String,
    /// The members that an approval covers: - is removed, + is added.
    members: MemberList,
    /// The number of members that wait and that this approval does not cover.
    omitted: usize,
    approved: bool,
}

impl PendingPlan {
    fn of(entry: &Entry, pending: &PendingApproval) -> Self {
        let limits = entry.spec().and_then(|spec| spec.limits).unwrap_or_default();
        let status = entry.status();
        Self {
            resource: entry.resource(),
            channel: entry.spec().map(|spec| spec.channel_arn.clone()).unwrap_or_default(),
            hash: pending.hash.clone(),
            additions: pending.additions,
            removals: pending.removals,
            desired: status.and_then(|status| status.desired),
            reasons: pending.reasons.clone(),
            why: approval_reasons(&pending.reasons, limits.removals.unwrap_or(DEFAULT_REMOVALS)),
            members: pending.members.clone(),
            omitted: (pending.additions as usize + pending.removals as usize).saturating_sub(pending.members.len()),
            approved: pending.approved,
        }
    }

    fn text(&self) -> String {
        let mut text = vec![
            format!(
                "{}: {} and {}; {} declared",
                self.resource,
                plural(self.removals as usize, "removal", "removals"),
                plural(self.additions as usize, "addition", "additions"),
                self.desired.map_or_else(|| "an unknown number".to_owned(), |count| number(count as usize)),
            ),
            format!("  channel {}", self.channel),
            format!("  reasons: {}", self.why),
        ];
        text.extend(self.members.iter().take(MOST_SHOWN).map(|signed| format!("  {signed}")));
        if let Some(more) = self.members.len().checked_sub(MOST_SHOWN).filter(|more| *more > 0) {
            text.push(format!("  and {} more: --output json shows all", number(more)));
        }
        if self.omitted > 0 {
            text.push(format!(
                "  {} more are not covered by this approval: approve them after these",
                number(self.omitted)
            ));
        }
        text.push(format!("  hash {}", self.hash));
        join_lines(text)
    }
}

/// The result for one plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Outcome {
    Approved,
    AlreadyApproved,
    Declined,
    NotAsked,
    Changed,
    OtherHash,
}

#[derive(Serialize)]
struct PlanOutcome {
    #[serde(flatten)]
    plan: PendingPlan,
    outcome: Outcome,
}

pub(in crate::cli) fn run(args: &Args) -> Result<(), Failure> {
    cluster::run_async(async {
        let client = ResourceClient::open(&args.targets.selection.cluster).await?;
        let entries = client.targets(&args.targets).await?;
        let waits = |entry: &Entry| entry.status().and_then(|status| status.pending_approval.clone());
        let named = !args.targets.selection.names.is_empty();
        let mut outcomes = Vec::new();
        for entry in entries {
            let Some(pending) = waits(&entry) else {
                if named {
                    eprintln!("{}: nothing waits for approval", entry.resource());
                }
                continue;
            };
            let plan = PendingPlan::of(&entry, &pending);
            if args.output.output == Format::Text {
                print(&plan.text());
            }
            let outcome = decide(&client, args, &entry, &plan).await?;
            if args.output.output == Format::Text {
                print(&format!("  {}\n", describe_outcome(outcome)));
            }
            outcomes.push(PlanOutcome { plan, outcome });
        }
        if args.output.output == Format::Json {
            print_json(&outcomes)?;
        }
        check_outcomes(args, &outcomes)
    })
}

fn describe_outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Approved => "approved: the operator applies it now",
        Outcome::AlreadyApproved => "already approved, and in progress",
        Outcome::Declined => "not approved",
        Outcome::NotAsked => "not approved: there is no terminal to ask on, so give --yes",
        Outcome::Changed => "not approved: the plan changed since it was shown",
        Outcome::OtherHash => "not approved: it has another hash",
    }
}

fn check_outcomes(args: &Args, outcomes: &[PlanOutcome]) -> Result<(), Failure> {
    let number_of = |outcome: Outcome| outcomes.iter().filter(|it| it.outcome == outcome).count();
    let approved = number_of(Outcome::Approved) + number_of(Outcome::AlreadyApproved);
    if outcomes.is_empty() {
        return Err(Failure::of("no plan waits for approval"));
    }
    if outcomes.len() > 1 && args.output.output == Format::Text {
        print(&format!("{} of {} approved\n", number(approved), plural(outcomes.len(), "plan", "plans")));
    }
    let first = |outcome: Outcome| outcomes.iter().find(|it| it.outcome == outcome).map(|it| it.plan.resource.as_str());
    if let Some(resource) = first(Outcome::Changed) {
        return Err(Failure::of(format!("the plan of {resource} changed since it was shown: look again")));
    }
    if let Some(resource) = first(Outcome::OtherHash) {
        return Err(Failure::of(format!("the plan of {resource} has another hash: look again")));
    }
    if first(Outcome::NotAsked).is_some() {
        return Err(Failure::of("nothing was approved: there is no terminal to ask on, so give --yes or --hash"));
    }
    if first(Outcome::Declined).is_some() {
        return Err(Failure::of("not all was approved"));
    }
    Ok(())
}

/// Asks for confirmation if standard input is a terminal, and approves.
async fn decide(client: &ResourceClient, args: &Args, entry: &Entry, plan: &PendingPlan) -> Result<Outcome, Failure> {
    if plan.approved {
        return Ok(Outcome::AlreadyApproved);
    }
    match &args.hash {
        Some(hash) if *hash != plan.hash => return Ok(Outcome::OtherHash),
        Some(_) => {}
        None if args.yes => {}
        None if !stdin().is_terminal() || !stderr().is_terminal() => return Ok(Outcome::NotAsked),
        None => {
            if !ask_for_approval()? {
                return Ok(Outcome::Declined);
            }
        }
    }
    approve(client, entry, &plan.hash).await
}

fn ask_for_approval() -> Result<bool, Failure> {
    // A question that cannot be shown cannot be answered.
    write!(stderr(), "Approve this plan? [y/N] ").map_err(Failure::of)?;
    let mut line = String::new();
    stdin().lock().read_line(&mut line).map_err(Failure::of)?;
    Ok(["y", "yes"].contains(&line.trim().to_lowercase().as_str()))
}

/// Sets the annotation on the version of the object that shows this plan, and on no other version.
async fn approve(client: &ResourceClient, entry: &Entry, hash: &str) -> Result<Outcome, Failure> {
    let resource = entry.resource();
    for _ in 0..TRIES {
        let now = client.get(&resource).await?;
        let pending = now.status().and_then(|status| status.pending_approval.as_ref());
        match pending {
            Some(pending) if pending.hash == hash && pending.approved => return Ok(Outcome::AlreadyApproved),
            Some(pending) if pending.hash == hash && now.metadata.uid == entry.metadata.uid => {}
            _ => return Ok(Outcome::Changed),
        }
        if now.status().and_then(|status| status.last_handled_approval.as_deref()) == Some(hash) {
            withdraw(client, &now, hash).await?;
            continue;
        }
        if write_approval(client, &now, &json!(hash)).await? {
            return Ok(Outcome::Approved);
        }
    }
    Err(Failure::of(format!("failed to approve the plan of {resource}: other writers keep changing it")))
}

/// Removes an earlier approval of the same plan, and waits until the operator has observed its
/// absence. A new approval counts after that.
async fn withdraw(client: &ResourceClient, entry: &Entry, hash: &str) -> Result<(), Failure> {
    if entry.annotation(APPROVE).is_some() && !write_approval(client, entry, &Value::Null).await? {
        return Ok(());
    }
    let resource = entry.resource();
    for _ in 0..FORGET_TRIES {
        let now = client.get(&resource).await?;
        if now.status().and_then(|status| status.last_handled_approval.as_deref()) != Some(hash) {
            return Ok(());
        }
        tokio::time::sleep(FORGET_POLL).await;
    }
    Err(Failure::of(format!(
        "failed to approve the plan of {resource}: an approval of the same hash was used before, and the operator does not \
         observe its removal; does it run?"
    )))
}

/// Writes the annotation on this version of the object. Returns false if the object has changed.
async fn write_approval(client: &ResourceClient, entry: &Entry, value: &Value) -> Result<bool, Failure> {
    let metadata = &entry.metadata;
    let change = json!({"metadata": {
        "uid": metadata.uid,
        "resourceVersion": metadata.resource_version,
        "annotations": {APPROVE: value},
    }});
    match client.patch(entry, &change).await {
        Ok(_) => Ok(true),
        Err(failure) if failure.code() == Some(http::StatusCode::CONFLICT) => Ok(false),
        Err(failure) => Err(Failure::of(format!(
            "failed to approve the plan of {}: {}",
            entry.resource(),
            describe_failure(&failure)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plan_shows_members_reasons_and_the_number_left_out() {
        let members: Vec<String> = (0..60).map(|n| format!("-u{n:02}")).collect();
        let pending = json!({"additions": 0, "removals": 70, "hash": "5c1e0f", "reasons": ["TooManyRemovals", "NoMembersDeclared"],
            "members": members, "approved": false});
        let entry: Entry = serde_json::from_str(&json!({
            "metadata": {"name": "support", "namespace": "care"},
            "spec": {"channelArn": "arn:aws:chime:us-east-1:1:app-instance/i/channel/support", "limits": {"removals": 3}},
            "status": {"desired": 1200, "pendingApproval": pending},
        }).to_string())
        .unwrap();
        let text = PendingPlan::of(&entry, entry.status().unwrap().pending_approval.as_ref().unwrap()).text();
        let shown: Vec<&str> = text.lines().filter(|line| !line.contains("  -u") || line.ends_with("-u49")).collect();
        insta::assert_snapshot!(shown.join("\n"), @"
care/support: 70 removals and 0 additions; 1,200 declared
  channel arn:aws:chime:us-east-1:1:app-instance/i/channel/support
  reasons: more removals in 24 hours than limits.removals (3); no members are declared any more
  -u49
  and 10 more: --output json shows all
  10 more are not covered by this approval: approve them after these
  hash 5c1e0f
");
    }
}
