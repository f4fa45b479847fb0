//! Prints the demo's chapters, commands, outputs and events.

use std::io::{self, IsTerminal as _, Write as _};

/// The longest line, in columns.
const WIDTH: usize = 100;

/// The column at which an event's text begins, after the time and the place.
const TEXT_AT: usize = 21;

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const CYAN: &str = "36";

/// Standard output, in colours on a terminal.
pub struct Screen {
    colours: bool,
}

/// The kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A member was added to a channel.
    Joined,
    /// A member was removed from a channel.
    Left,
    /// A program wrote a log line.
    Said,
}

impl Screen {
    /// Returns standard output. It has colours on a terminal unless `NO_COLOR` is set.
    pub fn of_stdout() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { colours: io::stdout().is_terminal() && !unwanted }
    }

    /// Prints a heading.
    pub fn chapter(&self, text: &str) -> io::Result<()> {
        self.say("")?;
        self.say(&self.paint(BOLD, text))
    }

    /// Prints a line.
    #[expect(clippy::unused_self, reason = "all output goes through the screen")]
    pub fn say(&self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{text}")?;
        stdout.flush()
    }

    /// Prints a command as typed in a shell.
    pub fn command(&self, text: &str) -> io::Result<()> {
        let mut prompt = "$";
        for line in text.lines() {
            self.say(&format!("  {} {}", self.paint(CYAN, prompt), self.paint(BOLD, line)))?;
            prompt = " ";
        }
        Ok(())
    }

    /// Prints the output of a command.
    pub fn output(&self, text: &str) -> io::Result<()> {
        text.lines().try_for_each(|line| self.say(format!("  {line}").trim_end()))
    }

    /// Prints an event with its place, and its time in seconds since the last step began.
    pub fn happened(&self, seconds: Option<f64>, place: &str, event: EventKind, text: &str) -> io::Result<()> {
        let when = seconds.map(|seconds| format!("+{seconds:.1} s")).unwrap_or_default();
        let (sign, colour) = match event {
            EventKind::Joined => ("+", GREEN),
            EventKind::Left => ("-", RED),
            EventKind::Said => ("", DIM),
        };
        let place = format!("{place} {sign}");
        let mut begin =
            format!("  {} {} ", self.paint(DIM, &format!("{when:>7}")), self.paint(colour, &format!("{place:<10}")));
        for line in wrap(text, WIDTH - TEXT_AT) {
            self.say(&format!("{begin}{}", self.paint(colour, &line)))?;
            begin = " ".repeat(TEXT_AT);
        }
        Ok(())
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colours && !text.trim().is_empty() { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Breaks a text between words into lines of at most `width` characters. A longer word is a line of
/// its own.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
