//! `rollcall status`: what is declared, and what is there?

mod row;
mod watch;

use jiff::Timestamp;

pub(super) use self::row::Row;
use self::row::Summary;
pub(super) use self::watch::Rows;
use super::Failure;
use super::cluster;
use super::output::{Colour, Format, OutputArgs, coloured, lines, paint, print, print_json, table};
use super::resources::{Desk, SelectionArgs};

/// So many different messages are told below the table.
const MOST_MESSAGES: usize = 20;

/// Show resources with what is declared, what is there, and the next step for those that are not Ready.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  rollcall status
  rollcall status support -n care
  rollcall status -A -l team=care
  rollcall status -A --watch
  rollcall status -A -o json")]
pub(super) struct Args {
    #[command(flatten)]
    selection: SelectionArgs,

    /// Go on and show what changes: on a terminal the whole table, elsewhere a line for each resource that changed.
    #[arg(short, long, env = "ROLLCALL_WATCH", value_parser = clap::builder::BoolishValueParser::new())]
    watch: bool,

    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    cluster::calling(async {
        let desk = Desk::open(&args.selection.cluster).await?;
        if args.watch {
            return watch::run(&desk, &args.selection, args.output.output).await;
        }
        let mut rows = Vec::new();
        desk.each(&args.selection, |entry| rows.push(Row::of(&entry))).await?;
        rows.sort_by(|a, b| a.place().cmp(&b.place()));
        match args.output.output {
            Format::Json => print_json(&rows),
            Format::Text if rows.is_empty() => {
                eprintln!("no ChannelMembership in {}", desk.extent());
                Ok(())
            }
            Format::Text => {
                let wide = desk.is_wide() || args.selection.names.iter().any(|name| name.contains('/'));
                print(&page(&rows, wide, Timestamp::now(), coloured()));
                Ok(())
            }
        }
    })
}

/// The table, the messages of those that are not Ready, and what it comes to.
fn page(rows: &[Row], wide: bool, now: Timestamp, coloured: bool) -> String {
    let header = ["RESOURCE", "CHANNEL", "READY", "REASON", "PRESENT", "PENDING", "FAILED", "APPROVAL", "LISTED"];
    let cells: Vec<Vec<String>> = rows.iter().map(|row| row.cells(wide, now)).collect();
    let mut text: Vec<String> =
        table(&header, &cells, 2, &[4, 5, 6, 7]).iter().map(|line| painted(line, coloured)).collect();
    let mut messages: Vec<(String, Vec<String>)> = Vec::new();
    for row in rows {
        let Some(message) = row.next_step() else { continue };
        match messages.iter_mut().find(|(known, _)| *known == message) {
            Some((_, resources)) => resources.push(row.resource()),
            None => messages.push((message, vec![row.resource()])),
        }
    }
    if !messages.is_empty() {
        text.push(String::new());
    }
    for (message, resources) in messages.iter().take(MOST_MESSAGES) {
        let who = match resources.as_slice() {
            [one] => one.clone(),
            [first, others @ ..] => format!("{first} and {} more", others.len()),
            [] => continue,
        };
        text.push(format!("{who}: {message}"));
    }
    if let Some(more) = messages.len().checked_sub(MOST_MESSAGES).filter(|more| *more > 0) {
        text.push(format!("{more} more messages: see --output json"));
    }
    text.push(String::new());
    text.push(Summary::of(rows).to_string());
    lines(text)
}

/// The word of the column READY in its colour. Names are in lower case, so it is found by itself.
fn painted(line: &str, coloured: bool) -> String {
    for (word, colour) in [("True", Colour::Green), ("False", Colour::Red), ("Unknown", Colour::Yellow)] {
        let cell = format!(" {word} ");
        if coloured && line.contains(&cell) {
            return line.replacen(&cell, &format!(" {} ", paint(word, colour, true)), 1);
        }
    }
    line.to_owned()
}

#[cfg(test)]
mod tests;
