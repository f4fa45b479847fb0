//! `rollcall export` writes existing channels as manifests for Git.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};

use rollcall::api::MembershipType::Default as Visible;
use rollcall::simulator::{
    ApiOperation, ChannelPrivacy, ChannelSeed, ElasticConfiguration, Fault, FaultEffect, Quotas, Seed, Simulator,
    SimulatorOptions, UndocumentedBehaviours,
};
use tokio::process::Command;

use crate::control_plane::ControlPlane;
use crate::operator;
use crate::stage::{BEARER, INSTANCE, Stage, UNPACED, channel, ids, ready, shared, status, user};

/// YAML would read these ids as numbers, times, booleans or null.
const ODD: [&str; 12] =
    ["012", "1e3", "0x1F", "1_000", "12:30", "2026-11-23", "yes", "off", "n", "null", "a@b.c", "us-east-1:0f0a"];

fn seed() -> Seed {
    let elastic = ElasticConfiguration {
        maximum_sub_channels: 5,
        target_memberships_per_sub_channel: 30,
        minimum_membership_percentage: 20,
    };
    Seed::new(INSTANCE)
        .users(ids(120))
        .users(ODD)
        .users(["rollcall", "plain", "mod"])
        .bots(["helper", "7"])
        .admins(["rollcall"])
        .channel(
            ChannelSeed::new("support")
                .members(ODD)
                .members(["bot/helper", "bot/7", "mod", "rollcall"])
                .hidden(["m0000", "m0001"])
                .moderators(["mod"]),
        )
        .channel(ChannelSeed::new("Support").privacy(ChannelPrivacy::Private).members(ids(101)))
        .channel(ChannelSeed::new("lobby"))
        .channel(ChannelSeed::new("1e3").hidden(["plain"]))
        .channel(ChannelSeed::new("townhall").elastic(elastic).members(ids(120)).moderators(["mod"]))
}

/// Members of elastic channels are listed by sub-channel only. AWS does not document whether a
/// plain listing spans them.
pub fn by_sub_channel() -> UndocumentedBehaviours {
    UndocumentedBehaviours { elastic_list_spans: false, ..UndocumentedBehaviours::default() }
}

async fn service(seed: Seed) -> Simulator {
    Simulator::start(SimulatorOptions {
        seed,
        quotas: Quotas::Off,
        behaviours: by_sub_channel(),
        ..SimulatorOptions::default()
    })
    .await
    .unwrap()
}

fn export(service: &Simulator, flags: &[&str]) -> Command {
    let mut command = operator::rollcall(Path::new(env!("CARGO_BIN_EXE_rollcall")), &service.endpoint());
    command.arg("export").arg(format!("--chime-bearer={BEARER}")).args(UNPACED).args(flags).stdin(Stdio::null());
    let mut command = Command::from(command);
    command.kill_on_drop(true);
    command
}

async fn run(service: &Simulator, flags: &[&str]) -> Output {
    export(service, flags).output().await.unwrap()
}

async fn done(service: &Simulator, flags: &[&str]) -> String {
    let output = run(service, flags).await;
    assert!(output.status.success(), "{flags:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the errors of a run that fails.
async fn failed(service: &Simulator, flags: &[&str]) -> String {
    let output = run(service, flags).await;
    assert_eq!(output.status.code(), Some(1), "{flags:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn files(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap()))
        .collect()
}

/// Returns the name of a manifest's file without its ending, or `None` for another file.
fn manifest(name: &str) -> Option<&str> {
    name.strip_suffix(".yaml")
}

fn all() -> String {
    format!("--app-instance={INSTANCE}")
}

async fn apply(cluster: &ControlPlane, manifests: &str) -> String {
    let apply = ["apply", "--server-side", "--validate=strict", "--filename=-"];
    let applied = cluster.kubectl_with_input(&apply, manifests).await.unwrap();
    assert!(applied.success, "{}", applied.stderr);
    applied.stdout
}

#[tokio::test]
async fn exported_manifests_are_accepted_and_the_operator_changes_nothing() {
    let stage = Stage::open(seed()).await;
    let namespace = format!("--namespace={}", stage.namespace);
    let manifests = done(&stage.simulator, &[&all(), &namespace, "--names", "--max-members=50"]).await;
    let said = apply(shared().await, &manifests).await;
    // Two types, 101 members in parts of 50, an empty channel, hidden members alone, an elastic
    // channel in parts.
    assert_eq!(said.lines().count(), 2 + 3 + 1 + 1 + 3, "{said}");
    let changes = stage.simulator.membership_log().len();
    let operator = stage.operator(&[]);
    for name in said.lines().map(|line| line.split(['/', ' ']).nth(1).unwrap()) {
        let object = stage.until_reason(name, "AllPresent").await;
        assert_eq!(ready(&object).0, "True");
        assert_eq!(
            status(&object).undeclared.map(|it| it.count).unwrap_or_default(),
            0,
            "{name}: all members are declared"
        );
    }
    assert!(operator.stop().await.unwrap());
    assert_eq!(stage.simulator.membership_log().len(), changes);
    assert_eq!(stage.calls(ApiOperation::BatchCreateChannelMembership), 0);
    assert_eq!(done(&stage.simulator, &[&all(), &namespace, "--names", "--max-members=50"]).await, manifests);
}

#[tokio::test]
async fn a_member_taken_off_an_exported_list_leaves_only_if_prune_says_so() {
    let stage = Stage::open(seed()).await;
    let namespace = format!("--namespace={}", stage.namespace);
    let one = format!("--channel={}", channel("Support"));
    let manifest = done(&stage.simulator, &[&one, &namespace]).await;
    let name = manifest.lines().find_map(|line| line.strip_prefix("  name: ")).unwrap();
    assert!(name.starts_with("support."), "{name}");
    let operator = stage.operator(&[]);
    apply(shared().await, &manifest).await;
    stage.until_reason(name, "AllPresent").await;
    let shorter = manifest.replace("    - m0007\n", "");
    assert_ne!(shorter, manifest);
    apply(shared().await, &shorter).await;
    stage.until_reason(name, "AllPresent").await;
    assert_eq!(stage.count("Support"), 101, "prune: Never");
    let declared = manifest.replace("  members:\n", "  prune: Declared\n  members:\n");
    apply(shared().await, &declared).await;
    stage.until_reason(name, "AllPresent").await;
    apply(shared().await, &declared.replace("    - m0007\n", "")).await;
    stage.until_service("m0007 has left", |it| it.member_count(&channel("Support"), Visible) == 100).await;
    assert!(!stage.present("Support").contains(&"m0007".to_owned()));
    assert!(operator.stop().await.unwrap());
    assert_eq!(stage.count("Support"), 100);
}

#[tokio::test]
async fn an_unreadable_channel_is_named_and_read_alone_by_a_second_run() {
    let service = service(seed()).await;
    let folder = tempfile::tempdir().unwrap();
    let at = format!("--output-dir={}", folder.path().join("channels").display());
    let denied = Fault::new(FaultEffect::error(403, "AccessDeniedException")).channel(&channel("lobby"));
    service.inject_fault(denied.on(ApiOperation::ListChannelMemberships));
    let said = failed(&service, &[&all(), &at]).await;
    assert!(said.contains(&format!("error: failed to read {}: ", channel("lobby"))), "{said}");
    assert!(said.contains("the AWS identity needs chime:ListChannelMemberships"), "{said}");
    assert!(said.ends_with("error: 1 of 5 channels were not exported: see the errors above\n"), "{said}");
    let written = files(&folder.path().join("channels"));
    assert_eq!(written.len(), 4, "{:?}", written.keys());

    service.clear_faults();
    service.reset_calls();
    let output = run(&service, &[&all(), &at]).await;
    assert!(output.status.success() && output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("left 4 files as they are"));
    assert_eq!(service.call_counts()[&ApiOperation::DescribeChannel], 1);
    let now = files(&folder.path().join("channels"));
    assert_eq!((now.len(), now.keys().all(|name| manifest(name).is_some())), (5, true));
    assert!(written.iter().all(|(name, text)| now[name] == *text));
    assert_eq!(now["townhall.yaml"].matches("\n    - ").count(), 120, "members of all sub-channels");
    // The files match one stream, in the same order except for the suffix of files.
    let stream = done(&service, &[&all()]).await;
    let mut together: Vec<(&str, &String)> =
        now.iter().map(|(name, text)| (name.trim_end_matches(".yaml"), text)).collect();
    together.sort();
    assert_eq!(together.into_iter().map(|(_, text)| text.as_str()).collect::<String>(), stream);
}

#[tokio::test]
async fn an_export_killed_at_any_time_leaves_only_complete_files() {
    let channels = (0..40).map(|n| ChannelSeed::new(&format!("c{n:02}")).members(ids(120)));
    let seed =
        channels.fold(Seed::new(INSTANCE).users(ids(120)).users(["rollcall"]).admins(["rollcall"]), Seed::channel);
    let service = service(seed).await;
    let folder = tempfile::tempdir().unwrap();
    let at = format!("--output-dir={}", folder.path().display());
    service.inject_fault(Fault::new(FaultEffect::latency(std::time::Duration::from_millis(5))));
    let mut runs = 0;
    loop {
        runs += 1;
        let before = files(folder.path()).len();
        let mut child = export(&service, &[&all(), &at]).stderr(Stdio::null()).spawn().unwrap();
        // Some more channels are done, and the next are under way.
        let ended = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break Some(status);
            }
            if files_or_none(folder.path()) >= before + 5 {
                child.kill().await.unwrap();
                break None;
            }
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        };
        for (name, text) in files(folder.path()).iter().filter(|(name, _)| manifest(name).is_some()) {
            assert_eq!(text.lines().filter(|line| line.starts_with("    - ")).count(), 120, "{name}");
        }
        if let Some(status) = ended {
            assert!(status.success());
            break;
        }
    }
    let left = files(folder.path());
    assert_eq!(left.keys().filter(|name| manifest(name).is_some()).count(), 40);
    assert!(runs > 2, "{runs}");
    assert!(left.keys().all(|name| manifest(name).is_some()), "{:?}", left.keys());
}

fn files_or_none(folder: &Path) -> usize {
    fs::read_dir(folder).map_or(0, Iterator::count)
}

#[tokio::test]
async fn the_commands_of_the_export_page_work() {
    let cluster = shared().await;
    let service = service(seed()).await;
    assert!(cluster.kubectl(&["create", "namespace", "care"]).await.unwrap().success);
    let page = fs::read_to_string("docs/command-line.md").unwrap();
    let ours =
        page.split("\n## ").filter(|it| it.contains("`rollcall export`\n") || it.contains("`rollcall doctor`\n"));
    let blocks = ours.flat_map(|section| section.split("```sh\n").skip(1)).filter_map(|rest| rest.split("```").next());
    // These commands need a node.
    let lines =
        blocks.flat_map(str::lines).filter(|line| !["helm ", "kubectl exec"].iter().any(|it| line.starts_with(it)));
    let lines: Vec<&str> = lines.collect();
    assert_eq!(lines.iter().filter(|line| line.starts_with("rollcall ")).count(), 3, "{lines:#?}");
    let folder = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_rollcall"));
    let (programs, tools) = (program.parent().unwrap().display(), cluster.tools().display());
    let mut shell = operator::rollcall(Path::new("bash"), &service.endpoint());
    shell
        .args(["-euxc", &lines.join("\n")])
        .env("PATH", format!("{programs}:{tools}:{}", std::env::var("PATH").unwrap()))
        .env("KUBECONFIG", cluster.kubeconfig())
        .env("HOME", folder.path())
        .env("ROLLCALL_BEARER_RATE", "0")
        .current_dir(folder.path());
    let output = Command::from(shell).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(files(&folder.path().join("channels")).len(), 5);
}

#[tokio::test]
async fn a_folder_with_other_files_is_not_changed() {
    let service = service(seed()).await;
    let folder = tempfile::tempdir().unwrap();
    let at = format!("--output-dir={}", folder.path().display());
    let file = folder.path().join("lobby.yaml");
    fs::write(&file, "kind: ConfigMap\n").unwrap();
    for flags in [&[][..], &["--overwrite"]] {
        let lobby = format!("--channel={}", channel("lobby"));
        let said = failed(&service, &[&[at.as_str(), &lobby], flags].concat()).await;
        assert!(said.contains("lobby.yaml holds something else"), "{said}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "kind: ConfigMap\n");
    }
    let said = failed(&service, &[&all(), &format!("--output-dir={}", file.display())]).await;
    assert!(said.contains("failed to make the folder"), "{said}");
}

#[tokio::test]
async fn an_edited_file_is_kept_unless_overwrite_is_set() {
    let service = service(seed()).await;
    let folder = tempfile::tempdir().unwrap();
    let (at, one) = (format!("--output-dir={}", folder.path().display()), format!("--channel={}", channel("support")));
    done(&service, &[&at, &one]).await;
    let fresh = files(folder.path())["support.yaml"].clone();
    let edited = fresh.replace("    - mod\n", "").replace("  type: HIDDEN\n", "  type: HIDDEN\n  prune: Declared\n");
    fs::write(folder.path().join("support.yaml"), &edited).unwrap();
    done(&service, &[&at, &one]).await;
    assert_eq!(files(folder.path())["support.yaml"], edited);
    done(&service, &[&at, &one, "--overwrite"]).await;
    assert_eq!(files(folder.path())["support.yaml"], fresh);
}

#[tokio::test]
async fn a_throttled_call_is_repeated_and_the_run_says_so() {
    let service = service(seed()).await;
    service.inject_fault(Fault::new(FaultEffect::status(429)).on(ApiOperation::ListChannelMemberships).times(1));
    // The listing begins again if a page's token is no longer valid.
    service
        .inject_fault(Fault::new(FaultEffect::status(400)).on(ApiOperation::ListChannelMemberships).skip(2).times(1));
    let output = run(&service, &[&format!("--channel={}", channel("Support")), "--type=default"]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("ListChannelMemberships answered Throttled") && said.contains("retry in"), "{said}");
    assert_eq!(String::from_utf8(output.stdout).unwrap().matches("\n    - ").count(), 101);
}

#[tokio::test]
async fn a_bearer_with_too_few_rights_is_told_what_is_missing() {
    let service = service(seed()).await;
    let as_plain = format!("--chime-bearer={}", user("plain"));
    let plain = async |flags: &[&str]| {
        let mut command = operator::rollcall(Path::new(env!("CARGO_BIN_EXE_rollcall")), &service.endpoint());
        command.arg("export").arg(&as_plain).args(UNPACED).args(flags);
        let output = Command::from(command).output().await.unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = plain(&[&all()]).await;
    assert!(said.contains(&format!("make {} an AppInstanceAdmin", user("plain"))), "{said}");
    assert_eq!(code, Some(1));
    let support = format!("--channel={}", channel("support"));
    let (code, said) = plain(&[&support]).await;
    assert!(said.contains("HIDDEN members are shown to moderators and admins, --type DEFAULT"), "{said}");
    assert_eq!(code, Some(1));
    assert_eq!(plain(&[&support, "--type=DEFAULT"]).await.0, Some(0));
    let (code, said) = plain(&[&format!("--channel={}", channel("nowhere"))]).await;
    assert!(said.contains("failed to read") && said.contains("/channel/nowhere"), "{said}");
    assert_eq!(code, Some(1));
}

#[tokio::test]
async fn a_wrong_command_line_is_one_line_and_nothing_is_called() {
    let service = service(seed()).await;
    let other = INSTANCE.replace("app-instance/1f", "app-instance/2e");
    for (flags, words) in [
        (vec![], "--app-instance"),
        (vec![format!("--channel={INSTANCE}/user/alice")], "no channel ARN"),
        (vec![format!("--app-instance={INSTANCE}/channel/support")], "no ARN of an app instance"),
        (vec![all(), format!("--channel={}", channel("support"))], "cannot be used with"),
        (vec![format!("--channel={other}/channel/support")], "add --chime-bearer"),
        (vec![all(), "--overwrite".to_owned()], "--output-dir"),
        (vec![all(), "--max-members=0".to_owned()], "--max-members"),
        (vec![all(), "--namespace=Care".to_owned()], "no namespace"),
        (vec![all(), "--type=BOTH".to_owned()], "write DEFAULT or HIDDEN"),
    ] {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let said = failed(&service, &flags).await;
        let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error: ")).collect();
        assert!(errors.len() == 1 && errors[0].contains(words), "{flags:?}: {said}");
    }
    assert!(service.call_counts().is_empty(), "{:?}", service.call_counts());
}
