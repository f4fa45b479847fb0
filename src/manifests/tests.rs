use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use proptest::prelude::*;

use super::*;

const CHANNEL: &str = "arn:aws:chime:us-east-1:123456789012:app-instance/1f/channel/support";

fn membership(metadata: &str, spec: &str) -> String {
    format!(
        "apiVersion: rollcall.dev/v1alpha1\nkind: ChannelMembership\nmetadata: {metadata}\nspec:\n  channelArn: {CHANNEL}\n  {spec}\n"
    )
}

fn input(text: &str) -> Input {
    Input::Text { name: "team.yaml".into(), text: text.into() }
}

fn read_text(text: &str) -> Result<Manifests, Vec<Problem>> {
    read_manifests(&[input(text)], "default")
}

/// Returns `namespace/name:line` of each ChannelMembership.
fn resources(manifests: &Manifests) -> Vec<String> {
    let describe = |manifest: &Manifest<ChannelMembership>| {
        let object = &manifest.object;
        format!("{}/{}:{}", object.namespace().unwrap(), object.name_any(), manifest.position.line)
    };
    manifests.memberships.iter().map(describe).collect()
}

fn messages(read: Result<Manifests, Vec<Problem>>) -> Vec<String> {
    read.expect_err("nothing is wrong").iter().map(Problem::to_string).collect()
}

#[test]
fn documents_have_their_line_and_empty_documents_are_ignored() {
    let first = membership("{name: a, namespace: care}", "members: []");
    let second = membership("{name: b}", "members: []");
    let text = format!("# people\n---\n---\n{first}--- # the second\n# nothing\n---\n\n{second}---\n");
    let manifests = read_text(&text).unwrap();
    assert_eq!(resources(&manifests), ["care/a:4", "default/b:14"]);
    assert_eq!(manifests.memberships[1].position.to_string(), "team.yaml:14 (document 4)");
}

#[test]
fn list_items_are_read_and_other_kinds_are_counted() {
    let item =
        |name: &str| format!("{{metadata: {{name: {name}}}, spec: {{channelArn: '{CHANNEL}', members: [alice]}}}}");
    let typed = format!(
        "apiVersion: rollcall.dev/v1alpha1\nkind: ChannelMembershipList\nitems:\n- {}\n- {}\n",
        item("a"),
        item("b")
    );
    assert_eq!(resources(&read_text(&typed).unwrap()), ["default/a:4", "default/b:5"]);

    let one = membership("{name: a}", "members: []").replace('\n', "\n  ");
    let nested = format!(
        "apiVersion: v1\nkind: List\nmetadata: {{resourceVersion: ''}}\nitems:\n- {}\n- apiVersion: v1\n  kind: Service\n- apiVersion: v1\n  kind: List\n  items: []\n",
        one.trim_end()
    );
    let manifests = read_text(&nested).unwrap();
    assert_eq!((resources(&manifests), manifests.skipped), (vec!["default/a:5".to_owned()], 1));
}

#[test]
fn consecutive_json_objects_are_read() {
    let one = |name: &str| {
        serde_json::json!({"apiVersion": "rollcall.dev/v1alpha1", "kind": "ChannelMembership", "metadata": {"name": name},
            "spec": {"channelArn": CHANNEL, "members": []}})
    };
    let text = format!("\n{}\n\n{:#}{}\n", one("a"), one("b"), one("c"));
    let manifests = read_text(&text).unwrap();
    let begin = format!("{:#}", one("b")).lines().count() + 3;
    assert_eq!(
        resources(&manifests),
        ["default/a:2".to_owned(), "default/b:4".to_owned(), format!("default/c:{begin}")]
    );
}

#[test]
fn objects_without_a_namespace_get_the_namespace_of_the_command() {
    let text = format!(
        "{}---\n{}",
        membership("{name: a}", "members: []"),
        membership("{name: a, namespace: care}", "members: []")
    );
    let manifests = read_manifests(&[input(&text)], "people").unwrap();
    assert_eq!(resources(&manifests), ["people/a:1", "care/a:8"]);
    let problems = messages(read_manifests(&[input(&text)], "care"));
    assert_eq!(
        problems,
        ["team.yaml:10 (document 2): ChannelMembership care/a: is declared in team.yaml:1 already: keep one of them"]
    );
}

fn write_manifest(folder: &Path, path: &str) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let name = path.file_stem().unwrap().to_string_lossy();
    fs::write(&path, membership(&format!("{{name: {name}}}"), "members: []")).unwrap();
}

#[test]
fn folders_are_read_in_order_without_hidden_files_and_loops() {
    let folder = tempfile::tempdir().unwrap();
    for path in ["b.yaml", "a.yml", "c/d/e.json", "c/f.yaml", ".git/g.yaml", ".h.yaml", "c/i.txt", "j.YAML"] {
        write_manifest(folder.path(), path);
    }
    symlink(folder.path(), folder.path().join("c/around")).unwrap();
    symlink(folder.path().join("b.yaml"), folder.path().join("c/.hidden.yaml")).unwrap();
    let input = Input::Path(folder.path().to_owned());
    let manifests = read_manifests(&[input.clone(), input], "n").unwrap();
    let names: Vec<String> = manifests.memberships.iter().map(|manifest| manifest.object.name_any()).collect();
    assert_eq!(names, ["a", "b", "e", "f"]);
    assert!(manifests.memberships[2].position.file.ends_with("c/d/e.json"));
}

#[test]
fn cluster_output_is_read_with_its_status_and_unknown_fields() {
    let printed = format!(
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: rollcall.dev/v1alpha1\n  kind: ChannelMembership\n  metadata:\n    name: a\n    \
         namespace: care\n    uid: 5d1c\n    generation: 3\n    resourceVersion: '71'\n    creationTimestamp: '2026-01-01T00:00:00Z'\n    \
         managedFields: [{{manager: kubectl, operation: Apply}}]\n  spec: {{channelArn: '{CHANNEL}', members: [alice], later: 1}}\n  \
         status: {{observedGeneration: 3, lastDeclared: [alice], later: [1]}}\n"
    );
    let manifests = read_state(&[input(&printed)], "default").unwrap();
    let object = &manifests.memberships[0].object;
    assert_eq!(object.metadata.uid.as_deref(), Some("5d1c"));
    assert_eq!(object.status.as_ref().unwrap().observed_generation, Some(3));
    assert!(messages(read_manifests(&[input(&printed)], "default"))[0].contains("spec.later: unknown field"));
    let without = printed.replace(", later: 1", "").replace(", later: [1]", "");
    assert_eq!(read_manifests(&[input(&without)], "default").unwrap().memberships[0].object.status, None);
}

#[test]
fn merged_entries_yield_to_explicit_entries() {
    let text = format!(
        "apiVersion: rollcall.dev/v1alpha1\nkind: ChannelMembership\nmetadata: {{name: a, annotations: &who {{x: '1', z: '2'}}, labels: {{<<: \
         *who, x: '3'}}}}\nspec: {{channelArn: '{CHANNEL}', members: []}}\n"
    );
    let labels = read_text(&text).unwrap().memberships[0].object.metadata.labels.clone().unwrap();
    assert_eq!(labels.into_iter().collect::<Vec<_>>(), [("x".into(), "3".into()), ("z".into(), "2".into())]);
}

#[test]
fn config_map_members_are_checked_if_the_files_hold_the_config_map() {
    let from =
        |key: &str| membership("{name: a}", &format!("membersFrom: [{{configMapKeyRef: {{name: on-call, {key}}}}}]"));
    let map = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: on-call}\ndata:\n  good: alice\n  bad: |\n    bob\n    not one\n";
    let good = read_text(&format!("{}{map}", from("key: good"))).unwrap();
    assert_eq!((good.config_maps.len(), good.warnings.len()), (1, 0));
    let bad = read_text(&format!("{}{map}", from("key: bad"))).unwrap_err();
    assert_eq!((bad.len(), bad[0].judge, bad[0].position.line), (1, Judge::Operator, 13));
    assert!(bad[0].to_string().contains("line 2 names no member"), "{}", bad[0]);
    let absent = messages(read_text(&format!("{}{map}", from("key: absent"))));
    assert!(absent[0].contains("ConfigMap on-call has no key absent"), "{absent:?}");
    assert!(read_text(&format!("{}{map}", from("key: absent, optional: true"))).is_ok());
    let elsewhere =
        read_text(&format!("{}{}", from("key: good"), map.replace("{name: on-call}", "{name: on-call, namespace: b}")))
            .unwrap();
    assert!(elsewhere.warnings[0].to_string().contains("ConfigMap on-call is not among these files"));
}

#[test]
fn problems_that_only_the_operator_finds_are_marked() {
    let instance = "a".repeat(65);
    let text = membership("{name: a}", "members: []").replace("app-instance/1f", &format!("app-instance/{instance}"));
    let problems = read_text(&text).unwrap_err();
    assert_eq!((problems.len(), problems[0].judge), (1, Judge::Operator));
    let line = problems[0].to_string();
    assert!(line.ends_with("(the API server accepts this, and the operator reports it later)"), "{line}");
    let over = read_text(&membership("{name: a}", "expiresAt: 2020-01-01T00:00:00Z\n  members: []")).unwrap();
    assert!(
        over.warnings[0]
            .to_string()
            .contains("team.yaml:6: ChannelMembership default/a: spec.expiresAt: 2020-01-01T00:00:00Z has passed")
    );
}

#[test]
fn ten_thousand_members_are_checked_and_the_first_20_faults_reported() {
    let members =
        |name: fn(usize) -> String| (0..10_000).flat_map(|at| ["\n  - ".to_owned(), name(at)]).collect::<String>();
    let good = read_text(&membership("{name: a}", &format!("members:{}", members(|at| format!("user-{at}"))))).unwrap();
    assert_eq!(good.memberships[0].object.spec.members.as_ref().unwrap().iter().count(), 10_000);
    let bad = messages(read_text(&membership("{name: a}", &format!("members:{}", members(|at| at.to_string())))));
    assert_eq!((bad.len(), bad[20].contains("and 9980 more")), (21, true), "{:?}", bad[20]);
}

#[test]
fn messages_have_no_control_characters() {
    let text = membership("{name: a}", "\"\\e[31mred\": 1\n  members: [\"\\e[0m\"]");
    for line in messages(read_text(&text)) {
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
}

/// Generates pieces of valid and broken manifests.
fn piece() -> impl Strategy<Value = String> {
    let short = [
        "spec:\n", "spec: ", CHANNEL, "\n", "---\n", "- ", "? ", ": ", "&a ", "*a", "<<: ", "!!int ", "{", "}", "[",
        "]", "\"", "'", "|\n", ">-\n", "\t", "#", "...\n", "é", "\u{feff}", "\r\n", "items:\n", "~", "null", "-",
        "data: ", "\0",
    ];
    let long = [
        "apiVersion: rollcall.dev/v1alpha1\n",
        "kind: ChannelMembership\n",
        "metadata: {name: a}\n",
        "metadata: a\n",
        "  channelArn: ",
        "  members: [alice, bob]\n",
        "  members:\n",
        "  - alice\n",
        "  - 012\n",
        "!!binary ",
        "%YAML 1.1\n",
        "limits: {failed: ",
        "expiresAt: ",
        "kind: List\n",
        "kind: ConfigMap\n",
    ];
    let known = [&short[..], &long].concat();
    prop_oneof![4 => proptest::sample::select(known).prop_map(str::to_owned), 1 => any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("any.yaml");
        fs::write(&path, bytes).unwrap();
        let _ = read_manifests(&[Input::Path(path.clone())], "n");
        let _ = read_state(&[Input::Path(path)], "n");
    }

    #[test]
    fn any_text_is_read_without_a_panic_and_problems_name_a_line_of_it(pieces in proptest::collection::vec(piece(), 0..40)) {
        let text = pieces.concat();
        for problem in read_text(&text).err().unwrap_or_default() {
            prop_assert!(problem.position.line <= text.lines().count().max(1) + 1, "{problem}");
            prop_assert!(!problem.to_string().contains('\n'));
        }
    }

    #[test]
    fn any_field_value_is_read_without_a_panic(value in "[ -~é]{0,40}", field in 0..12_usize) {
        let fields = ["channelArn", "type", "members", "membersFrom", "prune", "limits", "expiresAt", "resyncInterval", "chimeBearer",
            "subChannelId", "suspend", "mode"];
        let text = format!("apiVersion: rollcall.dev/v1alpha1\nkind: ChannelMembership\nmetadata: {{name: a}}\nspec:\n  {}: {value}\n", fields[field]);
        let _ = read_text(&text);
        let quoted = text.replace(&value, &format!("{value:?}"));
        let _ = read_text(&quoted);
    }
}
