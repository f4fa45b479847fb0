//! The chart installs what the operator needs and no more, and an uninstall leaves nothing behind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unchecked_time_subtraction,
    reason = "a test says by a panic what is wrong"
)]

#[path = "support/control_plane.rs"]
mod control_plane;
#[path = "support/operator.rs"]
mod operator;

#[path = "chart/release.rs"]
mod release;
#[path = "chart/tools.rs"]
mod tools;

#[path = "chart/admission.rs"]
mod admission;
#[path = "chart/life.rs"]
mod life;
#[path = "chart/rendered.rs"]
mod rendered;
#[path = "chart/rules.rs"]
mod rules;
#[path = "chart/runbooks.rs"]
mod runbooks;
#[path = "chart/served.rs"]
mod served;
#[path = "chart/uninstall.rs"]
mod uninstall;
