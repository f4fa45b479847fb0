//! Does `rollcall validate` say what the API server says, and does it bear whatever it is given?

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test")]

#[path = "support/control_plane.rs"]
mod control_plane;

#[path = "validate/broken.rs"]
mod broken;
#[path = "validate/corpus.rs"]
mod corpus;
#[path = "validate/docs.rs"]
mod docs;
