//! May the operator do in the cluster what it has to?
//!
//! Asked of the API server by reviews about oneself, which everybody may create who is known to it (Kubernetes, "Using RBAC
//! authorization", `system:basic-user`).

use std::fmt;

use http::StatusCode;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::PostParams;

use super::cluster::Cluster;

/// One right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Right {
    /// Such as `patch`.
    pub verb: &'static str,
    group: &'static str,
    resource: &'static str,
    subresource: Option<&'static str>,
    /// Of one object alone.
    name: Option<String>,
    /// Where; none for the whole cluster.
    namespace: Option<String>,
}

impl fmt::Display for Right {
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

/// A Lease by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeasePlace {
    /// Where it is.
    pub namespace: String,
    /// What it is called.
    pub name: String,
}

/// All rights that an operator of this part of the cluster makes use of, which competes for that Lease, if for any.
pub fn needed(cluster: &Cluster, lease: Option<&LeasePlace>) -> Vec<Right> {
    let of = |group, resource, subresource, verbs: &[&'static str], namespace: Option<&str>| {
        let namespace = namespace.map(str::to_owned);
        let right = |verb| Right { verb, group, resource, subresource, name: None, namespace: namespace.clone() };
        verbs.iter().copied().map(right).collect::<Vec<_>>()
    };
    let within = |namespace: Option<&str>| {
        let mut rights = of("rollcall.dev", "channelmemberships", None, &["list", "watch", "patch"], namespace);
        rights.extend(of("rollcall.dev", "channelmemberships", Some("status"), &["patch"], namespace));
        if cluster.reads_sources {
            rights.extend(of("", "configmaps", None, &["get", "list", "watch"], namespace));
        }
        rights.extend(of("events.k8s.io", "events", None, &["create"], namespace));
        rights
    };
    let mut rights: Vec<Right> = cluster.parts(within).into_iter().flatten().collect();
    if let Some(lease) = lease {
        let leases = of("coordination.k8s.io", "leases", None, &["create", "get", "update"], Some(&lease.namespace));
        // What is made has no name yet.
        let named = |right: Right| Right { name: (right.verb != "create").then(|| lease.name.clone()), ..right };
        rights.extend(leases.into_iter().map(named));
    }
    rights
}

/// Whether we have a right; else why not, or why that is not known.
pub async fn is_granted(cluster: &Cluster, right: &Right) -> Result<bool, String> {
    let text = |text: &str| Some(text.to_owned());
    let attributes = ResourceAttributes {
        verb: text(right.verb),
        group: text(right.group),
        resource: text(right.resource),
        subresource: right.subresource.map(str::to_owned),
        name: right.name.clone(),
        namespace: right.namespace.clone(),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
    let review = SelfSubjectAccessReview { spec, ..Default::default() };
    let reviews = Api::all(cluster.client.clone());
    let answer = cluster.in_turn(|| async move { reviews.create(&PostParams::default(), &review).await }).await;
    answer.map(|it| it.status.is_some_and(|status| status.allowed)).map_err(|failure| failure.to_string())
}

/// As whom the API server knows us, and its version.
pub async fn who_am_i(cluster: &Cluster) -> Result<(String, String), String> {
    let version =
        cluster.in_turn(|| cluster.client.apiserver_version()).await.map_err(|failure| failure.to_string())?;
    let reviews = Api::<SelfSubjectReview>::all(cluster.client.clone());
    let mine = SelfSubjectReview::default();
    let answer = cluster.in_turn(|| async move { reviews.create(&PostParams::default(), &mine).await }).await;
    let user = answer.map_err(|failure| failure.to_string())?.status.and_then(|it| it.user_info?.username);
    Ok((user.unwrap_or_else(|| "somebody without a name".to_owned()), version.git_version))
}

/// Who leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leader {
    /// This process, whose lease was renewed so many seconds ago by the clock of the one who asks.
    Holds(String, u64),
    /// Nobody has renewed the lease for longer than it lasts; the last one is named, if any.
    Nobody(String),
    /// There is no such Lease.
    NoLease,
    /// We may not look.
    NotAllowed,
}

/// Looks who leads, by a Lease.
pub async fn leader(cluster: &Cluster, place: &LeasePlace) -> Result<Leader, String> {
    let leases: Api<Lease> = Api::namespaced(cluster.client.clone(), &place.namespace);
    let lease = match cluster.in_turn(|| leases.get(&place.name)).await {
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
        // Clocks differ: a lease that was renewed in the future is held.
        (Some(holder), Some(ago)) if ago <= lasts => Ok(Leader::Holds(holder, u64::try_from(ago).unwrap_or_default())),
        (holder, _) => Ok(Leader::Nobody(holder.unwrap_or_default())),
    }
}
