//! Which ChannelMemberships does a command line mean, and what do they say?

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, Resource};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Failure;
use super::cluster::{self, ClusterArgs, one_line};
use crate::api::{ChannelMembership, ChannelMembershipSpec, ChannelMembershipStatus, ConfigMapKeyRef, metadata};
use crate::controller::{CallFailure, Cluster, Guarded, Scope};
use crate::engine::resource::Source;
use crate::membership::arn::ChannelArn;

/// Who writes when people use the command line. Not `kubectl-…`: Flux undoes what managers of such a name wrote.
pub(super) const MANAGER: &str = "rollcall-cli";

/// One resource. A spec or status that cannot be read spoils neither it nor the list it came in.
#[derive(Resource, Clone, Debug, Deserialize)]
#[resource(inherit = "ChannelMembership")]
pub(super) struct Entry {
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub spec: Guarded<ChannelMembershipSpec>,
    #[serde(default)]
    status: Option<Guarded<ChannelMembershipStatus>>,
}

impl Entry {
    /// Its namespace.
    pub fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// `namespace/name`.
    pub fn resource(&self) -> String {
        metadata::resource(&self.metadata)
    }

    /// The generation of its spec.
    pub fn generation(&self) -> i64 {
        self.metadata.generation.unwrap_or_default()
    }

    /// Whether it is being deleted.
    pub fn is_deleting(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// The spec, where it can be read.
    pub fn spec(&self) -> Option<&ChannelMembershipSpec> {
        self.spec.value.as_ref().ok()
    }

    /// The status, where there is one that can be read.
    pub fn status(&self) -> Option<&ChannelMembershipStatus> {
        self.status.as_ref()?.value.as_ref().ok()
    }

    /// When the status was last written.
    pub fn told_at(&self) -> Option<Timestamp> {
        let fields = self.metadata.managed_fields.iter().flatten();
        let of_status = fields.filter(|entry| entry.subresource.as_deref() == Some("status"));
        of_status.filter_map(|entry| entry.time.as_ref()).map(|time| time.0).max()
    }

    /// An annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        metadata::annotation(&self.metadata, key)
    }

    /// In whose name it is carried out, as its status says.
    pub fn bearer(&self) -> Option<&str> {
        self.status()?.bearer.as_deref()
    }

    /// The channel it is about, where that can be read.
    pub fn channel(&self) -> Option<ChannelArn> {
        ChannelArn::parse(&self.spec()?.channel_arn).ok()
    }

    fn references(&self) -> impl Iterator<Item = &ConfigMapKeyRef> {
        metadata::references(&self.metadata, self.spec())
    }
}

/// A resource, and what the ConfigMaps hold that it refers to.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub entry: Entry,
    pub sources: Vec<Source>,
}

// Which resources are meant.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct SelectionArgs {
    /// Resources, each as name or namespace/name.
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,

    /// Only those with these labels, such as team=care.
    #[arg(short = 'l', long, env = "ROLLCALL_SELECTOR", value_name = "LABELS")]
    pub selector: Option<String>,

    #[command(flatten)]
    pub cluster: ClusterArgs,
}

// Which resources are to be changed: nobody changes all of them by leaving something out.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct TargetArgs {
    #[command(flatten)]
    pub selection: SelectionArgs,

    /// All resources of the namespace, or with --all-namespaces of the cluster.
    #[arg(long, env = "ROLLCALL_ALL", value_parser = clap::builder::BoolishValueParser::new())]
    all: bool,
}

/// A cluster, as far as a command line looks at it.
pub(super) struct Desk {
    client: Client,
    /// `None` for all namespaces.
    namespace: Option<String>,
    /// Where a name without a namespace is looked for.
    current: String,
    /// Whether somebody chose what is looked at.
    chosen: bool,
}

impl Desk {
    /// The cluster that the flags choose. Nothing is called yet.
    pub async fn open(args: &ClusterArgs) -> Result<Self, Failure> {
        let (client, current) = cluster::chosen(args).await?;
        let current = args.namespace.clone().unwrap_or(current);
        let namespace = (!args.all_namespaces).then(|| current.clone());
        Ok(Self { client, namespace, current, chosen: args.namespace.is_some() || args.all_namespaces })
    }

    /// `all namespaces`, or which one.
    pub fn extent(&self) -> String {
        self.namespace.as_ref().map_or_else(|| "all namespaces".to_owned(), |name| format!("namespace {name}"))
    }

    /// Whether resources of several namespaces are looked at.
    pub fn is_wide(&self) -> bool {
        self.namespace.is_none()
    }

    /// The cluster, with its pages and deadlines.
    pub fn cluster(&self) -> Cluster {
        let scope = self.namespace.clone().map_or(Scope::Cluster, |name| Scope::Namespaces(vec![name]));
        Cluster::new(self.client.clone(), scope, true)
    }

    /// The resources of one namespace, or of all.
    pub fn api(&self) -> Api<Entry> {
        match &self.namespace {
            None => Api::all(self.client.clone()),
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
        }
    }

    /// What to watch to see resources of these names, or all: one namespace where that is enough.
    pub fn watched(&self, names: &[String]) -> Result<Api<Entry>, Failure> {
        let mut namespaces = std::collections::BTreeSet::new();
        for name in names {
            namespaces.insert(self.place(name)?.0);
        }
        Ok(match namespaces.first() {
            None => self.api(),
            Some(one) if namespaces.len() == 1 => self.api_of(one),
            Some(_) => Api::all(self.client.clone()),
        })
    }

    /// The namespace and the name of a resource as somebody wrote it.
    pub fn place<'a>(&'a self, written: &'a str) -> Result<(&'a str, &'a str), Failure> {
        let (namespace, name) = written.split_once('/').unwrap_or((&self.current, written));
        // They become parts of a path.
        let legal = |part: &str| {
            !part.is_empty()
                && part.len() <= 253
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
                && part.bytes().any(|b| b.is_ascii_alphanumeric())
        };
        if legal(namespace) && legal(name) {
            Ok((namespace, name))
        } else {
            Err(Failure::of(format!(
                "{written:?} names no resource: write name or namespace/name, such as care/support"
            )))
        }
    }

    /// The resource api of the namespace of a resource.
    pub fn api_of(&self, namespace: &str) -> Api<Entry> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// One resource as it is now, read from the API server's store.
    pub async fn get(&self, written: &str) -> Result<Entry, Failure> {
        let (namespace, name) = self.place(written)?;
        let api = self.api_of(namespace);
        let read = self.cluster().in_turn(|| api.get(name)).await;
        read.map_err(|failure| Failure::of(format!("failed to read {namespace}/{name}: {}", said(&failure))))
    }

    /// Takes in each resource that is meant: those named, else all that the selector leaves.
    pub async fn each(&self, selection: &SelectionArgs, mut take_in: impl FnMut(Entry)) -> Result<(), Failure> {
        if selection.names.is_empty() {
            let mut params = ListParams::default();
            params.label_selector.clone_from(&selection.selector);
            return self.list(params, take_in).await;
        }
        if selection.selector.is_some() {
            return Err(Failure::of("give names or --selector, not both"));
        }
        for name in &selection.names {
            take_in(self.get(name).await?);
        }
        Ok(())
    }

    /// The resources that are to be changed, in the order of their names.
    pub async fn targets(&self, targets: &TargetArgs) -> Result<Vec<Entry>, Failure> {
        let selection = &targets.selection;
        let ways = [!selection.names.is_empty(), selection.selector.is_some(), targets.all];
        if ways.into_iter().filter(|given| *given).count() != 1 {
            return Err(Failure::of("say which resources: give their names, or --selector, or --all"));
        }
        let mut entries = Vec::new();
        self.each(selection, |entry| entries.push(entry)).await?;
        if entries.is_empty() {
            let meant = selection.selector.as_ref().map_or_else(String::new, |labels| format!(" with {labels}"));
            return Err(Failure::of(format!("no ChannelMembership{meant} in {}", self.extent())));
        }
        entries.sort_by(|a, b| (a.namespace(), a.name()).cmp(&(b.namespace(), b.name())));
        Ok(entries)
    }

    /// Changes a resource by a merge patch in our name.
    pub async fn patch(&self, entry: &Entry, change: &Value) -> Result<Entry, CallFailure> {
        let (api, params) = (self.api_of(entry.namespace()), PatchParams::default());
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..params };
        let patch = Patch::Merge(change);
        self.cluster().in_turn(|| api.patch(entry.name(), &params, &patch)).await
    }

    /// Sets an annotation, on this very object.
    pub async fn annotate(&self, entry: &Entry, key: &str, value: &str) -> Result<(), Failure> {
        let change = json!({"metadata": {"uid": entry.metadata.uid, "annotations": {key: value}}});
        let written = self.patch(entry, &change).await;
        written.map(drop).map_err(|failure| {
            Failure::of(format!("failed to set the annotation {key} of {}: {}", entry.resource(), said(&failure)))
        })
    }

    async fn list(&self, params: ListParams, take_in: impl FnMut(Entry)) -> Result<(), Failure> {
        let listed = self.cluster().list(&self.api(), params, take_in).await;
        listed.map_err(|failure| {
            Failure::of(format!("failed to list ChannelMemberships of {}: {}", self.extent(), said(&failure)))
        })
    }

    /// From here on all namespaces are looked at, unless somebody chose one or may not see them all: who declares a member of a
    /// channel may be in any. Gives the resources; `channel` limits them to one channel.
    pub async fn everywhere(&mut self, channel: Option<&str>) -> Result<Vec<Entry>, Failure> {
        let of_channel = channel.map(|arn| format!("spec.channelArn={arn}"));
        let params = ListParams { field_selector: of_channel, ..ListParams::default() };
        let mut all = Vec::new();
        if !self.chosen {
            self.namespace = None;
            let listed = self.cluster().list(&self.api(), params.clone(), |entry| all.push(entry)).await;
            match listed {
                Err(failure) if failure.code() == Some(http::StatusCode::FORBIDDEN) => {
                    eprintln!("only namespace {} is looked at: {}", self.current, said(&failure));
                    self.namespace = Some(self.current.clone());
                    all.clear();
                }
                Err(failure) => {
                    let why = said(&failure);
                    return Err(Failure::of(format!("failed to list ChannelMemberships of all namespaces: {why}")));
                }
                Ok(()) => return Ok(all),
            }
        }
        self.list(params, |entry| all.push(entry)).await?;
        Ok(all)
    }

    /// Reads the ConfigMaps that resources refer to. One that cannot be read is known as that.
    pub async fn with_sources(&self, entries: Vec<Entry>) -> Result<Vec<Known>, Failure> {
        let mut wanted: Vec<(&str, &ConfigMapKeyRef)> = Vec::new();
        for entry in &entries {
            wanted.extend(entry.references().map(|reference| (entry.namespace(), reference)));
        }
        let read = self.cluster().read_keys(&wanted).await;
        let read = read.map_err(|failure| Failure::of(format!("failed to read ConfigMaps: {}", said(&failure))))?;
        let mut sources = read.sources.into_iter();
        let known = entries.into_iter().map(|entry| {
            let own = entry.references().count();
            Known { sources: sources.by_ref().take(own).collect(), entry }
        });
        Ok(known.collect())
    }
}

/// Why a call brought nothing, in one line.
pub(super) fn said(failure: &CallFailure) -> String {
    match failure {
        CallFailure::Error(kube::Error::Api(status))
            if status.code == 404 && status.message.contains("page not found") =>
        {
            "the cluster does not know the kind; apply crds/".to_owned()
        }
        CallFailure::Error(kube::Error::Api(status)) => status.message.replace('\n', " "),
        CallFailure::Error(error) => one_line(error),
        CallFailure::Late => failure.to_string(),
    }
}
