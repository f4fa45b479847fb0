//! What is shown, in which order?

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use axum::http::Method;
use rollcall::api::{ChannelMembership, MemberList};
use serde_json::Value;

use crate::control_plane::ControlPlane;
use crate::failure::Failure;
use crate::screen::Screen;
use crate::stage::{Simulation, Stage, id_of, kubectl, member_of, quoted};

const SEED: &str = "examples/simulator/seed.yaml";
const MANIFEST: &str = "examples/support.yaml";
const BEARER: &str = "arn:aws:chime:us-east-1:123456789012:app-instance/demo/user/rollcall";

/// Those of the manifest whom the service refuses, with words of its reason.
const REFUSED: [(&str, &str); 2] = [("mallory", "banned"), ("zoe", "invalid app instance user")];

/// Who is taken out and comes back.
const REMOVED: &str = "grace";

/// Who leaves the list, and where they stand in it.
const DROPPED: (&str, &str) = ("heidi", r#"[{"op": "remove", "path": "/spec/members/7"}]"#);

/// Why the resource is as it is.
const MESSAGE: &str = r#"jsonpath={.status.conditions[?(@.type=="Ready")].message}{"\n"}"#;

/// An error a paragraph.
const ERRORS: &str =
    r#"jsonpath={range .status.errors[*]}{.memberArn}{"\n  "}{.errorCode}: {.errorMessage}{"\n"}{end}"#;

/// `members` comes last in the manifest, so that a line at its end is one more.
const ONE_MORE: &str =
    "(cat examples/support.yaml; echo '    - peggy@example.com') |\n  kubectl apply --server-side -f -";
const ASK: &str = "kubectl annotate chm support --overwrite rollcall.dev/reconcile-requested-at=\"$(date)\"";
const HIDDEN: &str = "kubectl apply --server-side -f examples/hidden-auditors.yaml";

/// Says what it is about.
pub fn open(screen: &Screen) -> Result<(), Failure> {
    screen.say("")?;
    screen
        .say("Rollcall keeps the members of Amazon Chime SDK messaging channels as you declare them in Kubernetes.")?;
    screen.say("Here: a real API server, the operator, and a local stand-in for the Chime service. No AWS account.")?;
    screen.chapter("1  Start an API server, a local Chime service, and the operator")?;
    Ok(())
}

/// Starts everything.
pub async fn set_up<'a>(
    screen: &'a Screen,
    control_plane: &'a ControlPlane,
    began: Instant,
) -> Result<Stage<'a>, Failure> {
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
        // The channel itself shows who came and went.
        ("RUST_LOG", "info,audit=warn"),
    ];
    screen.command(&format!("export AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING={endpoint}"))?;
    screen.command("export AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any")?;
    screen.command(&format!("rollcall {}", arguments.join(" ")))?;
    let channel = sample()?.spec.channel_arn;
    Stage::open(screen, control_plane, simulation, &channel, &variables, &arguments).await
}

/// Tells the story, each step once the one before it has been seen.
pub async fn tell(stage: &mut Stage<'_>) -> Result<(), Failure> {
    declare(stage).await?;
    judge(stage).await?;
    disturb(stage).await?;
    drop_one(stage).await?;
    drop_all(stage).await
}

/// Says what one can do now.
pub fn hand_over(stage: &mut Stage<'_>) -> Result<(), Failure> {
    stage.since = None;
    let (screen, endpoint) = (stage.screen, &stage.simulation.endpoint);
    screen.chapter("7  Your turn, in another terminal (Ctrl-C in this one ends it all)")?;
    screen.command(&format!("cd {}", quoted(env!("CARGO_MANIFEST_DIR"))))?;
    screen.command(&format!("export KUBECONFIG={}", stage.control_plane.kubeconfig().display()))?;
    if !is_found("kubectl") {
        screen.command(&format!("export PATH=\"$PATH:{}\"", stage.control_plane.tools().display()))?;
    }
    suggest(screen, "Declare one more:", &[ONE_MORE])?;
    let lift = format!("curl -X DELETE {endpoint}/_admin/bans -d '{}'", member_of(&stage.channel, REFUSED[0].0));
    suggest(screen, "Lift the ban, and ask Rollcall to try again now rather than in an hour:", &[&lift, ASK])?;
    suggest(screen, "Read it all, with events:", &["kubectl describe chm support"])?;
    suggest(screen, "People who watch without being seen, and other examples:", &[HIDDEN, "ls examples"])?;
    let log = format!("curl {endpoint}/_admin/calls?last=3");
    suggest(screen, "Look behind the scenes:", &[&format!("curl {endpoint}/_admin"), &log])?;
    screen.say("")?;
    screen.output("What happens in the channel shows up here:")?;
    Ok(())
}

fn suggest(screen: &Screen, purpose: &str, commands: &[&str]) -> Result<(), Failure> {
    screen.say("")?;
    screen.output(purpose)?;
    Ok(commands.iter().try_for_each(|command| screen.command(command))?)
}

async fn simulate(screen: &Screen, control_plane: &ControlPlane) -> Result<Simulation, Failure> {
    let mut arguments = vec!["simulate", "--seed", SEED];
    screen.command(&format!("rollcall {}", arguments.join(" ")))?;
    match Simulation::start(control_plane, &arguments).await {
        Err(Failure::Ended { log, .. }) if log.contains("in use") => {
            screen.output(log.trim())?;
            arguments.extend(["--address", "127.0.0.1:0"]);
            screen.command(&format!("rollcall {}", arguments.join(" ")))?;
            Simulation::start(control_plane, &arguments).await
        }
        started => started,
    }
}

async fn declare(stage: &mut Stage<'_>) -> Result<(), Failure> {
    let manifest = sample()?;
    let declared: BTreeSet<String> =
        manifest.spec.members.iter().flat_map(MemberList::iter).map(|member| id_of(member).to_owned()).collect();
    let expected: BTreeSet<String> =
        declared.into_iter().filter(|id| REFUSED.iter().all(|(refused, _)| id != refused)).collect();
    stage.screen.chapter("2  Declare who should be in the channel, and apply it")?;
    stage.screen.command(&format!("cat {MANIFEST}"))?;
    stage.screen.output(&read(MANIFEST)?)?;
    let there: Vec<&str> = stage.present.iter().map(String::as_str).collect();
    stage.screen.output(&format!("\nIn the channel so far: {}\n", there.join(", ")))?;
    stage.kubectl(&["apply", "--server-side", "-f", MANIFEST]).await?;
    stage.since = Some(Instant::now());
    stage
        .until("all members who can be added are in the channel", |stage| stage.present.is_superset(&expected))
        .await?;
    stage
        .until("the operator reports those present and those refused", |stage| {
            let told = stage.told.as_ref();
            told.is_some_and(|told| {
                told.reason.as_deref() == Some("MembersRefused")
                    && told.present == Some(expected.len())
                    && told.failed == Some(REFUSED.len())
            })
        })
        .await
}

async fn judge(stage: &mut Stage<'_>) -> Result<(), Failure> {
    stage.screen.chapter("3  See how it stands: ten are in, two were refused, and the status says why")?;
    let table = stage.kubectl(&["get", "chm"]).await?;
    let row = table.lines().find(|line| line.starts_with("support ")).unwrap_or_default();
    let columns: Vec<&str> = row.split_whitespace().take(7).collect();
    if columns != ["support", "support", "12", "10", "2", "False", "MembersRefused"] {
        return Err(Failure::Unlike {
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
            return Err(Failure::Unlike {
                command: "kubectl get chm support".to_owned(),
                what: format!("{member} with an error that says {why:?}"),
            });
        }
    }
    Ok(())
}

async fn disturb(stage: &mut Stage<'_>) -> Result<(), Failure> {
    stage
        .screen
        .chapter(&format!("4  Somebody takes {REMOVED} out behind Rollcall's back: drift, found within 10 s"))?;
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

async fn drop_one(stage: &mut Stage<'_>) -> Result<(), Failure> {
    stage.since = None;
    stage.screen.chapter(
        "5  Ask that whoever leaves the list leaves the channel: at the earliest 10 s later, in case it was a slip",
    )?;
    stage.kubectl(&["patch", "chm", "support", "--type=merge", "-p", r#"{"spec": {"prune": "Owned"}}"#]).await?;
    stage.kubectl(&["wait", "chm", "support", "--for=jsonpath={.status.observedGeneration}=2"]).await?;
    let (dropped, patch) = DROPPED;
    stage.kubectl(&["patch", "chm", "support", "--type=json", "-p", patch]).await?;
    stage.since = Some(Instant::now());
    stage.until(&format!("{dropped} is out of the channel"), |stage| !stage.present.contains(dropped)).await
}

async fn drop_all(stage: &mut Stage<'_>) -> Result<(), Failure> {
    stage.since = None;
    stage
        .screen
        .chapter("6  A template goes wrong and declares no members: that needs approval, and nobody is removed")?;
    let (before, added) = (stage.present.clone(), stage.added_by_operator.len());
    stage.kubectl(&["patch", "chm", "support", "--type=merge", "-p", r#"{"spec": {"members": []}}"#]).await?;
    let awaits_approval =
        |stage: &Stage<'_>| stage.told.as_ref().is_some_and(|told| told.reason.as_deref() == Some("ApprovalRequired"));
    stage.until("the operator says that the plan needs approval", awaits_approval).await?;
    stage.kubectl(&["get", "chm"]).await?;
    stage.kubectl(&["get", "chm", "support", "-o", MESSAGE]).await?;
    stage.screen.output("\nIt was a mistake: the manifest is applied as it was, and there is nothing to repair.")?;
    stage.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", MANIFEST]).await?;
    stage.since = Some(Instant::now());
    let (dropped, _) = DROPPED;
    let returned = |stage: &Stage<'_>| stage.present.contains(dropped) && !awaits_approval(stage);
    stage.until(&format!("{dropped}, who is on the list again, is back"), returned).await?;
    if stage.present.is_superset(&before) && stage.added_by_operator[added..] == [dropped] {
        return Ok(());
    }
    Err(Failure::Unlike {
        command: "kubectl patch chm support".to_owned(),
        what: format!("nobody left the channel, and nobody but {dropped} came back"),
    })
}

fn sample() -> Result<ChannelMembership, Failure> {
    serde_yaml::from_str(&read(MANIFEST)?)
        .map_err(|error| Failure::Sample { path: MANIFEST, message: error.to_string() })
}

fn read(path: &'static str) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::Sample { path, message: error.to_string() })
}

fn is_found(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| Path::new(&folder).join(program).is_file())
}
