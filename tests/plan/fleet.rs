//! A measurement of the cost of a plan of many resources.
//!
//! `cargo test --test plan -- --ignored --nocapture fleet`

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt as _};
use rollcall::api::MembershipType;
use rollcall::chime::port::{ListRequest, Service as _, Target};
use rollcall::chime::sdk::{Sdk, SdkOptions};
use rollcall::membership::arn::{ChannelArn, MemberArn};
use rollcall::simulator::{ChannelSeed, Seed};
use serde_json::json;

use crate::workspace::{BEARER, INSTANCE, Workspace, resource};

const RESOURCES: usize = 1000;
const MEMBERS: usize = 100;

/// Makes only the calls of the plan, with the same client and the same concurrency.
async fn calls_alone(workspace: &Workspace) -> f64 {
    let credentials = Some(("simulator".to_owned(), "simulator".to_owned()));
    let options = SdkOptions { endpoint: Some(workspace.simulator.endpoint()), credentials, ..SdkOptions::default() };
    let service = Arc::new(Sdk::load(options).await.unwrap());
    let began = Instant::now();
    let lists = (0..RESOURCES).map(|n| {
        let service = Arc::clone(&service);
        async move {
            let target = Target {
                channel: ChannelArn::parse(&format!("{INSTANCE}/channel/c{n:04}")).unwrap(),
                membership_type: MembershipType::Default,
                bearer: MemberArn::parse(BEARER).unwrap(),
                sub_channel: None,
            };
            let mut token = None;
            loop {
                token = service.list_page(ListRequest::Members(&target), token.as_deref()).await.unwrap().next;
                if token.is_none() {
                    return;
                }
            }
        }
    });
    stream::iter(lists).buffer_unordered(32).collect::<Vec<()>>().await;
    began.elapsed().as_secs_f64()
}

#[tokio::test]
#[ignore = "it measures"]
async fn plan_of_1000_resources_with_100_members_each() {
    let people = || (0..MEMBERS).map(|n| format!("m{n:03}"));
    let mut seed = Seed::new(INSTANCE).users(people()).users(["rollcall"]).admins(["rollcall"]);
    for n in 0..RESOURCES {
        // One member of a hundred is missing.
        seed = seed.channel(ChannelSeed::new(&format!("c{n:04}")).invited("rollcall", None, people().skip(1)));
    }
    let workspace = Workspace::with(seed).await;
    let members: Vec<String> = people().collect();
    for n in 0..RESOURCES {
        let name = format!("c{n:04}");
        workspace
            .write(&format!("channels/{name}.yaml"), &[resource(&name, json!({"members": members, "prune": "Never"}))]);
    }
    let alone = calls_alone(&workspace).await;
    workspace.simulator.reset_calls();
    let began = Instant::now();
    let child = workspace.command(&["-f", "channels"]).spawn().unwrap();
    let id = child.id().unwrap();
    let usage = tokio::spawn(usage(id));
    let output = child.wait_with_output().await.unwrap();
    let took = began.elapsed().as_secs_f64();
    let (cpu, peak) = usage.await.unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        stdout.contains("Plan: 1000 to add, 0 to remove, 0 pending approval, 0 conflicts in 1000 of 1000 resources."),
        "{stdout}"
    );
    println!(
        "{RESOURCES} resources of {MEMBERS}: {} calls in {took:.2} s, {:.2} × the {alone:.2} s of its calls alone; \
         {cpu:.2} s of CPU, {peak} MiB at the most; said meanwhile: {:?}",
        workspace.calls(),
        took / alone,
        String::from_utf8_lossy(&output.stderr),
    );
}

/// Returns the CPU time of a process in seconds and its peak memory in MiB, once it has ended.
async fn usage(id: u32) -> (f64, u64) {
    let (mut cpu, mut peak) = (0.0, 0);
    loop {
        let (stat, status) = (format!("/proc/{id}/stat"), format!("/proc/{id}/status"));
        let Ok(stat) = std::fs::read_to_string(stat) else { return (cpu, peak) };
        let Ok(status) = std::fs::read_to_string(status) else { return (cpu, peak) };
        // After the name in parentheses, user and system time are the 12th and 13th field, in
        // hundredths of a second.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks: u32 = fields.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u32>().ok()).sum();
        cpu = f64::from(ticks) / 100.0;
        let kib =
            status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<u64>().ok());
        peak = kib.map_or(peak, |kib| kib / 1024);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
