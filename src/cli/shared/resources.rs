//! Reads and writes the ChannelMemberships that a command line selects.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, Resource};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{ChannelMembership, ChannelMembershipSpec, ChannelMembershipStatus, ConfigMapKeyRef, metadata};
use crate::cli::shared::cluster::{self, ClusterArgs, error_chain};
use crate::cli::shared::failure::Failure;
use crate::controller::{CallFailure, Cluster, Guarded, Scope};
use crate::engine::resource::Source;
use crate::membership::arn::ChannelArn;

/// The field manager of the command line. It does not begin with `kubectl-`: Flux reverts fields of
/// such managers.
pub(in crate::cli) const MANAGER: &str = "rollcall-cli";

/// A resource. A spec or status that cannot be read does not fail the resource or its list.
#[derive(Resource, Clone, Debug, Deserialize)]
#[resource(inherit = "ChannelMembership")]
pub(in crate::cli) struct Entry {
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub spec: Guarded<ChannelMembershipSpec>,
    #[serde(default)]
    status: Option<Guarded<ChannelMembershipStatus>>,
}

impl Entry {
    /// Returns the namespace.
    pub fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// Returns `namespace/name`.
    pub fn resource(&self) -> String {
        metadata::resource(&self.metadata)
    }

    /// Returns the generation of the spec.
    pub fn generation(&self) -> i64 {
        self.metadata.generation.unwrap_or_default()
    }

    /// Returns true if the resource is being deleted.
    pub fn is_deleting(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// Returns the spec, if it can be read.
    pub fn spec(&self) -> Option<&ChannelMembershipSpec> {
        self.spec.value.as_ref().ok()
    }

    /// Returns the status, if there is one and it can be read.
    pub fn status(&self) -> Option<&ChannelMembershipStatus> {
        self.status.as_ref()?.value.as_ref().ok()
    }

    /// Returns the time when the status was last written.
    pub fn status_written_at(&self) -> Option<Timestamp> {
        let fields = self.metadata.managed_fields.iter().flatten();
        let of_status = fields.filter(|entry| entry.subresource.as_deref() == Some("status"));
        of_status.filter_map(|entry| entry.time.as_ref()).map(|time| time.0).max()
    }

    /// Returns an annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        metadata::annotation(&self.metadata, key)
    }

    /// Returns the bearer of the resource, from its status.
    pub fn bearer(&self) -> Option<&str> {
        self.status()?.bearer.as_deref()
    }

    /// Returns the channel, if its ARN can be read.
    pub fn channel(&self) -> Option<ChannelArn> {
        ChannelArn::parse(&self.spec()?.channel_arn).ok()
    }

    fn references(&self) -> impl Iterator<Item = &ConfigMapKeyRef> {
        metadata::references(&self.metadata, self.spec())
    }
}

/// A resource, with the content of the ConfigMaps that it refers to.
#[derive(Clone, Debug)]
pub(in crate::cli) struct KnownResource {
    pub entry: Entry,
    pub sources: Vec<Source>,
}

// Flags that select resources. (A doc comment would become the help's introduction.)
#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct SelectionArgs {
    /// Resources, each as name or namespace/name.
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,

    /// Select resources with these labels, such as team=care.
    #[arg(short = 'l', long, env = "ROLLCALL_SELECTOR", value_name = "LABELS")]
    pub selector: Option<String>,

    #[command(flatten)]
    pub cluster: ClusterArgs,
}

// Flags that select resources to change: all of them must be asked for, an empty selection is an
// error.
#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct TargetArgs {
    #[command(flatten)]
    pub selection: SelectionArgs,

    /// All resources of the namespace, or of the cluster with --all-namespaces.
    #[arg(long, env = "ROLLCALL_ALL", value_parser = clap::builder::BoolishValueParser::new())]
    all: bool,
}

/// The resources of a cluster, within the namespaces that a command line selects.
pub(in crate::cli) struct ResourceClient {
    client: Client,
    /// `None` for all namespaces.
    namespace: Option<String>,
    /// The namespace of a name without one.
    current: String,
    /// True if the flags selected the namespaces.
    chosen: bool,
}

impl ResourceClient {
    /// Connects to the cluster that the flags choose. It makes no call.
    pub async fn open(args: &ClusterArgs) -> Result<Self, Failure> {
        let (client, current) = cluster::client_and_namespace(args).await?;
        let current = args.namespace.clone().unwrap_or(current);
        let namespace = (!args.all_namespaces).then(|| current.clone());
        Ok(Self { client, namespace, current, chosen: args.namespace.is_some() || args.all_namespaces })
    }

    /// Returns `all namespaces`, or `namespace <name>`.
    pub fn extent(&self) -> String {
        self.namespace.as_ref().map_or_else(|| "all namespaces".to_owned(), |name| format!("namespace {name}"))
    }

    /// Returns true if several namespaces are selected.
    pub fn is_wide(&self) -> bool {
        self.namespace.is_none()
    }

    /// Returns the cluster, which pages and has deadlines.
    pub fn cluster(&self) -> Cluster {
        let scope = self.namespace.clone().map_or(Scope::Cluster, |name| Scope::Namespaces(vec![name]));
        Cluster::new(self.client.clone(), scope, true)
    }

    /// Returns the API of one namespace, or of all.
    pub fn api(&self) -> Api<Entry> {
        match &self.namespace {
            None => Api::all(self.client.clone()),
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
        }
    }

    /// Returns the API to watch for these names, or for all resources: one namespace if that is
    /// enough.
    pub fn api_to_watch(&self, names: &[String]) -> Result<Api<Entry>, Failure> {
        let mut namespaces = std::collections::BTreeSet::new();
        for name in names {
            namespaces.insert(self.parse_name(name)?.0);
        }
        Ok(match namespaces.first() {
            None => self.api(),
            Some(one) if namespaces.len() == 1 => self.api_in(one),
            Some(_) => Api::all(self.client.clone()),
        })
    }

    /// Returns the namespace and the name of a resource as written on the command line.
    pub fn parse_name<'a>(&'a self, written: &'a str) -> Result<(&'a str, &'a str), Failure> {
        let (namespace, name) = written.split_once('/').unwrap_or((&self.current, written));
        // Namespace and name become parts of a URL path.
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

    /// Returns the API of a namespace.
    pub fn api_in(&self, namespace: &str) -> Api<Entry> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Reads one resource from the API server's store.
    pub async fn get(&self, written: &str) -> Result<Entry, Failure> {
        let (namespace, name) = self.parse_name(written)?;
        let api = self.api_in(namespace);
        let read = self.cluster().limited(|| api.get(name)).await;
        read.map_err(|failure| {
            Failure::of(format!("failed to read {namespace}/{name}: {}", describe_failure(&failure)))
        })
    }

    /// Visits each selected resource: the named ones, else all that match the selector.
    pub async fn for_each_selected(
        &self,
        selection: &SelectionArgs,
        mut visit: impl FnMut(Entry),
    ) -> Result<(), Failure> {
        if selection.names.is_empty() {
            let mut params = ListParams::default();
            params.label_selector.clone_from(&selection.selector);
            return self.list(params, visit).await;
        }
        if selection.selector.is_some() {
            return Err(Failure::of("give names or --selector, not both"));
        }
        for name in &selection.names {
            visit(self.get(name).await?);
        }
        Ok(())
    }

    /// Returns the resources to change, sorted by name.
    pub async fn targets(&self, targets: &TargetArgs) -> Result<Vec<Entry>, Failure> {
        let selection = &targets.selection;
        let ways = [!selection.names.is_empty(), selection.selector.is_some(), targets.all];
        if ways.into_iter().filter(|given| *given).count() != 1 {
            return Err(Failure::of("say which resources: give their names, or --selector, or --all"));
        }
        let mut entries = Vec::new();
        self.for_each_selected(selection, |entry| entries.push(entry)).await?;
        if entries.is_empty() {
            let meant = selection.selector.as_ref().map_or_else(String::new, |labels| format!(" with {labels}"));
            return Err(Failure::of(format!("no ChannelMembership{meant} in {}", self.extent())));
        }
        entries.sort_by(|a, b| (a.namespace(), a.name()).cmp(&(b.namespace(), b.name())));
        Ok(entries)
    }

    /// Writes a merge patch as the command line's field manager.
    pub async fn patch(&self, entry: &Entry, change: &Value) -> Result<Entry, CallFailure> {
        let (api, params) = (self.api_in(entry.namespace()), PatchParams::default());
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..params };
        let patch = Patch::Merge(change);
        self.cluster().limited(|| api.patch(entry.name(), &params, &patch)).await
    }

    /// Sets an annotation on this object, and not on a new one of the same name.
    pub async fn annotate(&self, entry: &Entry, key: &str, value: &str) -> Result<(), Failure> {
        let change = json!({"metadata": {"uid": entry.metadata.uid, "annotations": {key: value}}});
        let written = self.patch(entry, &change).await;
        written.map(drop).map_err(|failure| {
            Failure::of(format!(
                "failed to set the annotation {key} of {}: {}",
                entry.resource(),
                describe_failure(&failure)
            ))
        })
    }

    async fn list(&self, params: ListParams, visit: impl FnMut(Entry)) -> Result<(), Failure> {
        let listed = self.cluster().list(&self.api(), params, visit).await;
        listed.map_err(|failure| {
            Failure::of(format!(
                "failed to list ChannelMemberships of {}: {}",
                self.extent(),
                describe_failure(&failure)
            ))
        })
    }

    /// Selects all namespaces, unless the flags chose one or the caller may not list them all: any
    /// namespace may declare members of a channel. Returns the resources; `channel` limits them to
    /// one channel.
    pub async fn list_all_namespaces(&mut self, channel: Option<&str>) -> Result<Vec<Entry>, Failure> {
        let of_channel = channel.map(|arn| format!("spec.channelArn={arn}"));
        let params = ListParams { field_selector: of_channel, ..ListParams::default() };
        let mut all = Vec::new();
        if !self.chosen {
            self.namespace = None;
            let listed = self.cluster().list(&self.api(), params.clone(), |entry| all.push(entry)).await;
            match listed {
                Err(failure) if failure.code() == Some(http::StatusCode::FORBIDDEN) => {
                    eprintln!("only namespace {} is read: {}", self.current, describe_failure(&failure));
                    self.namespace = Some(self.current.clone());
                    all.clear();
                }
                Err(failure) => {
                    let why = describe_failure(&failure);
                    return Err(Failure::of(format!("failed to list ChannelMemberships of all namespaces: {why}")));
                }
                Ok(()) => return Ok(all),
            }
        }
        self.list(params, |entry| all.push(entry)).await?;
        Ok(all)
    }

    /// Reads the ConfigMaps that the resources refer to. A ConfigMap that cannot be read becomes a
    /// source without text.
    pub async fn with_sources(&self, entries: Vec<Entry>) -> Result<Vec<KnownResource>, Failure> {
        let mut wanted: Vec<(&str, &ConfigMapKeyRef)> = Vec::new();
        for entry in &entries {
            wanted.extend(entry.references().map(|reference| (entry.namespace(), reference)));
        }
        let read = self.cluster().read_keys(&wanted).await;
        let read =
            read.map_err(|failure| Failure::of(format!("failed to read ConfigMaps: {}", describe_failure(&failure))))?;
        let mut sources = read.sources.into_iter();
        let known = entries.into_iter().map(|entry| {
            let own = entry.references().count();
            KnownResource { sources: sources.by_ref().take(own).collect(), entry }
        });
        Ok(known.collect())
    }
}

/// Describes a failed call in one line.
pub(in crate::cli) fn describe_failure(failure: &CallFailure) -> String {
    match failure {
        CallFailure::Error(kube::Error::Api(status))
            if status.code == 404 && status.message.contains("page not found") =>
        {
            "the cluster does not know the kind; apply crds/".to_owned()
        }
        CallFailure::Error(kube::Error::Api(status)) => status.message.replace('\n', " "),
        CallFailure::Error(error) => error_chain(error),
        CallFailure::Late => failure.to_string(),
    }
}
