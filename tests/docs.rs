//! The pages match the program.

#![expect(clippy::expect_used, reason = "a test that cannot read a page has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use rollcall::api::{ChannelMembership, Reason, custom_resource_definition};
use rollcall::simulator::{
    ApiOperation, Fault, Seed, ServiceLimits, Simulator, SimulatorOptions, UndocumentedBehaviours,
};
use serde_json::Value;

const KIND: &str = "docs/channelmembership.md";
const GITOPS: &str = "docs/gitops.md";
const SIMULATOR: &str = "docs/simulator.md";
const COMMAND_LINE: &str = "docs/command-line.md";
const PLANTED_BUGS: &str = "docs/removal-planted-bugs.md";

fn page(path: &str) -> String {
    fs::read_to_string(path).expect("the page can be read")
}

/// Returns the text between each `from` and the next `to`.
fn between<'a>(page: &'a str, from: &str, to: &str) -> Vec<&'a str> {
    page.split(from).skip(1).filter_map(|rest| rest.split(to).next()).collect()
}

/// Returns the flags that begin a line of a command's help.
fn flags(command: &str) -> BTreeSet<String> {
    let help =
        Command::new(env!("CARGO_BIN_EXE_rollcall")).args([command, "--help"]).output().expect("help is printed");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let first_words = help.lines().filter_map(|line| line.split_whitespace().next());
    first_words.filter(|word| word.starts_with("--")).map(str::to_owned).collect()
}

#[test]
fn every_flag_has_its_row() {
    for (command, path) in [("run", "README.md"), ("simulate", SIMULATOR)] {
        let (flags, page) = (flags(command), page(path));
        assert!(flags.len() > 5, "{command}: {flags:?}");
        let rows: String = page.lines().filter(|line| line.starts_with("| `--")).collect();
        for flag in flags {
            assert!(rows.contains(&format!("`{flag} ")) || rows.contains(&format!("`{flag}`")), "{path}: {flag}");
        }
    }
}

#[test]
fn every_reason_has_its_row() {
    let page = page(KIND);
    for reason in Reason::ALL {
        assert!(page.contains(&format!("\n| `{}` |", reason.as_str())), "{reason:?}");
    }
}

#[test]
fn every_reason_is_judged_on_the_page_of_gitops() {
    let page = page(GITOPS);
    let judged: BTreeSet<&str> =
        page.lines().filter(|line| line.starts_with('|')).flat_map(|line| line.split('`')).collect();
    for reason in Reason::ALL {
        assert!(judged.contains(reason.as_str()), "{reason:?}");
    }
}

#[test]
fn the_page_of_gitops_names_the_versions_that_are_tried() {
    let page = page(GITOPS);
    for (tool, folder, module) in [
        ("kustomize-controller", "flux", "github.com/fluxcd/kustomize-controller v"),
        ("Argo CD", "argocd", "github.com/argoproj/argo-cd/v3 v"),
        ("fluxcd/cli-utils", "kstatus", "github.com/fluxcd/cli-utils v"),
    ] {
        let pins = fs::read_to_string(format!("hack/tools/{folder}/go.mod")).expect("the pins can be read");
        let version = between(&pins, module, "\n")[0].split(' ').next().unwrap_or_default();
        assert!(page.contains(&format!("{tool} {version}")), "{tool} {version}");
    }
}

#[test]
fn every_field_of_the_kind_is_on_its_page() {
    let page = page(KIND);
    let code: BTreeSet<&str> = page.split('`').skip(1).step_by(2).flat_map(|code| code.split(not_in_a_name)).collect();
    let definition = serde_json::to_value(custom_resource_definition()).expect("the CRD is data");
    let root = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let mut fields = BTreeSet::new();
    for part in ["spec", "status"] {
        names_of_fields(&root["properties"][part], &mut fields);
    }
    assert!(fields.len() > 40, "{fields:?}");
    for field in fields {
        assert!(code.contains(field.as_str()), "{KIND} says nothing of `{field}`");
    }
}

fn not_in_a_name(letter: char) -> bool {
    !letter.is_ascii_alphanumeric()
}

/// Returns the names of all fields below a schema, without the fields of conditions, which
/// Kubernetes defines.
fn names_of_fields(schema: &Value, names: &mut BTreeSet<String>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        names.insert(name.clone());
        if name != "conditions" {
            names_of_fields(field, names);
            names_of_fields(&field["items"], names);
        }
    }
}

#[test]
fn every_file_that_a_page_links_to_is_there() {
    let pages =
        fs::read_dir("docs").expect("the folder can be read").map(|entry| entry.expect("the file can be read").path());
    let pages = pages.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let mut links = 0;
    for path in pages.chain(["README.md", "CONTRIBUTING.md", "examples/README.md"].map(PathBuf::from)) {
        let page = fs::read_to_string(&path).expect("the page can be read");
        for link in between(&page, "](", ")") {
            let file = link.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            links += 1;
            let target = path.parent().expect("a page is in a folder").join(file);
            assert!(target.exists(), "{} links to {link}", path.display());
        }
    }
    assert!(links > 50, "only {links}");
}

#[test]
fn the_resources_of_the_pages_can_be_read() {
    for path in ["README.md", KIND, GITOPS] {
        let page = page(path);
        let resources = between(&page, "```yaml\n", "```");
        assert!(!resources.is_empty(), "{path}");
        for text in resources {
            let read = serde_yaml::from_str::<ChannelMembership>(text);
            assert!(read.is_ok(), "{path}: {read:?}");
        }
    }
}

#[tokio::test]
async fn the_simulator_starts_with_the_seed_of_its_page() {
    let page = page(SIMULATOR);
    let seeds = between(&page, "```yaml\n", "```");
    assert!(!seeds.is_empty());
    for text in seeds {
        let seed = Seed::from_yaml(text).expect("the seed can be read");
        let simulator = Simulator::start(SimulatorOptions { seed, ..SimulatorOptions::default() })
            .await
            .expect("the seed can be planted");
        simulator.shutdown().await;
    }
}

#[test]
fn every_fault_of_the_simulators_page_is_one() {
    let page = page(SIMULATOR);
    let mut faults = between(&page, "curl $ADMIN/faults -d '", "'\n");
    faults.extend(between(&page, "```json\n", "```").into_iter().flat_map(str::lines));
    assert!(faults.len() > 10, "only {} found", faults.len());
    for fault in faults {
        let read = serde_json::from_str::<Fault>(fault);
        assert!(read.is_ok(), "{fault}: {read:?}");
    }
}

#[test]
fn every_operation_switch_and_limit_of_the_simulator_is_on_its_page() {
    let page = page(SIMULATOR);
    for operation in ApiOperation::ALL {
        assert!(page.contains(operation.as_str()), "{operation}");
    }
    let switches = serde_json::to_value(UndocumentedBehaviours::default()).expect("switches are data");
    let limits = serde_json::to_value(ServiceLimits::default()).expect("limits are data");
    for (name, value) in switches.as_object().into_iter().chain(limits.as_object()).flatten() {
        let row = format!("| `{name}` | `{}` |", value.to_string().trim_matches('"'));
        assert!(page.lines().any(|line| line.starts_with(&row)), "no row begins with {row}");
    }
}

/// Returns the `gh` commands of the pull request workflow if its own comment is `found` (empty:
/// none).
fn asked_of_gh(found: &str) -> Vec<String> {
    let page = page(COMMAND_LINE);
    let workflow = between(&page, "# .github/workflows/plan.yaml\n", "\n```").concat();
    let workflow: Value = serde_yaml::from_str(&workflow).expect("the workflow is YAML");
    let steps = workflow["jobs"]["plan"]["steps"].as_array().expect("the workflow has steps");
    let script = steps.last().and_then(|step| step["run"].as_str()).expect("the last step runs something");
    let folder = tempfile::tempdir().expect("a folder can be made");
    let stand_in = format!(
        "gh() {{ printf '%s\\n' \"$*\" | tr '\\n' ' ' >>asked; echo >>asked; case $* in *--paginate*) printf '{found}';; esac; }}\n{script}"
    );
    fs::write(folder.path().join("plan.md"), "a plan").expect("a file can be written");
    let done = Command::new("bash")
        .args(["-e", "-c", &stand_in])
        .current_dir(folder.path())
        .envs([("GITHUB_REPOSITORY", "org/repo"), ("NUMBER", "7")])
        .status()
        .expect("bash runs");
    assert!(done.success());
    let asked = fs::read_to_string(folder.path().join("asked")).expect("gh was called");
    asked.lines().map(|line| line.trim_end().to_owned()).collect()
}

#[test]
fn the_workflow_for_pull_requests_writes_one_comment_and_keeps_to_it() {
    let first = asked_of_gh("");
    assert!(first[0].contains("startswith(\"<!-- rollcall plan -->\")"), "{first:?}");
    assert_eq!(first[1..], ["pr comment 7 --body-file plan.md"]);
    let again = asked_of_gh("17\\n18\\n");
    assert_eq!(again[1..], ["api --method PATCH repos/org/repo/issues/comments/17 --field body=@plan.md --silent"]);
}

/// Returns the file of a module by its path within the crate.
fn module(path: &str) -> String {
    let file = |path: &str| fs::read_to_string(format!("src/{path}.rs")).ok();
    let inline = || {
        let outer = file(path.strip_suffix("/tests")?)?;
        Some(outer.split_once("mod tests {")?.1.to_owned())
    };
    file(path).or_else(inline).unwrap_or_default()
}

#[test]
fn every_test_named_for_a_planted_bug_exists() {
    let page = page(PLANTED_BUGS);
    let rows = page.lines().filter(|line| line.starts_with("| ") && line.contains("::"));
    let mut count = 0;
    for row in rows {
        count += 1;
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        assert_eq!(cells.len(), 3, "{row}");
        let tests = between(cells[2], "`", "`");
        assert!(!tests.is_empty(), "{row}");
        for test in tests.into_iter().step_by(2) {
            let (path, name) = test.rsplit_once("::").expect("a test is named with its path");
            let found = module(&path.replace("::", "/")).contains(&format!("fn {name}("));
            assert!(found, "there is no test {test}: {row}");
        }
    }
    assert!(count >= 25, "only {count} bugs");
}
