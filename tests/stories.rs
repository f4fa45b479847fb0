//! Rollcall keeps the promises of its user stories. The tests run the real binary on a real API
//! server, against a local service.
//!
//! Each test has a namespace, a service and an operator of its own. A test that disturbs the API
//! server has one of its own as well.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::manual_assert,
    clippy::unchecked_time_subtraction,
    reason = "a test says by a panic what is wrong"
)]

#[path = "support/control_plane.rs"]
mod control_plane;
#[path = "support/operator.rs"]
mod operator;

#[path = "stories/command_line.rs"]
mod command_line;
#[path = "stories/independent_service.rs"]
mod independent_service;
#[path = "stories/stage.rs"]
mod stage;
#[path = "stories/writes.rs"]
mod writes;

#[path = "stories/answers.rs"]
mod answers;
#[path = "stories/bearers.rs"]
mod bearers;
#[path = "stories/calls.rs"]
mod calls;
#[path = "stories/conformance.rs"]
mod conformance;
#[path = "stories/doctor.rs"]
mod doctor;
#[path = "stories/drift.rs"]
mod drift;
#[path = "stories/export.rs"]
mod export;
#[path = "stories/faults.rs"]
mod faults;
#[path = "stories/finalizer.rs"]
mod finalizer;
#[path = "stories/leader.rs"]
mod leader;
#[path = "stories/manifests.rs"]
mod manifests;
#[path = "stories/manifests_removal.rs"]
mod manifests_removal;
#[path = "stories/operating.rs"]
mod operating;
#[path = "stories/outages.rs"]
mod outages;
#[path = "stories/plan.rs"]
mod plan;
#[path = "stories/plugin_act.rs"]
mod plugin_act;
#[path = "stories/plugin_look.rs"]
mod plugin_look;
#[path = "stories/plugin_offboard.rs"]
mod plugin_offboard;
#[path = "stories/quiet.rs"]
mod quiet;
#[path = "stories/refused.rs"]
mod refused;
#[path = "stories/release.rs"]
mod release;
#[path = "stories/removal.rs"]
mod removal;
#[path = "stories/removal_approval.rs"]
mod removal_approval;
#[path = "stories/removal_ends.rs"]
mod removal_ends;
#[path = "stories/removal_large.rs"]
mod removal_large;
#[path = "stories/removal_people.rs"]
mod removal_people;
#[path = "stories/removal_siblings.rs"]
mod removal_siblings;
#[path = "stories/removal_stops.rs"]
mod removal_stops;
#[path = "stories/removal_switches.rs"]
mod removal_switches;
#[path = "stories/sources.rs"]
mod sources;
#[path = "stories/start.rs"]
mod start;
#[path = "stories/stops.rs"]
mod stops;
#[path = "stories/store.rs"]
mod store;
#[path = "stories/traces.rs"]
mod traces;
#[path = "stories/unreadable.rs"]
mod unreadable;
