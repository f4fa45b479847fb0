//! Why was not everything seen?

use std::io;

use crate::control_plane;

/// What ended the demo before its time.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A step did not come true.
    #[error("not seen within {seconds} s: {what}")]
    NotSeen {
        /// The step, as what should have been there.
        what: String,
        /// For so long it was waited for.
        seconds: u64,
    },
    /// Something that was seen is not as it should be.
    #[error("not seen in the output of `{command}`: {what}")]
    Unlike {
        /// As it was typed.
        command: String,
        /// What should have been there.
        what: String,
    },
    /// One of the programs is gone.
    #[error("{program} ended by itself; its last words:\n{log}")]
    Ended {
        /// Which.
        program: &'static str,
        /// The end of its output.
        log: String,
    },
    /// A program did not start.
    #[error("failed to start {program}: {source}")]
    Start {
        /// Which.
        program: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The binary is not where cargo puts it.
    #[error("failed to find the binary rollcall beside the demo: run `make demo`, which builds both")]
    NotBuilt,
    /// There is no API server.
    #[error(transparent)]
    ControlPlane(#[from] control_plane::Error),
    /// kubectl refused.
    #[error("`{command}` failed: {answer}")]
    Kubectl {
        /// As it was typed.
        command: String,
        /// What it said.
        answer: String,
    },
    /// The simulator's admin page did not answer as it should.
    #[error("failed to ask the simulator's admin page: {0}")]
    AdminPage(String),
    /// A sample is unreadable.
    #[error("failed to read {path}: {message}")]
    Sample {
        /// Its path in the checkout.
        path: &'static str,
        /// Why.
        message: String,
    },
    /// The checkout is gone.
    #[error("failed to go to the checkout: {0}")]
    Checkout(io::Error),
    /// There would be no Ctrl-C.
    #[error("failed to listen for signals: {0}")]
    Signals(io::Error),
    /// Nobody sees it.
    #[error("failed to print: {0}")]
    Screen(#[from] io::Error),
}
