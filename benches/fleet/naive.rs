//! A plain loop around the two SDKs, as a baseline for the operator's cost.
//!
//! The loop is a typical first operator: the controller of `kube` with its defaults, which lists
//! the channel, computes the difference, adds members in batches and writes the status of each
//! resource. The loop knows no quotas, and retries after every error.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_chimesdkmessaging::Client as Chime;
use futures::StreamExt as _;
use kube::api::{Patch, PatchParams};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt as _};
use rollcall::api::{ChannelMembership, MemberList};
use serde_json::json;

use crate::{BenchError, cluster};

struct LoopContext {
    client: Client,
    chime: Chime,
    bearer: String,
}

/// Reconciles all resources until the process is stopped.
pub async fn run() -> Result<(), BenchError> {
    let client = Client::try_default().await?;
    let config = aws_config::defaults(BehaviorVersion::latest()).region(Region::new("us-east-1")).load().await;
    let context = LoopContext { client: client.clone(), chime: Chime::new(&config), bearer: cluster::bearer() };
    let resources: Api<ChannelMembership> = Api::all(client);
    Controller::new(resources, watcher::Config::default())
        .run(reconcile, |_, _, _| Action::requeue(Duration::from_secs(5)), Arc::new(context))
        .for_each(async |outcome| {
            if let Err(error) = outcome {
                eprintln!("{error}");
            }
        })
        .await;
    Ok(())
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failed(BenchError);

async fn reconcile(resource: Arc<ChannelMembership>, context: Arc<LoopContext>) -> Result<Action, Failed> {
    add_missing(&resource, &context).await.map_err(Failed)?;
    Ok(Action::requeue(Duration::from_hours(1)))
}

async fn add_missing(resource: &ChannelMembership, context: &LoopContext) -> Result<(), BenchError> {
    let channel = &resource.spec.channel_arn;
    let (instance, _) = channel.split_once("/channel/").ok_or("no channel ARN")?;
    let declared: BTreeSet<String> =
        resource.spec.members.iter().flat_map(MemberList::iter).map(|id| format!("{instance}/user/{id}")).collect();

    let mut present = BTreeSet::new();
    let mut pages = context
        .chime
        .list_channel_memberships()
        .channel_arn(channel)
        .chime_bearer(&context.bearer)
        .max_results(50)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        let members = page?.channel_memberships.unwrap_or_default();
        present.extend(members.into_iter().filter_map(|summary| summary.member?.arn));
    }

    let missing: Vec<String> = declared.difference(&present).cloned().collect();
    for batch in missing.chunks(100) {
        let answer = context
            .chime
            .batch_create_channel_membership()
            .channel_arn(channel)
            .chime_bearer(&context.bearer)
            .set_member_arns(Some(batch.to_vec()))
            .send()
            .await?;
        let added = answer.batch_channel_memberships.and_then(|batch| batch.members).unwrap_or_default();
        present.extend(added.into_iter().filter_map(|member| member.arn));
    }

    let namespace = resource.namespace().unwrap_or_default();
    let resources: Api<ChannelMembership> = Api::namespaced(context.client.clone(), &namespace);
    let status = json!({"status": {
        "observedGeneration": resource.metadata.generation,
        "desired": declared.len(),
        "present": declared.intersection(&present).count(),
    }});
    resources.patch_status(&resource.name_any(), &PatchParams::default(), &Patch::Merge(status)).await?;
    Ok(())
}
