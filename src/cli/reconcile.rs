//! `rollcall reconcile`: how does one have a resource looked at now?

use std::collections::BTreeSet;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use jiff::Timestamp;
use serde::Serialize;

use super::Failure;
use super::cluster;
use super::output::{Format, OutputArgs, counted, print, print_json};
use super::resources::{Desk, SelectionArgs, TargetArgs};
use super::status::{Row, Rows};
use crate::api::{Interval, RECONCILE_REQUESTED_AT};

/// Have resources looked at now, with a fresh listing; members who were refused are tried again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  rollcall reconcile support
  rollcall reconcile support -n care --wait
  rollcall reconcile -A -l team=care --wait --timeout 10m
  rollcall reconcile --all")]
pub(super) struct Args {
    #[command(flatten)]
    targets: TargetArgs,

    /// Wait until it was done, and say what came of it. Exit code 1 if it was not done in time.
    #[arg(long, env = "ROLLCALL_WAIT", value_parser = BoolishValueParser::new())]
    wait: bool,

    /// How long to wait.
    #[arg(long, env = "ROLLCALL_TIMEOUT", value_name = "DURATION", default_value = "5m")]
    timeout: Interval,

    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    resource: String,
    requested_at: String,
    /// What came of it, where that was waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Row>,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    cluster::calling(async {
        let desk = Desk::open(&args.targets.selection.cluster).await?;
        let entries = desk.targets(&args.targets).await?;
        // Another value than any before.
        let at = Timestamp::now().to_string();
        let mut asked = Vec::new();
        for entry in &entries {
            desk.annotate(entry, RECONCILE_REQUESTED_AT, &at).await?;
            let suspended = entry.spec().is_some_and(|spec| spec.suspend);
            if suspended {
                eprintln!("{} is suspended: nothing is looked at until it is resumed", entry.resource());
            }
            if args.output.output == Format::Text && !args.wait {
                print(&format!("{}: asked for\n", entry.resource()));
            }
            asked.push(Asked { resource: entry.resource(), requested_at: at.clone(), outcome: None });
        }
        let late = if args.wait { wait(&desk, args, &mut asked, &at).await? } else { BTreeSet::new() };
        if args.output.output == Format::Json {
            print_json(&asked)?;
        }
        if late.is_empty() {
            return Ok(());
        }
        let late: Vec<&str> = late.iter().map(String::as_str).collect();
        Err(Failure::of(format!(
            "{} not looked at within {}: {}; does the operator run, and look at the namespace?",
            counted(late.len(), "resource was", "resources were"),
            args.timeout,
            late.join(", ")
        )))
    })
}

/// Says what came of each as it is done, and gives those that were not done in time.
async fn wait(desk: &Desk, args: &Args, asked: &mut [Asked], at: &str) -> Result<BTreeSet<String>, Failure> {
    let mut open: BTreeSet<String> = asked.iter().map(|it| it.resource.clone()).collect();
    let selection = SelectionArgs { names: open.iter().cloned().collect(), ..args.targets.selection.clone() };
    let selection = SelectionArgs { selector: None, ..selection };
    let text = args.output.output == Format::Text;
    let watch = Rows::new(desk, &selection).watch(|_, changed| {
        for row in changed.into_iter().filter_map(|(_, row)| row) {
            let done = row.last_handled_reconcile_at.as_deref() == Some(at) && open.remove(&row.resource());
            if !done {
                continue;
            }
            if text {
                print(&format!("{}\n", row.line()));
            }
            if let Some(asked) = asked.iter_mut().find(|it| it.resource == row.resource()) {
                asked.outcome = Some(row);
            }
        }
        !open.is_empty()
    });
    let timeout: Duration = args.timeout.duration();
    // When time is up, who is left is told.
    tokio::time::timeout(timeout, watch).await.unwrap_or(Ok(()))?;
    Ok(open)
}
