//! How is the API server called?

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use http::StatusCode;
use k8s_openapi::NamespaceResourceScope;
use kube::api::ListParams;
use kube::runtime::events::Reporter;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use crate::engine::store::StoreError;
use crate::ops::lease::Leadership;

/// Every call of the API server ends within this; the client has no deadline of its own.
const DEADLINE: Duration = Duration::from_secs(10);

/// Whoever waits for a turn does something at least this often.
const LOOK_UP: Duration = Duration::from_mins(1);

/// How many calls of a process are under way at once, besides its watches: each has a connection of its own, with its TLS
/// session, and the API server works them off no faster when it is asked for a thousand at a time.
const CALLS_AT_ONCE: usize = 8;

/// How many objects the API server sends in one page of a list: a page of large ones stays at some megabytes.
pub(super) const PAGE: u32 = 100;

/// Which namespaces are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of the cluster.
    Cluster,
    /// These.
    Namespaces(Vec<String>),
}

impl Scope {
    /// These namespaces, or all where none is named.
    pub fn of(namespaces: &[String]) -> Self {
        if namespaces.is_empty() { Self::Cluster } else { Self::Namespaces(namespaces.to_vec()) }
    }
}

/// The cluster that resources live in, as far as it is ours to look at.
pub struct Cluster {
    pub(super) client: Client,
    pub(super) reporter: Reporter,
    pub(super) reads_sources: bool,
    scope: Scope,
    turns: Semaphore,
    leadership: Leadership,
}

impl Cluster {
    /// The cluster of `client`, of which `scope` is watched. ConfigMaps are called for only if `reads_sources`.
    pub fn new(client: Client, scope: Scope, reads_sources: bool) -> Self {
        let turns = Semaphore::new(CALLS_AT_ONCE);
        let leadership = Leadership::always();
        Self { client, reporter: Reporter::from("rollcall"), reads_sources, scope, turns, leadership }
    }

    /// One that is called only while this holds: whoever wants to call afterwards waits, for the end of the process.
    pub fn led_by(self, leadership: Leadership) -> Self {
        Self { leadership, ..self }
    }

    /// Objects of a kind in all that is watched: together they are each object once.
    pub(crate) fn apis<K>(&self) -> Vec<Api<K>>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType: Default>,
    {
        self.parts(|namespace| api(self.client.clone(), namespace))
    }

    /// One of something for each part of the cluster that is watched by itself: a namespace, or all of them.
    pub(super) fn parts<T>(&self, part: impl Fn(Option<&str>) -> T) -> Vec<T> {
        match &self.scope {
            Scope::Cluster => vec![part(None)],
            // One named twice would be carried out twice.
            Scope::Namespaces(names) => {
                names.iter().collect::<BTreeSet<_>>().into_iter().map(|name| part(Some(name))).collect()
            }
        }
    }

    /// Takes in all objects that one API shows, page by page.
    pub(crate) async fn list<K>(
        &self,
        api: &Api<K>,
        mut page: ListParams,
        mut take_in: impl FnMut(K),
    ) -> Result<(), CallFailure>
    where
        K: Clone + DeserializeOwned + Debug,
    {
        page = page.limit(PAGE);
        loop {
            let list = self.in_turn(|| api.list(&page)).await?;
            list.items.into_iter().for_each(&mut take_in);
            match list.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page = page.continue_token(&token),
                None => return Ok(()),
            }
        }
    }

    /// Makes a call when it is its turn. Only then is its future made, which is large: thousands may wait.
    pub(crate) async fn in_turn<T, F>(&self, call: impl FnOnce() -> F) -> Result<T, CallFailure>
    where
        F: Future<Output = Result<T, kube::Error>>,
    {
        // Refused only by a semaphore that was closed, and this one never is.
        let mut turn = pin!(self.turns.acquire());
        // An API server that hangs keeps thousands waiting: those look up now and then, and are seen to be alive.
        let _turn = loop {
            if let Ok(turn) = tokio::time::timeout(LOOK_UP, &mut turn).await {
                break turn;
            }
        };
        if !self.leadership.is_held() {
            return std::future::pending().await;
        }
        match tokio::time::timeout(DEADLINE, Box::pin(call())).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(CallFailure::Error(error)),
            Err(_) => Err(CallFailure::Late),
        }
    }
}

/// Objects of a kind in a namespace, or in all.
pub(crate) fn api<K>(client: Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType: Default>,
{
    match namespace {
        None => Api::all(client),
        Some(name) => Api::namespaced(client, name),
    }
}

/// Why a call brought nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallFailure {
    #[error("{0}")]
    Error(kube::Error),
    #[error("no answer within {} s", DEADLINE.as_secs())]
    Late,
}

impl CallFailure {
    /// The status with which the API server refused it, if that was it.
    pub fn code(&self) -> Option<StatusCode> {
        let Self::Error(kube::Error::Api(status)) = self else { return None };
        StatusCode::from_u16(status.code).ok()
    }

    /// Whether a patch failed at one of its tests: a value that is not valid names its object.
    fn failed_test(&self) -> bool {
        let Self::Error(kube::Error::Api(status)) = self else { return false };
        status.code == StatusCode::UNPROCESSABLE_ENTITY
            && status.details.as_ref().is_none_or(|details| details.name.is_empty())
    }

    /// What it means for a resource that was to be read or written, or patched after a test of its UID; `based` says whether
    /// on a version.
    pub fn about_resource(&self, based: bool) -> StoreError {
        match self.code() {
            Some(StatusCode::NOT_FOUND) => StoreError::Gone,
            // Another object has this name now.
            _ if self.failed_test() => StoreError::Gone,
            Some(StatusCode::CONFLICT) if based => StoreError::Conflict,
            Some(
                StatusCode::TOO_MANY_REQUESTS
                | StatusCode::CONFLICT
                | StatusCode::REQUEST_TIMEOUT
                // The rest of a list that took too long.
                | StatusCode::GONE,
            ) => StoreError::Unavailable(self.to_string()),
            Some(code) if code.is_client_error() => StoreError::Refused(self.to_string()),
            _ => StoreError::Unavailable(self.to_string()),
        }
    }
}
