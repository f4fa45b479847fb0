//! Calls of the API server.

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

/// The deadline of every call of the API server. The client has no deadline of its own.
const DEADLINE: Duration = Duration::from_secs(10);

/// A call that waits for its turn wakes up at least this often.
const WAKE_INTERVAL: Duration = Duration::from_mins(1);

/// How many calls a process makes at once, besides its watches. Each call has a connection of its
/// own with its TLS session, and the API server answers no faster when it gets a thousand calls at
/// once.
const CALLS_AT_ONCE: usize = 8;

/// How many objects the API server sends in one page of a list. A page of large objects stays at
/// some megabytes.
pub(super) const PAGE: u32 = 100;

/// The namespaces that are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All namespaces of the cluster.
    Cluster,
    /// These namespaces.
    Namespaces(Vec<String>),
}

impl Scope {
    /// Returns these namespaces, or all if the list is empty.
    pub fn of(namespaces: &[String]) -> Self {
        if namespaces.is_empty() { Self::Cluster } else { Self::Namespaces(namespaces.to_vec()) }
    }
}

/// The cluster of the resources, within the namespaces that are watched.
pub struct Cluster {
    pub(super) client: Client,
    pub(super) reporter: Reporter,
    pub(super) reads_sources: bool,
    scope: Scope,
    permits: Semaphore,
    leadership: Leadership,
}

impl Cluster {
    /// Creates the cluster of `client`, of which `scope` is watched. ConfigMaps are read only if
    /// `reads_sources` is true.
    pub fn new(client: Client, scope: Scope, reads_sources: bool) -> Self {
        let permits = Semaphore::new(CALLS_AT_ONCE);
        let leadership = Leadership::always();
        Self { client, reporter: Reporter::from("rollcall"), reads_sources, scope, permits, leadership }
    }

    /// Makes calls only while this process leads. A later call waits until the process ends.
    pub fn while_leader(self, leadership: Leadership) -> Self {
        Self { leadership, ..self }
    }

    /// Returns the APIs of a kind that together show each watched object once.
    pub(crate) fn apis<K>(&self) -> Vec<Api<K>>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType: Default>,
    {
        self.map_namespaces(|namespace| api(self.client.clone(), namespace))
    }

    /// Maps each namespace that is watched by itself, or `None` for all namespaces at once.
    pub(super) fn map_namespaces<T>(&self, map: impl Fn(Option<&str>) -> T) -> Vec<T> {
        match &self.scope {
            Scope::Cluster => vec![map(None)],
            // A namespace that is given twice is watched once.
            Scope::Namespaces(names) => {
                names.iter().collect::<BTreeSet<_>>().into_iter().map(|name| map(Some(name))).collect()
            }
        }
    }

    /// Lists all objects of one API, page by page.
    pub(crate) async fn list<K>(
        &self,
        api: &Api<K>,
        mut page: ListParams,
        mut visit: impl FnMut(K),
    ) -> Result<(), CallFailure>
    where
        K: Clone + DeserializeOwned + Debug,
    {
        page = page.limit(PAGE);
        loop {
            let list = self.limited(|| api.list(&page)).await?;
            list.items.into_iter().for_each(&mut visit);
            match list.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page = page.continue_token(&token),
                None => return Ok(()),
            }
        }
    }

    /// Makes a call when it is its turn. The call's future is large and thousands of calls may
    /// wait, so the future is made only then.
    pub(crate) async fn limited<T, F>(&self, call: impl FnOnce() -> F) -> Result<T, CallFailure>
    where
        F: Future<Output = Result<T, kube::Error>>,
    {
        // This semaphore is never closed, so it returns no error.
        let mut permit = pin!(self.permits.acquire());
        // If the API server hangs, thousands of calls wait here. Waking up now and then shows that
        // they are alive.
        let _permit = loop {
            if let Ok(permit) = tokio::time::timeout(WAKE_INTERVAL, &mut permit).await {
                break permit;
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

/// Returns the API of a kind in one namespace, or in all.
pub(crate) fn api<K>(client: Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType: Default>,
{
    match namespace {
        None => Api::all(client),
        Some(name) => Api::namespaced(client, name),
    }
}

/// The reason that a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallFailure {
    #[error("{0}")]
    Error(kube::Error),
    #[error("no answer within {} s", DEADLINE.as_secs())]
    Late,
}

impl CallFailure {
    /// Returns the HTTP status, if the API server refused the call.
    pub fn code(&self) -> Option<StatusCode> {
        let Self::Error(kube::Error::Api(status)) = self else { return None };
        StatusCode::from_u16(status.code).ok()
    }

    /// Returns whether a test of a patch failed. A value that is not valid is also answered 422,
    /// but names its object.
    fn failed_test(&self) -> bool {
        let Self::Error(kube::Error::Api(status)) = self else { return false };
        status.code == StatusCode::UNPROCESSABLE_ENTITY
            && status.details.as_ref().is_none_or(|details| details.name.is_empty())
    }

    /// Returns what the failure means for the resource that was read or written. A patch tests the
    /// UID first; `based` says whether it also depends on a version.
    pub fn as_store_error(&self, based: bool) -> StoreError {
        match self.code() {
            Some(StatusCode::NOT_FOUND) => StoreError::Gone,
            // Another object has this name now.
            _ if self.failed_test() => StoreError::Gone,
            Some(StatusCode::CONFLICT) if based => StoreError::Conflict,
            Some(
                StatusCode::TOO_MANY_REQUESTS
                | StatusCode::CONFLICT
                | StatusCode::REQUEST_TIMEOUT
                // A list took too long, and its next page expired.
                | StatusCode::GONE,
            ) => StoreError::Unavailable(self.to_string()),
            Some(code) if code.is_client_error() => StoreError::Refused(self.to_string()),
            _ => StoreError::Unavailable(self.to_string()),
        }
    }
}
