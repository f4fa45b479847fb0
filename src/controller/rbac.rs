//! A check of the permissions that the operator needs in the cluster.
//!
//! The API server answers it by reviews of the caller's own permissions, which every authenticated
//! client may create (Kubernetes, "Using RBAC authorization", `system:basic-user`).

use std::fmt;

use http::StatusCode;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::PostParams;

use super::cluster::Cluster;

/// One permission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// The verb, such as `patch`.
    pub verb: &'static str,
    group: &'static str,
    resource: &'static str,
    subresource: Option<&'static str>,
    /// The object, if the permission is for one object alone.
    name: Option<String>,
    /// The namespace; `None` for the whole cluster.
    namespace: Option<String>,
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        self.subresource.iter().try_for_each(|it| write!(f, "/{it}"))?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        self.name.iter().try_for_each(|it| write!(f, " {it}"))?;
        match &self.namespace {
            Some(namespace) => write!(f, " in namespace {namespace}"),
            None => f.write_str(" in all namespaces"),
        }
    }
}

/// A Lease, by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeasePlace {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

/// Returns all permissions that an operator of this part of the cluster uses, with those for its
/// Lease if it has one.
pub fn required_permissions(cluster: &Cluster, lease: Option<&LeasePlace>) -> Vec<Permission> {
    let of = |group, resource, subresource, verbs: &[&'static str], namespace: Option<&str>| {
        let namespace = namespace.map(str::to_owned);
        let permission =
            |verb| Permission { verb, group, resource, subresource, name: None, namespace: namespace.clone() };
        verbs.iter().copied().map(permission).collect::<Vec<_>>()
    };
    let within = |namespace: Option<&str>| {
        let mut permissions = of("rollcall.dev", "channelmemberships", None, &["list", "watch", "patch"], namespace);
        permissions.extend(of("rollcall.dev", "channelmemberships", Some("status"), &["patch"], namespace));
        if cluster.reads_sources {
            permissions.extend(of("", "configmaps", None, &["get", "list", "watch"], namespace));
        }
        permissions.extend(of("events.k8s.io", "events", None, &["create"], namespace));
        permissions
    };
    let mut permissions: Vec<Permission> = cluster.map_namespaces(within).into_iter().flatten().collect();
    if let Some(lease) = lease {
        let leases = of("coordination.k8s.io", "leases", None, &["create", "get", "update"], Some(&lease.namespace));
        // An object that is to be created has no name yet.
        let named = |permission: Permission| Permission {
            name: (permission.verb != "create").then(|| lease.name.clone()),
            ..permission
        };
        permissions.extend(leases.into_iter().map(named));
    }
    permissions
}

/// Returns whether this process has a permission. Fails if the API server does not answer.
pub async fn is_granted(cluster: &Cluster, permission: &Permission) -> Result<bool, String> {
    let text = |text: &str| Some(text.to_owned());
    let attributes = ResourceAttributes {
        verb: text(permission.verb),
        group: text(permission.group),
        resource: text(permission.resource),
        subresource: permission.subresource.map(str::to_owned),
        name: permission.name.clone(),
        namespace: permission.namespace.clone(),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
    let review = SelfSubjectAccessReview { spec, ..Default::default() };
    let reviews = Api::all(cluster.client.clone());
    let answer = cluster.limited(|| async move { reviews.create(&PostParams::default(), &review).await }).await;
    answer.map(|it| it.status.is_some_and(|status| status.allowed)).map_err(|failure| failure.to_string())
}

/// Reads the name that the API server knows this client by, and the API server's version.
pub async fn current_user(cluster: &Cluster) -> Result<(String, String), String> {
    let version =
        cluster.limited(|| cluster.client.apiserver_version()).await.map_err(|failure| failure.to_string())?;
    let reviews = Api::<SelfSubjectReview>::all(cluster.client.clone());
    let mine = SelfSubjectReview::default();
    let answer = cluster.limited(|| async move { reviews.create(&PostParams::default(), &mine).await }).await;
    let user = answer.map_err(|failure| failure.to_string())?.status.and_then(|it| it.user_info?.username);
    Ok((user.unwrap_or_else(|| "a client without a name".to_owned()), version.git_version))
}

/// The leader, as its Lease shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leader {
    /// This process holds the Lease. It renewed the Lease this many seconds ago, by the local
    /// clock.
    Holds(String, u64),
    /// The Lease expired. The name of its last holder; empty if there was none.
    Expired(String),
    /// There is no such Lease.
    NoLease,
    /// This client has no permission to read the Lease.
    NotAllowed,
}

/// Reads the leader from its Lease.
pub async fn read_leader(cluster: &Cluster, place: &LeasePlace) -> Result<Leader, String> {
    let leases: Api<Lease> = Api::namespaced(cluster.client.clone(), &place.namespace);
    let lease = match cluster.limited(|| leases.get(&place.name)).await {
        Ok(lease) => lease.spec.unwrap_or_default(),
        Err(failure) => {
            return match failure.code() {
                Some(StatusCode::NOT_FOUND) => Ok(Leader::NoLease),
                Some(StatusCode::FORBIDDEN) => Ok(Leader::NotAllowed),
                _ => Err(failure.to_string()),
            };
        }
    };
    let holder = lease.holder_identity.filter(|holder| !holder.is_empty());
    let ago = lease.renew_time.map(|renewed| Timestamp::now().as_second() - renewed.0.as_second());
    let lasts = i64::from(lease.lease_duration_seconds.unwrap_or_default());
    match (holder, ago) {
        // Clocks differ: a Lease that was renewed in the future is held.
        (Some(holder), Some(ago)) if ago <= lasts => Ok(Leader::Holds(holder, u64::try_from(ago).unwrap_or_default())),
        (holder, _) => Ok(Leader::Expired(holder.unwrap_or_default())),
    }
}
