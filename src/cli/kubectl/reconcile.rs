//! `rollcall reconcile` requests a reconcile of resources, and can wait for its result.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use jiff::Timestamp;
use serde::Serialize;

use super::status::{Row, Rows};
use crate::api::{Interval, RECONCILE_REQUESTED_AT};
use crate::cli::shared::cluster;
use crate::cli::shared::failure::Failure;
use crate::cli::shared::output::{Format, OutputArgs, plural, print, print_json};
use crate::cli::shared::resources::{ResourceClient, SelectionArgs, TargetArgs};

/// Request a reconcile with a fresh listing. Members that were refused are tried again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  rollcall reconcile support
  rollcall reconcile support -n care --wait
  rollcall reconcile -A -l team=care --wait --timeout 10m
  rollcall reconcile --all")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    targets: TargetArgs,

    /// Wait until the reconcile is done, and show its result. The exit code is 1 if it is not done
    /// in time.
    #[arg(long, env = "ROLLCALL_WAIT", value_parser = BoolishValueParser::new())]
    wait: bool,

    /// The longest time to wait.
    #[arg(long, env = "ROLLCALL_TIMEOUT", value_name = "DURATION", default_value = "5m")]
    timeout: Interval,

    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReconcileRequest {
    resource: String,
    requested_at: String,
    /// The result, if the command waited for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Row>,
}

pub(in crate::cli) fn run(args: &Args) -> Result<(), Failure> {
    cluster::run_async(async {
        let client = ResourceClient::open(&args.targets.selection.cluster).await?;
        let entries = client.targets(&args.targets).await?;
        // The value must differ from all earlier ones.
        let at = Timestamp::now().to_string();
        let mut requests = Vec::new();
        for entry in &entries {
            client.annotate(entry, RECONCILE_REQUESTED_AT, &at).await?;
            let suspended = entry.spec().is_some_and(|spec| spec.suspend);
            if suspended {
                eprintln!("{} is suspended: it is not reconciled until it is resumed", entry.resource());
            }
            if args.output.output == Format::Text && !args.wait {
                print(&format!("{}: requested\n", entry.resource()));
            }
            requests.push(ReconcileRequest { resource: entry.resource(), requested_at: at.clone(), outcome: None });
        }
        let late = if args.wait { wait(&client, args, &mut requests, &at).await? } else { BTreeSet::new() };
        if args.output.output == Format::Json {
            print_json(&requests)?;
        }
        if late.is_empty() {
            return Ok(());
        }
        let late: Vec<&str> = late.iter().map(String::as_str).collect();
        Err(Failure::of(format!(
            "{} not reconciled within {}: {}; does the operator run, and does it watch the namespace?",
            plural(late.len(), "resource was", "resources were"),
            args.timeout,
            late.join(", ")
        )))
    })
}

/// Prints each result as it comes, and returns the resources that were not reconciled in time.
async fn wait(
    client: &ResourceClient,
    args: &Args,
    requests: &mut [ReconcileRequest],
    at: &str,
) -> Result<BTreeSet<String>, Failure> {
    let mut open: BTreeSet<String> = requests.iter().map(|it| it.resource.clone()).collect();
    let selection = SelectionArgs { names: open.iter().cloned().collect(), ..args.targets.selection.clone() };
    let selection = SelectionArgs { selector: None, ..selection };
    let text = args.output.output == Format::Text;
    let watch = Rows::new(client, &selection).watch(|_, changed| {
        for row in changed.into_iter().filter_map(|(_, row)| row) {
            let done = row.last_handled_reconcile_at.as_deref() == Some(at) && open.remove(&row.resource());
            if !done {
                continue;
            }
            if text {
                print(&format!("{}\n", row.line()));
            }
            if let Some(request) = requests.iter_mut().find(|it| it.resource == row.resource()) {
                request.outcome = Some(row);
            }
        }
        !open.is_empty()
    });
    let timeout: Duration = args.timeout.duration();
    // After the timeout, `open` holds the resources that are left.
    tokio::time::timeout(timeout, watch).await.unwrap_or(Ok(()))?;
    Ok(open)
}
