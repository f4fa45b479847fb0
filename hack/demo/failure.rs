//! The errors that end the demo.

use std::io;

use crate::control_plane;

/// An error that ends the demo.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A step did not happen within its deadline.
    #[error("not seen within {seconds} s: {what}")]
    NotSeen {
        /// The expected state.
        what: String,
        /// The deadline.
        seconds: u64,
    },
    /// The output of a command is not as expected.
    #[error("not seen in the output of `{command}`: {what}")]
    Unlike {
        /// The command, as shown.
        command: String,
        /// The expected output.
        what: String,
    },
    /// One of the programs ended.
    #[error("{program} ended by itself; the end of its log:\n{log}")]
    Ended {
        /// The program's name.
        program: &'static str,
        /// The end of its output.
        log: String,
    },
    /// A program did not start.
    #[error("failed to start {program}: {source}")]
    Start {
        /// The program's name.
        program: &'static str,
        /// The reason.
        source: io::Error,
    },
    /// The binary `rollcall` is not in cargo's target folder.
    #[error("failed to find the binary rollcall in the demo's target folder: run `make demo`, which builds both")]
    NotBuilt,
    /// The API server did not start.
    #[error(transparent)]
    ControlPlane(#[from] control_plane::Error),
    /// kubectl failed.
    #[error("`{command}` failed: {answer}")]
    Kubectl {
        /// The command, as shown.
        command: String,
        /// The output of kubectl.
        answer: String,
    },
    /// The simulator's admin page gave an unexpected answer.
    #[error("failed to ask the simulator's admin page: {0}")]
    AdminPage(String),
    /// An example manifest cannot be read.
    #[error("failed to read {path}: {message}")]
    Sample {
        /// The manifest's path in the checkout.
        path: &'static str,
        /// The reason.
        message: String,
    },
    /// The checkout does not exist.
    #[error("failed to go to the checkout: {0}")]
    Checkout(io::Error),
    /// Signals such as Ctrl-C cannot be received.
    #[error("failed to listen for signals: {0}")]
    Signals(io::Error),
    /// The terminal is closed.
    #[error("failed to print: {0}")]
    Screen(#[from] io::Error),
}
