//! The sources from which a plan learns what was declared before.

use std::sync::Arc;

use clap::builder::BoolishValueParser;

use crate::api::ConfigMapKeyRef;
use crate::cli::shared::failure::Failure;
use crate::cli::shared::{cluster, manifest_flags};
use crate::controller::{self, Cluster, Scope};
use crate::manifests::{self, Input, Manifests};
use crate::offline::change_set::Origin;
use crate::offline::object::Object;

#[derive(Debug, clap::Args)]
pub(super) struct PriorStateArgs {
    /// Read the earlier declarations from the cluster of KUBECONFIG: its ChannelMemberships, and
    /// the ConfigMaps that are not among the files.
    #[arg(long, env = "ROLLCALL_WITH_CLUSTER", value_parser = BoolishValueParser::new(), conflicts_with_all = ["state", "base"])]
    with_cluster: bool,

    /// Read this namespace of the cluster only; repeatable. Default: all.
    #[arg(long, env = "ROLLCALL_WATCH_NAMESPACE", value_name = "NAMESPACE", value_delimiter = ',', value_parser = cluster::namespace)]
    watch_namespace: Vec<String>,

    /// Read the earlier declarations from this file: objects as kubectl get channelmemberships -A
    /// -o yaml prints them, or as rollcall apply keeps them; repeatable.
    #[arg(long, env = "ROLLCALL_STATE", value_name = "FILE|DIR", value_delimiter = ',', conflicts_with = "base")]
    state: Vec<Input>,

    /// Read the earlier declarations from the manifests before the change. Resources that only they
    /// contain count as deleted; repeatable.
    #[arg(long, env = "ROLLCALL_BASE", value_name = "FILE|DIR", value_delimiter = ',')]
    base: Vec<Input>,

    /// Treat earlier resources that are not among the files as deleted, as a GitOps controller with
    /// pruning does.
    #[arg(long, env = "ROLLCALL_PRUNE", value_parser = BoolishValueParser::new())]
    pub prune: bool,
}

impl PriorStateArgs {
    /// Returns the earlier declarations. Fails if the API server would refuse the change to
    /// `files`.
    pub(super) async fn origin(&self, files: &Manifests, namespace: &str) -> Result<Origin, Failure> {
        let refused = |problems: Vec<manifests::Problem>| manifest_flags::report_problems(&problems);
        let (origin, problems) = if self.with_cluster {
            let origin = self.cluster(files).await?;
            let objects: Vec<_> = match &origin {
                Origin::Cluster(objects, _) => objects.iter().filter_map(Object::manifest).collect(),
                _ => Vec::new(),
            };
            let problems = manifests::check_changes_of(&objects, files);
            (origin, problems)
        } else if !self.state.is_empty() {
            let state = manifests::read_state(&self.state, namespace).map_err(refused)?;
            let problems = manifests::check_changes(&state, files);
            (Origin::State(state), problems)
        } else if !self.base.is_empty() {
            let base = manifests::read_manifests(&self.base, namespace).map_err(refused)?;
            let problems = manifests::check_changes(&base, files);
            (Origin::Manifests(base), problems)
        } else {
            (Origin::Unknown, Vec::new())
        };
        if problems.is_empty() { Ok(origin) } else { Err(manifest_flags::report_problems(&problems)) }
    }

    async fn cluster(&self, files: &Manifests) -> Result<Origin, Failure> {
        let client = cluster::client().await?;
        let cluster = Arc::new(Cluster::new(client, Scope::of(&self.watch_namespace), true));
        let mut wanted = Vec::<(String, ConfigMapKeyRef)>::new();
        for manifest in &files.memberships {
            let metadata = &manifest.object.metadata;
            let references = crate::api::metadata::references(metadata, Some(&manifest.object.spec));
            let namespace = metadata.namespace.as_deref().unwrap_or_default();
            wanted.extend(references.map(|reference| (namespace.to_owned(), reference.clone())));
        }
        let (objects, texts) = controller::read_snapshot(&cluster, wanted).await.map_err(Failure::of)?;
        Ok(Origin::Cluster(objects, texts))
    }
}
