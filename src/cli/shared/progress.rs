//! Progress of long work, on standard error.

use std::io::{IsTerminal as _, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

/// The interval of the progress lines that replace the bar if standard error is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// A progress bar, or a line now and then if standard error is no terminal. It disappears when it
/// is dropped.
pub(in crate::cli) struct Progress {
    bar: ProgressBar,
    lines: Option<JoinHandle<()>>,
}

impl Progress {
    /// Creates the bar of work that consists of pieces, such as "looked at" and "channels".
    pub(in crate::cli) fn new(done: &'static str, pieces: &'static str) -> Self {
        let terminal = stderr().is_terminal();
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        let template = format!("{done} {{pos}} of {{len}} {pieces} {{msg}} [{{wide_bar}}] {{eta}}");
        // The template is constant; if it could not be parsed, the default style is used.
        let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.progress_chars("=> "));
        let lines = (!terminal).then(|| {
            let bar = bar.clone();
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(LINE_EVERY).await;
                    let (position, all, message) = (bar.position(), bar.length().unwrap_or_default(), bar.message());
                    eprintln!("{done} {position} of {all} {pieces} {message}");
                }
            })
        });
        Self { bar, lines }
    }

    /// Sets how many of all pieces are done.
    pub(in crate::cli) fn set(&self, done: usize, all: usize) {
        self.bar.set_length(all as u64);
        self.bar.set_position(done as u64);
    }

    /// Counts one more piece.
    pub(in crate::cli) fn more(&self) {
        self.bar.inc(1);
    }

    /// Hides the bar while `print` runs.
    pub(in crate::cli) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    /// Sets the message beside the numbers.
    pub(in crate::cli) fn say(&self, message: &str) {
        self.bar.set_message(message.to_owned());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(lines) = &self.lines {
            lines.abort();
        }
        self.bar.finish_and_clear();
    }
}
