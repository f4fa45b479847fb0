//! How does the demo look?

use std::io::{self, IsTerminal as _, Write as _};

/// Lines are broken to fit a terminal of so many columns.
const WIDTH: usize = 100;

/// Where the text of something that happened begins: after two spaces, when, and who.
const TEXT_AT: usize = 21;

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const CYAN: &str = "36";

/// What is printed to, in colours where it is a terminal.
pub struct Screen {
    colours: bool,
}

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody came into a channel.
    Joined,
    /// Somebody went out of it.
    Left,
    /// A program said something.
    Said,
}

impl Screen {
    /// Standard output; colours on a terminal, unless `NO_COLOR` is set.
    pub fn of_stdout() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { colours: io::stdout().is_terminal() && !unwanted }
    }

    /// A heading.
    pub fn chapter(&self, text: &str) -> io::Result<()> {
        self.say("")?;
        self.say(&self.paint(BOLD, text))
    }

    /// A line of its own.
    #[expect(clippy::unused_self, reason = "what is said goes to the screen, like all else")]
    pub fn say(&self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{text}")?;
        stdout.flush()
    }

    /// A command as one would type it.
    pub fn command(&self, text: &str) -> io::Result<()> {
        let mut prompt = "$";
        for line in text.lines() {
            self.say(&format!("  {} {}", self.paint(CYAN, prompt), self.paint(BOLD, line)))?;
            prompt = " ";
        }
        Ok(())
    }

    /// What a command answered.
    pub fn output(&self, text: &str) -> io::Result<()> {
        text.lines().try_for_each(|line| self.say(format!("  {line}").trim_end()))
    }

    /// Something that happened somewhere, so many seconds after what it is counted from.
    pub fn happened(&self, seconds: Option<f64>, place: &str, event: Event, text: &str) -> io::Result<()> {
        let when = seconds.map(|seconds| format!("+{seconds:.1} s")).unwrap_or_default();
        let (sign, colour) = match event {
            Event::Joined => ("+", GREEN),
            Event::Left => ("-", RED),
            Event::Said => ("", DIM),
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

/// Breaks a text between words into lines of up to `width` characters; a longer word has a line of its own.
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
