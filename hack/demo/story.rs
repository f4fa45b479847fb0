//! The chapters of the demo, in their order.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use axum::http::Method;
use rollcall::api::{ChannelMembership, MemberList};
use serde_json::Value;

use crate::control_plane::ControlPlane;
use crate::failure::DemoError;
use crate::screen::Screen;
use crate::stage::{DemoStage, Simulation, id_of, kubectl, member_of, quoted};

const SEED: &str = "examples/simulator/seed.yaml";
const MANIFEST: &str = "examples/support.yaml";
const BEARER: &str = "arn:aws:chime:us-east-1:123456789012:app-instance/demo/user/rollcall";

/// The members of the manifest that the service refuses, with a part of the reason.
const REFUSED: [(&str, &str); 2] = [("mallory", "banned"), ("zoe", "invalid app instance user")];

/// The member that another client removes, and that the operator adds again.
const REMOVED: &str = "grace";

/// The member that is taken off the list, and the patch that does so.
const UNDECLARED: (&str, &str) = ("heidi", r#"[{"op": "remove", "path": "/spec/members/7"}]"#);

/// Prints the message of the condition Ready.
const MESSAGE: &str = r#"jsonpath={.status.conditions[?(@.type=="Ready")].message}{"\n"}"#;

/// Prints each error as a paragraph.
const ERRORS: &str =
    r#"jsonpath={range .status.errors[*]}{.memberArn}{"\n  "}{.errorCode}: {.errorMessage}{"\n"}{end}"#;

/// Adds a line at the end of the manifest, which is the end of `members`.
const ONE_MORE: &str =
    "(cat examples/support.yaml; echo '    - peggy@example.com') |\n  kubectl apply --server-side -f -";
const ASK: &str = "kubectl annotate chm support --overwrite rollcall.dev/reconcile-requested-at=\"$(date)\"";
const HIDDEN: &str = "kubectl apply --server-side -f examples/hidden-auditors.yaml";

/// Introduces the demo.
pub fn open(screen: &Screen) -> Result<(), DemoError> {
    screen.say("")?;
    screen.say("Rollcall keeps the members of Amazon Chime SDK messaging channels as declared in Kubernetes.")?;
    screen.say("This demo uses a real API server, the operator, and a local simulation of Chime. No AWS account.")?;
    screen.chapter("1  Start an API server, a local Chime service, and the operator")?;
    Ok(())
}

/// Starts all programs.
pub async fn set_up<'a>(
    screen: &'a Screen,
    control_plane: &'a ControlPlane,
    began: Instant,
) -> Result<DemoStage<'a>, DemoError> {
    let (port, seconds) = (control_plane.port(), began.elapsed().as_secs_f64());
    screen.output(&format!("kube-apiserver and etcd serve on port {port} after {seconds:.1} s"))?;
    let kubeconfig = control_plane.kubeconfig().display().to_string();
    screen.command(&format!("export KUBECONFIG={kubeconfig}"))?;
    kubectl(screen, control_plane, &["apply", "--server-side", "-f", "crds"]).await?;
    let waiting = ["wait", "--for=condition=Established", "crd/channelmemberships.rollcall.dev"];
    kubectl(screen, control_plane, &waiting).await?;
    let simulation = simulate(screen, control_plane).await?;
    let endpoint = simulation.endpoint.clone();
    screen.output(&format!("Simulating Amazon Chime SDK messaging on {endpoint}"))?;
    let arguments = ["run", "--chime-bearer", BEARER];
    let variables = [
        ("AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", "any"),
        ("AWS_SECRET_ACCESS_KEY", "any"),
        ("KUBECONFIG", &kubeconfig),
        // The demo shows the channel's changes itself, so the audit log is not needed.
        ("RUST_LOG", "info,audit=warn"),
    ];
    screen.command(&format!("export AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING={endpoint}"))?;
    screen.command("export AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any")?;
    screen.command(&format!("rollcall {}", arguments.join(" ")))?;
    let channel = sample()?.spec.channel_arn;
    DemoStage::open(screen, control_plane, simulation, &channel, &variables, &arguments).await
}

/// Plays the chapters. Each step begins when the one before it has been seen.
pub async fn tell(stage: &mut DemoStage<'_>) -> Result<(), DemoError> {
    declare(stage).await?;
    judge(stage).await?;
    disturb(stage).await?;
    drop_one(stage).await?;
    drop_all(stage).await
}

/// Suggests commands to the user.
pub fn hand_over(stage: &mut DemoStage<'_>) -> Result<(), DemoError> {
    stage.since = None;
    let (screen, endpoint) = (stage.screen, &stage.simulation.endpoint);
    screen.chapter("7  Your turn, in another terminal (Ctrl-C in this one ends the demo)")?;
    screen.command(&format!("cd {}", quoted(env!("CARGO_MANIFEST_DIR"))))?;
    screen.command(&format!("export KUBECONFIG={}", stage.control_plane.kubeconfig().display()))?;
    if !is_found("kubectl") {
        screen.command(&format!("export PATH=\"$PATH:{}\"", stage.control_plane.tools().display()))?;
    }
    suggest(screen, "Declare one more member:", &[ONE_MORE])?;
    let lift = format!("curl -X DELETE {endpoint}/_admin/bans -d '{}'", member_of(&stage.channel, REFUSED[0].0));
    suggest(screen, "Lift the ban, and request a reconcile now instead of in an hour:", &[&lift, ASK])?;
    suggest(screen, "Show the whole resource with its events:", &["kubectl describe chm support"])?;
    suggest(screen, "Declare hidden members, and see the other examples:", &[HIDDEN, "ls examples"])?;
    let log = format!("curl {endpoint}/_admin/calls?last=3");
    suggest(
        screen,
        "Show the state and the calls of the simulated service:",
        &[&format!("curl {endpoint}/_admin"), &log],
    )?;
    screen.say("")?;
    screen.output("Changes of the channel are shown here:")?;
    Ok(())
}

fn suggest(screen: &Screen, purpose: &str, commands: &[&str]) -> Result<(), DemoError> {
    screen.say("")?;
    screen.output(purpose)?;
    Ok(commands.iter().try_for_each(|command| screen.command(command))?)
}

async fn simulate(screen: &Screen, control_plane: &ControlPlane) -> Result<Simulation, DemoError> {
    let mut arguments = vec!["simulate", "--seed", SEED];
    screen.command(&format!("rollcall {}", arguments.join(" ")))?;
    match Simulation::start(control_plane, &arguments).await {
        Err(DemoError::Ended { log, .. }) if log.contains("in use") => {
            screen.output(log.trim())?;
            arguments.extend(["--address", "127.0.0.1:0"]);
            screen.command(&format!("rollcall {}", arguments.join(" ")))?;
            Simulation::start(control_plane, &arguments).await
        }
        started => started,
    }
}

async fn declare(stage: &mut DemoStage<'_>) -> Result<(), DemoError> {
    let manifest = sample()?;
    let declared: BTreeSet<String> =
        manifest.spec.members.iter().flat_map(MemberList::iter).map(|member| id_of(member).to_owned()).collect();
    let expected: BTreeSet<String> =
        declared.into_iter().filter(|id| REFUSED.iter().all(|(refused, _)| id != refused)).collect();
    stage.screen.chapter("2  Declare the members of a channel, and apply the manifest")?;
    stage.screen.command(&format!("cat {MANIFEST}"))?;
    stage.screen.output(&read(MANIFEST)?)?;
    let there: Vec<&str> = stage.present.iter().map(String::as_str).collect();
    stage.screen.output(&format!("\nIn the channel so far: {}\n", there.join(", ")))?;
    stage.kubectl(&["apply", "--server-side", "-f", MANIFEST]).await?;
    stage.since = Some(Instant::now());
    stage
        .until("all members that can be added are in the channel", |stage| stage.present.is_superset(&expected))
        .await?;
    stage
        .until("the operator reports the present and the refused members", |stage| {
            let told = stage.told.as_ref();
            told.is_some_and(|told| {
                told.reason.as_deref() == Some("MembersRefused")
                    && told.present == Some(expected.len())
                    && told.failed == Some(REFUSED.len())
            })
        })
        .await
}

async fn judge(stage: &mut DemoStage<'_>) -> Result<(), DemoError> {
    stage.screen.chapter("3  Read the status: ten members are present, two were refused, and the status says why")?;
    let table = stage.kubectl(&["get", "chm"]).await?;
    let row = table.lines().find(|line| line.starts_with("support ")).unwrap_or_default();
    let columns: Vec<&str> = row.split_whitespace().take(7).collect();
    if columns != ["support", "support", "12", "10", "2", "False", "MembersRefused"] {
        return Err(DemoError::Unlike {
            command: "kubectl get chm".to_owned(),
            what: "support with 12 desired, 10 present, 2 failed, Ready=False for MembersRefused".to_owned(),
        });
    }
    let errors = stage.kubectl(&["get", "chm", "support", "-o", ERRORS]).await?;
    for (member, why) in REFUSED {
        let told = errors.split("arn:").any(|error| {
            error.lines().next().is_some_and(|arn| arn.ends_with(&format!("/{member}"))) && error.contains(why)
        });
        if !told {
            return Err(DemoError::Unlike {
                command: "kubectl get chm support".to_owned(),
                what: format!("{member} with an error that says {why:?}"),
            });
        }
    }
    Ok(())
}

async fn disturb(stage: &mut DemoStage<'_>) -> Result<(), DemoError> {
    stage.screen.chapter(&format!("4  Another client removes {REMOVED}: Rollcall finds the drift within 10 s"))?;
    let body = member_of(&stage.channel, REMOVED);
    stage.screen.command(&format!("curl -X DELETE {}/_admin/members -d '{body}'", stage.simulation.endpoint))?;
    let before = stage.added_by_operator.len();
    stage.since = Some(Instant::now());
    let answer: Value = stage.simulation.ask(Method::DELETE, "/_admin/members", &body).await?;
    stage.screen.output(&answer.to_string())?;
    stage.until(&format!("{REMOVED} is out of the channel"), |stage| !stage.present.contains(REMOVED)).await?;
    stage
        .until(&format!("{REMOVED} is back, added by the operator"), |stage| {
            stage.present.contains(REMOVED) && stage.added_by_operator[before..].iter().any(|id| id == REMOVED)
        })
        .await
}

async fn drop_one(stage: &mut DemoStage<'_>) -> Result<(), DemoError> {
    stage.since = None;
    stage
        .screen
        .chapter("5  Let Rollcall remove members that leave the list: 10 s later at the earliest, in case of a slip")?;
    stage.kubectl(&["patch", "chm", "support", "--type=merge", "-p", r#"{"spec": {"prune": "Owned"}}"#]).await?;
    stage.kubectl(&["wait", "chm", "support", "--for=jsonpath={.status.observedGeneration}=2"]).await?;
    let (undeclared, patch) = UNDECLARED;
    stage.kubectl(&["patch", "chm", "support", "--type=json", "-p", patch]).await?;
    stage.since = Some(Instant::now());
    stage.until(&format!("{undeclared} is out of the channel"), |stage| !stage.present.contains(undeclared)).await
}

async fn drop_all(stage: &mut DemoStage<'_>) -> Result<(), DemoError> {
    stage.since = None;
    stage.screen.chapter("6  A broken template declares no members: that needs approval, and no member is removed")?;
    let (before, added) = (stage.present.clone(), stage.added_by_operator.len());
    stage.kubectl(&["patch", "chm", "support", "--type=merge", "-p", r#"{"spec": {"members": []}}"#]).await?;
    let awaits_approval = |stage: &DemoStage<'_>| {
        stage.told.as_ref().is_some_and(|told| told.reason.as_deref() == Some("ApprovalRequired"))
    };
    stage.until("the operator says that the plan needs approval", awaits_approval).await?;
    stage.kubectl(&["get", "chm"]).await?;
    stage.kubectl(&["get", "chm", "support", "-o", MESSAGE]).await?;
    stage
        .screen
        .output("\nThat was a mistake. Apply the manifest again: no member has left, so nothing needs repair.")?;
    stage.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", MANIFEST]).await?;
    stage.since = Some(Instant::now());
    let (undeclared, _) = UNDECLARED;
    let returned = |stage: &DemoStage<'_>| stage.present.contains(undeclared) && !awaits_approval(stage);
    stage.until(&format!("{undeclared}, which is on the list again, is back"), returned).await?;
    if stage.present.is_superset(&before) && stage.added_by_operator[added..] == [undeclared] {
        return Ok(());
    }
    Err(DemoError::Unlike {
        command: "kubectl patch chm support".to_owned(),
        what: format!("no member left the channel, and only {undeclared} came back"),
    })
}

fn sample() -> Result<ChannelMembership, DemoError> {
    serde_yaml::from_str(&read(MANIFEST)?)
        .map_err(|error| DemoError::Sample { path: MANIFEST, message: error.to_string() })
}

fn read(path: &'static str) -> Result<String, DemoError> {
    std::fs::read_to_string(path).map_err(|error| DemoError::Sample { path, message: error.to_string() })
}

fn is_found(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| Path::new(&folder).join(program).is_file())
}
