//! Tests of `rollcall validate`: it agrees with the API server, and it reports any broken file.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test")]

#[path = "support/control_plane.rs"]
mod control_plane;

#[path = "validate/broken.rs"]
mod broken;
#[path = "validate/corpus.rs"]
mod corpus;
#[path = "validate/docs.rs"]
mod docs;
