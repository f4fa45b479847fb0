//! Commands that read or write manifests: they check, plan, apply and export them.

pub(super) mod apply;
pub(super) mod export;
pub(super) mod plan;
pub(super) mod validate;
