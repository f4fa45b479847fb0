//! How does whoever waits see that something goes on?

use std::io::{IsTerminal as _, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

/// Where no bar can be drawn, a line says how far it is this often.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// A bar on standard error; a line now and then where that is no terminal. It goes when it is dropped.
pub(super) struct Progress {
    bar: ProgressBar,
    lines: Option<JoinHandle<()>>,
}

impl Progress {
    /// Of work that is done piece by piece: "looked at" so many "channels".
    pub(super) fn new(done: &'static str, pieces: &'static str) -> Self {
        let terminal = stderr().is_terminal();
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        let template = format!("{done} {{pos}} of {{len}} {pieces} {{msg}} [{{wide_bar}}] {{eta}}");
        // One that could not be read would be a slip in this very line; the bar is drawn in its own way then.
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

    /// So many of all are done.
    pub(super) fn set(&self, done: usize, all: usize) {
        self.bar.set_length(all as u64);
        self.bar.set_position(done as u64);
    }

    /// One more is done.
    pub(super) fn more(&self) {
        self.bar.inc(1);
    }

    /// Prints something, by `print`, while no bar is drawn.
    pub(super) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    /// What else there is to say of how far it is.
    pub(super) fn say(&self, message: &str) {
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
