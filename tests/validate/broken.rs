//! The command reports any broken file with its name and line, and calls no service.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

const GOOD: &str = "apiVersion: rollcall.dev/v1alpha1
kind: ChannelMembership
metadata: {name: support}
spec:
  channelArn: arn:aws:chime:us-east-1:123456789012:app-instance/1f/channel/support
  members: [alice]
";

/// A loopback port that the command must not call.
struct UncalledPort(TcpListener);

impl UncalledPort {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn validate(&self, folder: &Path, arguments: &[&str]) -> Output {
        let address = self.0.local_addr().unwrap();
        let kubeconfig = folder.join(".kubeconfig");
        let server = format!(
            "{{clusters: [{{name: c, cluster: {{server: 'http://{address}'}}}}], contexts: [{{name: c, context: {{cluster: c}}}}], current-context: c}}"
        );
        fs::write(&kubeconfig, server).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_rollcall"))
            .arg("validate")
            .args(arguments)
            .current_dir(folder)
            .env("KUBECONFIG", &kubeconfig)
            .env("AWS_ENDPOINT_URL", format!("http://{address}"))
            .env("AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING", format!("http://{address}"))
            .output()
            .unwrap();
        assert!(self.0.accept().is_err(), "{arguments:?}: the command made a call");
        output
    }
}

/// A file name, its bytes, and the two parts of a line of the answer: `file:line` and words.
type BrokenFile = (&'static str, Vec<u8>, &'static str, &'static str);

fn good_with(what: &str, instead: &str) -> Vec<u8> {
    assert!(GOOD.contains(what), "{what}");
    GOOD.replace(what, instead).into_bytes()
}

fn nested_aliases() -> Vec<u8> {
    let mut text =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: laughs}\na: &a [ha, ha, ha, ha, ha, ha, ha, ha, ha]\n"
            .to_owned();
    for (name, before) in ('b'..='i').zip('a'..) {
        let all = format!("*{before}, ").repeat(9);
        text.extend([name.to_string(), format!(": &{name} [{}]\n", all.trim_end_matches(", "))]);
    }
    text.into_bytes()
}

fn utf16(big_endian: bool, mark: bool) -> Vec<u8> {
    let units = mark.then_some(0xfeff).into_iter().chain(GOOD.encode_utf16());
    units.flat_map(|unit| if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
}

fn many_documents() -> Vec<u8> {
    "---\n{apiVersion: v1, kind: Service}\n".repeat(100_001).into_bytes()
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn broken_files() -> Vec<BrokenFile> {
    let no_manifest = "is not a manifest: write a mapping with apiVersion and kind";
    let bytes = |text: &str| text.as_bytes().to_vec();
    vec![
        ("prose.yaml", bytes("Hello everybody\n"), "prose.yaml:1", no_manifest),
        ("list.yaml", bytes("# people\n- alice\n- bob\n"), "list.yaml:2", no_manifest),
        ("number.yaml", bytes("42\n"), "number.yaml:1", no_manifest),
        ("page.yaml", bytes("<!DOCTYPE html>\n<html><body>Not found</body></html>\n"), "page.yaml:1", no_manifest),
        ("program.yaml", b"\x7fELF\x02\x01\x01\x00\x00\x00".to_vec(), "program.yaml:1", "NUL byte"),
        ("picture.yaml", b"\x89PNG\r\n\x1a\n".to_vec(), "picture.yaml:1", "is not UTF-8: save it as UTF-8"),
        ("nul-first.yaml", b"\0\0\0".to_vec(), "nul-first.yaml:1", "NUL byte"),
        ("nul.yaml", good_with("name: support", "name: sup\0port"), "nul.yaml:3", "NUL byte"),
        ("utf16-le.yaml", utf16(false, true), "utf16-le.yaml", "is in UTF-16: save it as UTF-8"),
        ("utf16-be.yaml", utf16(true, true), "utf16-be.yaml", "is in UTF-16: save it as UTF-8"),
        ("utf16-bare.yaml", utf16(false, false), "utf16-bare.yaml:1", "save it as UTF-8"),
        (
            "latin1.yaml",
            [&b"# one\n# two\n# J\xfcrgen\n"[..], GOOD.as_bytes()].concat(),
            "latin1.yaml:3",
            "is not UTF-8",
        ),
        ("bell.yaml", good_with("[alice]", "[\"al\u{7}ice\"]"), "bell.yaml:6", ""),
        ("laughs.yaml", nested_aliases(), "laughs.yaml:9", "aliases unfold to more than 100000 values"),
        ("cycle.yaml", good_with("[alice]", "&all [alice, *all]"), "cycle.yaml:6", "an anchor contains itself"),
        ("no-anchor.yaml", good_with("[alice]", "*team"), "no-anchor.yaml:6", "not YAML"),
        ("deep.yaml", "[".repeat(100_000).into_bytes(), "deep.yaml:1", "not YAML"),
        ("deep.json", "{\"a\":".repeat(100_000).into_bytes(), "deep.json:1", "not YAML"),
        ("deep-block.yaml", "- ".repeat(5_000).into_bytes(), "deep-block.yaml:1", "not YAML"),
        ("tabs.yaml", good_with("  members", "\tmembers"), "tabs.yaml:6", "not YAML"),
        ("indent.yaml", good_with("  members", " members"), "indent.yaml:6", "not YAML"),
        ("outdent.yaml", good_with("  members", "members"), "outdent.yaml:6", "members: unknown field"),
        ("quote.yaml", good_with("[alice]", "[\"alice]"), "quote.yaml:", "not YAML"),
        ("bracket.yaml", good_with("[alice]", "[alice"), "bracket.yaml:", "not YAML"),
        (
            "cut.json",
            bytes("{\"apiVersion\": \"rollcall.dev/v1alpha1\",\n \"kind\": \"ChannelMem"),
            "cut.json:",
            "not YAML",
        ),
        (
            "twice.yaml",
            good_with("  members", "  type: HIDDEN\n  type: DEFAULT\n  members"),
            "twice.yaml:7",
            "the key \"type\" is written twice",
        ),
        (
            "conflict.yaml",
            good_with(
                "  members: [alice]",
                "<<<<<<< HEAD\n  members: [alice]\n=======\n  members: [bob]\n>>>>>>> theirs",
            ),
            "conflict.yaml:",
            "not YAML",
        ),
        ("template.yaml", good_with("{name: support}", "{{ .Values.metadata }}"), "template.yaml:3", "is not a key"),
        (
            "typo.yaml",
            good_with("kind: ChannelMembership", "kind: ChannelMembershp"),
            "typo.yaml:1",
            "write apiVersion: rollcall.dev/v1alpha1 and kind: ChannelMembership",
        ),
        ("version.yaml", good_with("v1alpha1", "v1beta1"), "version.yaml:1", "write apiVersion: rollcall.dev/v1alpha1"),
        ("no-kind.yaml", good_with("kind: ChannelMembership\n", ""), "no-kind.yaml:1", "kind is missing"),
        (
            "text-spec.yaml",
            bytes("apiVersion: rollcall.dev/v1alpha1\nkind: ChannelMembership\nmetadata: {name: a}\nspec: support\n"),
            "text-spec.yaml:4",
            "spec: \"support\" is text, and a mapping is wanted",
        ),
        (
            "region.yaml",
            good_with("[alice]", "\n  - alice\n  - arn:aws:chime:eu-central-1:123456789012:app-instance/1f/user/bob"),
            "region.yaml:8",
            "is not of the app instance of the channel",
        ),
        (
            "number-id.yaml",
            good_with("[alice]", "\n  - alice\n  - 12345"),
            "number-id.yaml:8",
            "12345 is a number: quote it",
        ),
        ("arn.yaml", good_with("channel/support", "channels/support"), "arn.yaml:5", "not a channel ARN"),
        (
            "second.yaml",
            format!(
                "{GOOD}---\n# the other\n{}",
                GOOD.replace("name: support", "name: other").replace("[alice]", "alice")
            )
            .into_bytes(),
            "second.yaml:14 (document 2)",
            "write - before each item",
        ),
        (
            "separator.yaml",
            format!("{GOOD}--- and more\n").into_bytes(),
            "separator.yaml:7",
            "only a comment may follow ---",
        ),
        (
            "dots.yaml",
            format!("{GOOD}...\na: b\n").into_bytes(),
            "dots.yaml:8",
            "a second document begins without a line of ---",
        ),
        ("directive.yaml", bytes("%YAML 9.9.9\n---\na: b\n"), "directive.yaml:1", "not YAML"),
        ("empty.yaml", Vec::new(), "empty.yaml", "nor any other given file holds a manifest"),
        ("comments.yaml", bytes("# alice\n---\n# bob\n"), "comments.yaml", "nor any other given file holds a manifest"),
        (
            "item.yaml",
            bytes(
                "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: a}\n  data: {a: 1}\n",
            ),
            "item.yaml:7",
            "data[a]: 1 is a number: quote it",
        ),
        (
            "items.yaml",
            bytes("apiVersion: v1\nkind: List\nitems:\n  alice: true\n"),
            "items.yaml:3",
            "items is a mapping, and a list is wanted",
        ),
        (
            "again.yaml",
            format!("{GOOD}---\n{GOOD}").into_bytes(),
            "again.yaml:10 (document 2)",
            "is declared in again.yaml:1 already: keep one of them",
        ),
        (
            "key.yaml",
            good_with("  members", "  ? [a]\n  : b\n  members"),
            "key.yaml:6",
            "a list or a mapping is not a key",
        ),
        (
            "binary.yaml",
            good_with("[alice]", "[!!binary YWxpY2U=]"),
            "binary.yaml:6",
            "tagged !!binary: write it as text",
        ),
        ("documents.yaml", many_documents(), "documents.yaml:", "more than 100000 documents"),
    ]
}

/// Returns what is wrong with an answer, if anything. The answer has to be lines of standard error,
/// and its last line has to count the problems.
fn check_answer(output: &Output, begins: &str, words: &str) -> Option<String> {
    let answer = String::from_utf8(output.stderr.clone()).expect("the answer is text");
    let last = answer.lines().last().unwrap_or_default();
    let fine = output.status.code() == Some(1)
        && output.stdout.is_empty()
        && answer.lines().any(|line| line.starts_with(begins) && line.contains(words))
        && last.starts_with("error: ")
        && last.contains("in these manifests")
        && answer.chars().all(|c| c == '\n' || !c.is_control())
        && answer.len() < 20_000;
    (!fine).then(|| format!("{begins} … {words}: {:?}: {answer:.1000}", output.status))
}

#[test]
fn broken_files_are_reported_with_name_and_line_and_without_a_call() {
    let (port, folder) = (UncalledPort::new(), tempfile::tempdir().unwrap());
    let files = broken_files();
    assert!(files.len() >= 40, "only {}", files.len());
    assert_eq!(files.iter().map(|(name, ..)| name).collect::<BTreeSet<_>>().len(), files.len());
    let faults = files.into_iter().filter_map(|(name, bytes, begins, words)| {
        fs::write(folder.path().join(name), bytes).unwrap();
        check_answer(&port.validate(folder.path(), &["-f", name]), begins, words)
    });
    let faults: Vec<String> = faults.collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn unreadable_paths_are_reported_by_name() {
    let (port, folder) = (UncalledPort::new(), tempfile::tempdir().unwrap());
    let huge = fs::File::create(folder.path().join("huge.yaml")).unwrap();
    huge.set_len(200 << 20).unwrap();
    fs::create_dir(folder.path().join("bare")).unwrap();
    fs::write(folder.path().join("bare/notes.txt"), "not a manifest").unwrap();
    fs::create_dir(folder.path().join("links")).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path().join("links/gone.yaml")).unwrap();
    for (path, words) in [
        ("huge.yaml", "is too large (200 MiB, at most 64): split it into several files"),
        ("/dev/zero", "is larger than 64 MiB"),
        ("bare", "this folder holds no manifest"),
        ("nowhere.yaml", "there is no such file or folder"),
        ("links", "there is no such file or folder"),
    ] {
        assert_eq!(check_answer(&port.validate(folder.path(), &["-f", path]), path, words), None);
    }
}

#[test]
fn good_files_are_counted_in_one_line_and_warnings_are_printed() {
    let (port, folder) = (UncalledPort::new(), tempfile::tempdir().unwrap());
    fs::create_dir(folder.path().join("more")).unwrap();
    fs::write(folder.path().join("support.yaml"), GOOD).unwrap();
    let crlf = GOOD.replace("support", "other").replace('\n', "\r\n");
    fs::write(folder.path().join("more/other.yml"), format!("\u{feff}{crlf}")).unwrap();
    fs::write(folder.path().join("more/service.json"), "{\"apiVersion\": \"v1\", \"kind\": \"Service\"}").unwrap();
    let output = port.validate(folder.path(), &["-f", "."]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let answer = String::from_utf8(output.stdout).unwrap();
    assert_eq!(answer, "2 ChannelMemberships and 0 ConfigMaps are valid (1 other object skipped)\n");
    assert!(output.stderr.is_empty());

    let from = "members: [alice]\n  membersFrom:\n  - configMapKeyRef: {name: on-call, key: a}";
    fs::write(folder.path().join("from.yaml"), GOOD.replace("members: [alice]", from)).unwrap();
    let output = port.validate(folder.path(), &["-f", "from.yaml", "-n", "care"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let answer = String::from_utf8(output.stderr).unwrap();
    let warning = "warning: from.yaml:8: ChannelMembership care/support: spec.membersFrom[0].configMapKeyRef: ConfigMap on-call is not \
                   among these files";
    assert!(answer.starts_with(warning), "{answer}");
}

#[test]
fn json_output_has_the_position_of_each_problem() {
    let (port, folder) = (UncalledPort::new(), tempfile::tempdir().unwrap());
    fs::write(folder.path().join("bad.yaml"), GOOD.replace("alice", "12345")).unwrap();
    let output = port.validate(folder.path(), &["-f", "bad.yaml", "-o", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        answer,
        serde_json::json!({"valid": false, "problems": [{
            "file": "bad.yaml", "document": 1, "line": 6, "object": "ChannelMembership default/support",
            "field": "spec.members[0]", "message": "12345 is a number: quote it, as \"12345\"", "judge": "apiServer",
        }]})
    );
    fs::write(folder.path().join("good.yaml"), GOOD).unwrap();
    let output = port.validate(folder.path(), &["-f", "good.yaml", "-o", "json"]);
    assert_eq!(output.status.code(), Some(0));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["objects"], serde_json::json!({"channelMemberships": 1, "configMaps": 0, "skipped": 0}));
}
