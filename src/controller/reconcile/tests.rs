use std::num::NonZeroU16;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::chime::client::Client as Chime;
use crate::chime::port::{BatchAnswer, CallError, ChannelInfo, Deleted, ListRequest, Membership, Page, Target};
use crate::chime::rate_limit::{RateLimiter, Rates};
use crate::controller::Scope;
use crate::controller::test_server::{self, lines, refusal};
use crate::engine::clock::Clock;
use crate::engine::settings::Settings;
use crate::membership::arn::MemberArn;
use crate::membership::guard::Removal;

const INSTANCE: &str = "arn:aws:chime:us-east-1:123456789012:app-instance/1f";

/// A service with a defect: it panics for one channel.
#[derive(Default)]
pub(in crate::controller) struct Defective {
    calls: Arc<AtomicUsize>,
}

impl Service for Defective {
    async fn list_page(&self, _: ListRequest<'_>, _: Option<&str>) -> Result<Page, CallError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        Ok(Page::default())
    }

    async fn batch_create(&self, target: &Target, members: &[MemberArn]) -> Result<BatchAnswer, CallError> {
        assert!(target.channel.id() != "cursed", "the test's own panic");
        let added = members.iter().map(|member| member.as_str().to_owned()).collect();
        Ok(BatchAnswer { added, ..BatchAnswer::default() })
    }

    async fn describe_membership(&self, _: &Target, _: &MemberArn) -> Result<Option<Membership>, CallError> {
        Ok(None)
    }

    async fn delete_membership(&self, _: &Target, _: Removal) -> Result<Deleted, CallError> {
        Ok(Deleted::default())
    }

    async fn describe_channel(&self, _: &Target) -> Result<ChannelInfo, CallError> {
        Ok(ChannelInfo::default())
    }
}

pub(in crate::controller) fn object(channel: &str, sources: &[&str]) -> Arc<WatchedObject> {
    let sources: Vec<Value> =
        sources.iter().map(|name| json!({"configMapKeyRef": {"name": name, "key": "members"}})).collect();
    let spec = json!({
        "channelArn": format!("{INSTANCE}/channel/{channel}"), "members": ["alice"], "membersFrom": sources,
    });
    let metadata = json!({
        "name": channel, "namespace": "n", "uid": channel, "generation": 1, "creationTimestamp": "2026-01-02T03:04:05Z",
    });
    Arc::new(serde_json::from_str(&json!({"metadata": metadata, "spec": spec}).to_string()).unwrap())
}

pub(in crate::controller) fn context(cluster: Arc<Cluster>, service: Defective) -> Arc<Context<Defective>> {
    let settings = Settings::of_bearer(&format!("{INSTANCE}/user/rollcall"));
    let shutdown = CancellationToken::new();
    let chime = Chime::new(Arc::new(service), Arc::new(RateLimiter::new(Rates::UNLIMITED, NonZeroU16::MAX)));
    let clock = Clock::starting_at(Timestamp::UNIX_EPOCH);
    Arc::new(Context {
        cluster,
        engine: Arc::new(Engine::new(chime, settings, clock, shutdown.clone())),
        states: Arc::default(),
        config_maps: Arc::default(),
        due: mpsc::unbounded().0,
        metrics: Arc::default(),
        shutdown,
    })
}

#[tokio::test]
async fn object_waits_after_a_panic_and_others_are_reconciled() {
    let written = |_: &_| (200, json!({"metadata": {"resourceVersion": "1"}}));
    let (cluster, calls) = test_server::cluster(Scope::Cluster, true, written);
    let context = context(cluster, Defective::default());
    let cursed = || object("cursed", &[]);
    assert_eq!(reconcile(cursed(), Arc::clone(&context)).await, Action::requeue(RETRY_AFTER_PANIC));
    reconcile(object("blessed", &[]), Arc::clone(&context)).await;
    assert_eq!(reconcile(cursed(), context).await, Action::requeue(RETRY_AFTER_PANIC), "it is not stuck");
    let statuses: Vec<String> = lines(&calls).into_iter().filter(|line| line.contains("/status")).collect();
    let path = "/apis/rollcall.dev/v1alpha1/namespaces/n/channelmemberships/blessed/status";
    assert_eq!(statuses, [format!("PATCH {path}?fieldManager=rollcall")]);
}

#[tokio::test]
async fn resource_is_not_reconciled_while_its_sources_cannot_be_read() {
    let (cluster, calls) = test_server::cluster(Scope::Cluster, true, |_| refusal(503, None));
    let service = Defective::default();
    let called = Arc::clone(&service.calls);
    let action = reconcile(object("blessed", &["on-call"]), context(cluster, service)).await;
    assert_eq!(action, Action::requeue(RETRY_AFTER_READ_FAILURE));
    assert_eq!(lines(&calls), ["GET /api/v1/namespaces/n/configmaps/on-call"]);
    assert_eq!(called.load(Ordering::Relaxed), 0);
}
