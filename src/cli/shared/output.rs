//! Output of results: text for people, JSON for programs.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _, stdout};

use clap::ValueEnum;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table};
use jiff::Timestamp;
use serde::Serialize;

use crate::cli::shared::failure::Failure;

/// The widest table, in columns.
const WIDEST: u16 = 100;

/// The formats of most commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Format {
    Text,
    Json,
}

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct OutputArgs {
    /// The format of the result.
    #[arg(short, long, env = "ROLLCALL_OUTPUT", value_name = "FORMAT", default_value = "text")]
    pub output: Format,
}

/// Writes to standard output. Returns false if the reader has stopped, as `head` does: that is no
/// failure.
pub(in crate::cli) fn print(text: &str) -> bool {
    let mut out = stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
}

/// Prints a value as JSON, or as the text that `text` makes of it.
pub(in crate::cli) fn emit<T: Serialize>(
    value: &T,
    format: Format,
    text: impl FnOnce(&T) -> String,
) -> Result<(), Failure> {
    let text = match format {
        Format::Text => text(value),
        Format::Json => serde_json::to_string_pretty(value).map_err(Failure::of)? + "\n",
    };
    print(&text);
    Ok(())
}

/// Prints a value as JSON, indented.
pub(in crate::cli) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    emit(value, Format::Json, |_| String::new())
}

/// Returns true if colours are of use: on a terminal without NO_COLOR (no-color.org).
pub(in crate::cli) fn coloured() -> bool {
    stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Colours a text if `coloured` holds.
pub(in crate::cli) fn paint(text: &str, colour: Colour, coloured: bool) -> String {
    if coloured { format!("\x1b[{}m{text}\x1b[0m", colour as u8) } else { text.to_owned() }
}

/// The colours of a terminal (ECMA-48, select graphic rendition).
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) enum Colour {
    Red = 31,
    Green = 32,
    Yellow = 33,
}

/// Renders a table without lines. The first `bending` columns are wrapped if the table becomes too
/// wide; `right` lists the columns of numbers.
pub(in crate::cli) fn render_table(
    header: &[&str],
    rows: &[Vec<String>],
    bending: usize,
    right: &[usize],
) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDEST);
    table.set_header(header.iter().copied());
    for row in rows {
        table.add_row(row);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if index >= bending {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
        if right.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

/// Returns the time since `at` in the largest unit that fits, as kubectl does.
pub(in crate::cli) fn age(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(at).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Formats a time to the second, in UTC.
pub(in crate::cli) fn format_seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Formats a time, and its distance from now.
pub(in crate::cli) fn format_time(at: Timestamp, now: Timestamp) -> String {
    if at > now {
        format!("{}, in {}", format_seconds(at), age(now, at))
    } else {
        format!("{}, {} ago", format_seconds(at), age(at, now))
    }
}

/// Formats a count and its noun: `1 member`, `2 members`.
pub(in crate::cli) fn plural(count: usize, one: &str, several: &str) -> String {
    format!("{} {}", crate::engine::number(count), if count == 1 { one } else { several })
}

/// Joins lines, each with its line break.
pub(in crate::cli) fn join_lines(all: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    all.into_iter().fold(String::new(), |mut text, line| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", line.as_ref());
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn age_has_one_unit() {
        let ages = [0, 119, 120, 7_199, 7_200, 172_799, 172_800].map(|ago| age(at(0), at(ago)));
        assert_eq!(ages, ["0s", "119s", "2m", "119m", "2h", "47h", "2d"]);
        assert_eq!(age(at(5), at(0)), "0s", "clocks differ");
    }

    #[test]
    fn table_fits_100_columns_and_keeps_every_letter() {
        let long = "a".repeat(90);
        let rows = vec![vec![long.clone(), "b".repeat(40), "ChannelNotAccessible".to_owned(), "10,000".to_owned()]];
        let lines = render_table(&["RESOURCE", "CHANNEL", "REASON", "PRESENT"], &rows, 2, &[3]);
        assert!(lines.iter().all(|line| line.chars().count() <= 100), "{lines:#?}");
        let letters = |letter: char| lines.iter().flat_map(|line| line.chars()).filter(|it| *it == letter).count();
        assert_eq!((letters('a'), letters('b')), (90 + "ChannelNotAccessible".matches('a').count(), 41));
    }
}
