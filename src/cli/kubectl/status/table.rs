//! The table of `rollcall status`, with the next steps and the totals below it.

use jiff::Timestamp;

use super::row::{Row, StatusTotals};
use crate::cli::shared::output::{Colour, join_lines, paint, render_table};

/// The most messages that are shown below the table.
const MOST_MESSAGES: usize = 20;

/// Renders the table, the next steps and the totals.
pub(super) fn render_page(rows: &[Row], wide: bool, now: Timestamp, coloured: bool) -> String {
    let header = ["RESOURCE", "CHANNEL", "READY", "REASON", "PRESENT", "PENDING", "FAILED", "APPROVAL", "LISTED"];
    let cells: Vec<Vec<String>> = rows.iter().map(|row| row.cells(wide, now)).collect();
    let mut text: Vec<String> =
        render_table(&header, &cells, 2, &[4, 5, 6, 7]).iter().map(|line| painted(line, coloured)).collect();
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
    text.push(StatusTotals::of(rows).to_string());
    join_lines(text)
}

/// Colours the word of the column READY. Names are in lower case, so the word cannot be one of
/// them.
fn painted(line: &str, coloured: bool) -> String {
    for (word, colour) in [("True", Colour::Green), ("False", Colour::Red), ("Unknown", Colour::Yellow)] {
        let cell = format!(" {word} ");
        if coloured && line.contains(&cell) {
            return line.replacen(&cell, &format!(" {} ", paint(word, colour, true)), 1);
        }
    }
    line.to_owned()
}
