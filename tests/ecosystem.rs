//! Flux and Argo CD apply manifests from Git and show the right health.
//!
//! Flux's kustomize-controller and Argo CD run as real programs against a real API server. The
//! first build of both takes 15 minutes: `make test-ecosystem`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says by a panic what is wrong")]

#[path = "support/control_plane.rs"]
mod control_plane;
#[path = "support/operator.rs"]
mod operator;
#[path = "support/recorded.rs"]
mod recorded;

#[path = "ecosystem/argo_cd.rs"]
mod argo_cd;
#[path = "ecosystem/argo_cd_health.rs"]
mod argo_cd_health;
#[path = "ecosystem/cluster.rs"]
mod cluster;
#[path = "ecosystem/flux.rs"]
mod flux;
#[path = "ecosystem/repository.rs"]
mod repository;
