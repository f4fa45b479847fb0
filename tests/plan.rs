//! `rollcall plan` tells what an apply would change. The tests run the real binary on files and the
//! simulator, without a cluster.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says by a panic what is wrong; clippy sees only functions marked as tests"
)]

#[path = "plan/before.rs"]
mod before;
#[path = "plan/docs.rs"]
mod docs;
#[path = "plan/fleet.rs"]
mod fleet;
#[path = "plan/outcome.rs"]
mod outcome;
#[path = "support/page.rs"]
mod page;
#[path = "plan/workspace.rs"]
mod workspace;
