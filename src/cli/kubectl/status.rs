//! `rollcall status` shows what resources declare and what is present.

mod row;
mod table;
mod watch;

use jiff::Timestamp;

pub(in crate::cli) use self::row::Row;
use self::table::render_page;
pub(in crate::cli) use self::watch::Rows;
use crate::cli::shared::cluster;
use crate::cli::shared::failure::Failure;
use crate::cli::shared::output::{Format, OutputArgs, coloured, print, print_json};
use crate::cli::shared::resources::{ResourceClient, SelectionArgs};

/// Show resources: the declared members, the present members, and the next step for each resource
/// that is not Ready.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  rollcall status
  rollcall status support -n care
  rollcall status -A -l team=care
  rollcall status -A --watch
  rollcall status -A -o json")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    selection: SelectionArgs,

    /// Keep watching: a terminal shows the whole table, other outputs get a line for each resource
    /// that changed.
    #[arg(short, long, env = "ROLLCALL_WATCH", value_parser = clap::builder::BoolishValueParser::new())]
    watch: bool,

    #[command(flatten)]
    output: OutputArgs,
}

pub(in crate::cli) fn run(args: &Args) -> Result<(), Failure> {
    cluster::run_async(async {
        let client = ResourceClient::open(&args.selection.cluster).await?;
        if args.watch {
            return watch::run(&client, &args.selection, args.output.output).await;
        }
        let mut rows = Vec::new();
        client.for_each_selected(&args.selection, |entry| rows.push(Row::of(&entry))).await?;
        rows.sort_by(|a, b| a.place().cmp(&b.place()));
        match args.output.output {
            Format::Json => print_json(&rows),
            Format::Text if rows.is_empty() => {
                eprintln!("no ChannelMembership in {}", client.extent());
                Ok(())
            }
            Format::Text => {
                let wide = client.is_wide() || args.selection.names.iter().any(|name| name.contains('/'));
                print(&render_page(&rows, wide, Timestamp::now(), coloured()));
                Ok(())
            }
        }
    })
}

#[cfg(test)]
mod tests;
