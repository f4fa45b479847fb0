//! Flags, lookups and output that several commands use.

pub(super) mod cluster;
pub(super) mod failure;
pub(super) mod live_lookup;
pub(super) mod manifest_flags;
pub(super) mod member_lookup;
pub(super) mod output;
pub(super) mod policy_flags;
pub(super) mod progress;
pub(super) mod resources;
pub(super) mod service_flags;
pub(super) mod switch;
