//! `rollcall suspend` and `rollcall resume` set and remove `spec.suspend`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::shared::cluster;
use crate::cli::shared::failure::Failure;
use crate::cli::shared::output::{Format, OutputArgs, print, print_json};
use crate::cli::shared::resources::{Entry, MANAGER, ResourceClient, TargetArgs, describe_failure};

/// Set spec.suspend: the channel is not listed or changed until rollcall resume.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  rollcall suspend support
  rollcall suspend support -n care
  rollcall suspend -A -l team=care
  rollcall suspend --all -n care")]
pub(in crate::cli) struct SuspendArgs {
    #[command(flatten)]
    args: Args,
}

/// Remove spec.suspend: the operator keeps the channel as declared again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  rollcall resume support
  rollcall resume support -n care
  rollcall resume -A -l team=care")]
pub(in crate::cli) struct ResumeArgs {
    #[command(flatten)]
    args: Args,
}

#[derive(Debug, clap::Args)]
struct Args {
    #[command(flatten)]
    targets: TargetArgs,

    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Done {
    resource: String,
    suspend: bool,
    changed: bool,
    /// The writers that may revert the change.
    warnings: Vec<String>,
}

pub(in crate::cli) fn suspend(args: &SuspendArgs) -> Result<(), Failure> {
    run(&args.args, true)
}

pub(in crate::cli) fn resume(args: &ResumeArgs) -> Result<(), Failure> {
    run(&args.args, false)
}

fn run(args: &Args, suspend: bool) -> Result<(), Failure> {
    cluster::run_async(async {
        let client = ResourceClient::open(&args.targets.selection.cluster).await?;
        let mut all = Vec::new();
        for entry in client.targets(&args.targets).await? {
            let resource = entry.resource();
            let changed = entry.spec().is_none_or(|spec| spec.suspend != suspend);
            let warnings = warnings(&entry, suspend);
            if changed {
                // A field that is absent has no owner, so no later apply conflicts with it.
                let value = if suspend { json!(true) } else { Value::Null };
                let change = json!({"metadata": {"uid": entry.metadata.uid}, "spec": {"suspend": value}});
                client.patch(&entry, &change).await.map_err(|failure| {
                    Failure::of(format!("failed to write spec.suspend of {resource}: {}", describe_failure(&failure)))
                })?;
            }
            for warning in &warnings {
                eprintln!("{resource}: {warning}");
            }
            if args.output.output == Format::Text {
                let state = if suspend { "suspended" } else { "resumed" };
                let already = if changed { "" } else { " already" };
                print(&format!("{resource}: {state}{already}\n"));
            }
            all.push(Done { resource, suspend, changed, warnings });
        }
        if args.output.output == Format::Json { print_json(&all) } else { Ok(()) }
    })
}

/// Returns warnings about writers that may revert the change.
fn warnings(entry: &Entry, suspend: bool) -> Vec<String> {
    let wanted = if suspend { "set suspend: true" } else { "remove spec.suspend" };
    let managers = entry.metadata.managed_fields.iter().flatten();
    let mut owners: Vec<&str> = managers.filter(|it| owns_suspend(it)).filter_map(|it| it.manager.as_deref()).collect();
    owners.retain(|manager| *manager != MANAGER);
    owners.dedup();
    let mut warnings = Vec::new();
    if !owners.is_empty() {
        warnings.push(format!(
            "spec.suspend was written by {}, whose next apply reverts it: {wanted} in its source",
            owners.join(" and ")
        ));
    }
    if let Some(by) = gitops(entry) {
        warnings.push(format!(
            "is managed by {by}, which may revert this at its next sync: {wanted} in Git, or suspend the sync meanwhile"
        ));
    }
    warnings
}

fn owns_suspend(entry: &ManagedFieldsEntry) -> bool {
    let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
    fields.is_some_and(|fields| fields.pointer("/f:spec/f:suspend").is_some())
}

/// Returns the GitOps controller that manages the object, by the labels and annotations of Flux and
/// Argo CD.
fn gitops(entry: &Entry) -> Option<String> {
    let mark = |key: &str| {
        let labels = entry.metadata.labels.iter().flatten();
        let marks = labels.chain(entry.metadata.annotations.iter().flatten());
        marks.filter(|(name, _)| *name == key).map(|(_, value)| value.as_str()).next()
    };
    for (kind, group) in [("Kustomization", "kustomize.toolkit.fluxcd.io"), ("HelmRelease", "helm.toolkit.fluxcd.io")] {
        if let Some(name) = mark(&format!("{group}/name")) {
            let namespace = mark(&format!("{group}/namespace")).unwrap_or(entry.namespace());
            return Some(format!("the Flux {kind} {namespace}/{name}"));
        }
    }
    let application = mark("argocd.argoproj.io/tracking-id").and_then(|id| id.split(':').next());
    let application = application.or_else(|| mark("argocd.argoproj.io/instance"));
    application.map(|name| format!("the Argo CD application {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(metadata: &Value) -> Entry {
        serde_json::from_str(&json!({"metadata": metadata, "spec": {"channelArn": "x"}}).to_string()).unwrap()
    }

    #[test]
    fn writers_that_may_revert_the_change_are_named() {
        let owned = |manager: &str| {
            json!({"manager": manager, "operation": "Apply", "fieldsType": "FieldsV1",
                   "fieldsV1": {"f:spec": {"f:suspend": {}, "f:members": {}}}})
        };
        let other = json!({"manager": "helm", "operation": "Apply", "fieldsV1": {"f:spec": {"f:members": {}}}});
        let it =
            entry(&json!({"name": "a", "namespace": "n", "managedFields": [owned("flux"), owned(MANAGER), other]}));
        let told = warnings(&it, true);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("written by flux,") && told[0].contains("suspend: true"), "{told:?}");
        for (metadata, by) in [
            (
                json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}}),
                "the Flux Kustomization flux-system/apps",
            ),
            (
                json!({"namespace": "care", "labels": {"helm.toolkit.fluxcd.io/name": "chat"}}),
                "the Flux HelmRelease care/chat",
            ),
            (
                json!({"annotations": {"argocd.argoproj.io/tracking-id": "chat:rollcall.dev/ChannelMembership:care/support"}}),
                "the Argo CD application chat",
            ),
            (json!({"labels": {"argocd.argoproj.io/instance": "chat"}}), "the Argo CD application chat"),
        ] {
            let told = warnings(&entry(&metadata), false);
            assert!(told.iter().any(|it| it.contains(by)), "{told:?}");
        }
        assert_eq!(warnings(&entry(&json!({"labels": {"app.kubernetes.io/instance": "x"}})), true), [] as [&str; 0]);
    }
}
