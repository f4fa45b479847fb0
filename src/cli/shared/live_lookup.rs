//! `--live`: asks the service about members, with the AWS credentials of the caller.

mod search;
mod service;

pub(in crate::cli) use self::search::{LiveSearch, resolve_members, search_channels};
pub(in crate::cli) use self::service::{LiveArgs, LiveService};
