//! The structure of the sources: each layer knows only layers below it, and no files import each
//! other in a circle.

#![expect(clippy::expect_used, reason = "a test that cannot read the sources has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The layers from the top down, as `src/lib.rs` lists them.
const LAYERS: [&str; 10] =
    ["cli", "controller", "ops", "offline", "manifests", "engine", "simulator", "chime", "membership", "api"];

/// Crates that a layer must not name: pure layers stay pure, and one layer alone calls the service.
const CLOSED: [(&str, &[&str]); 3] = [
    ("membership", &["tokio", "kube", "aws_sdk_chimesdkmessaging", "aws_config", "fastrand"]),
    ("engine", &["kube", "aws_sdk_chimesdkmessaging", "aws_config"]),
    ("controller", &["aws_sdk_chimesdkmessaging", "aws_config"]),
];

/// Calls that must stand in exactly one file, because everything that a removal waits for leads
/// there.
const SINGLE_CALLS: [(&str, &str); 4] = [
    // The one call of the service that removes takes a value that only the guard makes.
    ("delete_channel_membership(", "src/chime/sdk/calls.rs"),
    // The guard admits removals only by an uncached read of the cluster.
    ("removal::admit(", "src/engine/remove.rs"),
    // A removal is deleted only if it is recorded in the status.
    (".delete_membership(permit", "src/engine/remove.rs"),
    // A member is added only if it is recorded in the status.
    ("client.batch_create(", "src/engine/add.rs"),
];

/// Lists the source files below a folder. Files of tests are left out: a fake may need a runtime,
/// and a test may look up.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("src can be read") {
        let path = entry.expect("src can be read").path();
        if path.file_stem().is_some_and(|stem| stem == "tests") {
            continue;
        }
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Reads a source without its comments and without the test module at its end.
fn code_of(file: &Path) -> String {
    let text = fs::read_to_string(file).expect("a source can be read");
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Returns the module of a file: `src/engine/add.rs` is `engine::add`.
fn module_of(file: &Path) -> Vec<String> {
    let path = file.strip_prefix("src").expect("a source is below src").with_extension("");
    path.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect()
}

/// Returns the layer of a file; `main.rs` and `lib.rs` belong to none.
fn layer_of(file: &Path) -> Option<String> {
    module_of(file).into_iter().next().filter(|name| LAYERS.contains(&name.as_str()))
}

/// Splits what follows `use` into its single paths: `a::{b, c::{d, e}}` is `a::b`, `a::c::d` and
/// `a::c::e`.
fn split_paths(tree: &str) -> Vec<String> {
    let (Some(open), Some(close)) = (tree.find('{'), tree.rfind('}')) else {
        return vec![tree.split(" as ").next().unwrap_or_default().trim().to_owned()];
    };
    let (prefix, mut depth, mut parts) = (tree[..open].trim(), 0, vec![String::new()]);
    for character in tree[open + 1..close].chars() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().expect("there is a first part").push(character);
    }
    let parts = parts.iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(|part| split_paths(part)).map(|path| format!("{prefix}{path}")).collect()
}

/// Lists the modules that a file imports by `use`, as absolute paths within the crate.
fn imports_of(file: &Path) -> Vec<Vec<String>> {
    let (code, module) = (code_of(file), module_of(file));
    let mut found = Vec::new();
    for statement in code.split(';') {
        let Some(at) = statement.rfind("use ") else { continue };
        let before = statement[..at].trim_end();
        if !(before.is_empty() || before.ends_with(['}', '{', ')']) || before.ends_with("pub") || before.ends_with(']'))
        {
            continue;
        }
        for path in split_paths(&statement[at + 4..]) {
            let parts: Vec<&str> = path.trim().split("::").map(str::trim).collect();
            let ups = parts.iter().take_while(|part| **part == "super").count();
            let absolute: Vec<String> = match parts.first() {
                Some(&"crate") => parts[1..].iter().map(ToString::to_string).collect(),
                Some(&"super") => {
                    let base = module.len().saturating_sub(ups);
                    module[..base].iter().cloned().chain(parts[ups..].iter().map(ToString::to_string)).collect()
                }
                Some(&"self") => module.iter().cloned().chain(parts[1..].iter().map(ToString::to_string)).collect(),
                _ => continue,
            };
            found.push(absolute);
        }
    }
    found
}

/// Returns which files each file imports. A module file that only declares its modules and
/// re-exports their names is no part of a circle with them, so imports of an own descendant do not
/// count.
fn imported_files() -> BTreeMap<PathBuf, BTreeSet<PathBuf>> {
    let files = sources(Path::new("src"));
    let by_module: BTreeMap<Vec<String>, &PathBuf> = files.iter().map(|file| (module_of(file), file)).collect();
    let mut imported = BTreeMap::new();
    for file in &files {
        let module = module_of(file);
        let targets = imports_of(file).into_iter().filter_map(|path| {
            let longest = (1..=path.len()).rev().find_map(|length| by_module.get(&path[..length]));
            longest.copied().filter(|target| *target != file && !module_of(target).starts_with(&module))
        });
        imported.insert(file.clone(), targets.cloned().collect());
    }
    imported
}

/// Finds files from which a chain of imports leads back to themselves.
fn circles(imported: &BTreeMap<PathBuf, BTreeSet<PathBuf>>) -> Vec<String> {
    let mut found = Vec::new();
    for start in imported.keys() {
        let (mut open, mut seen) = (vec![start], BTreeSet::new());
        while let Some(file) = open.pop() {
            for next in imported.get(file).into_iter().flatten() {
                if next == start {
                    found.push(format!("{} is imported by {}, which it imports", start.display(), file.display()));
                } else if seen.insert(next) {
                    open.push(next);
                }
            }
        }
    }
    found
}

#[test]
fn layer_knows_only_layers_below_it() {
    let mut faults = Vec::new();
    for file in sources(Path::new("src")) {
        let Some(layer) = layer_of(&file) else { continue };
        let height = LAYERS.iter().position(|other| *other == layer);
        let code = code_of(&file);
        for (at, _) in code.match_indices("crate::") {
            let rest = &code[at + "crate::".len()..];
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let known = LAYERS.iter().position(|other| *other == name);
            if known < height || known.is_none() {
                faults.push(format!("{}: the layer {layer} must not know {name:?}", file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn files_import_each_other_in_no_circle() {
    let found = circles(&imported_files());
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn closed_layers_name_no_crate_that_would_open_them() {
    let mut faults = Vec::new();
    for file in sources(Path::new("src")) {
        let Some(layer) = layer_of(&file) else { continue };
        let code = code_of(&file);
        let names_crate = |name: &str| {
            let own = |at: usize| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
            code.match_indices(&format!("{name}::")).any(|(at, _)| own(at))
        };
        let closed = CLOSED.iter().filter(|(closed, _)| *closed == layer).flat_map(|(_, names)| *names);
        for name in closed.filter(|name| names_crate(name)) {
            faults.push(format!("{}: the layer {layer} must not use {name}", file.display()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn guarded_call_stands_in_one_file() {
    for (call, place) in SINGLE_CALLS {
        let files = sources(Path::new("src"));
        let mut places: Vec<_> = files.into_iter().filter(|file| code_of(file).contains(call)).collect();
        // The client forwards calls to the port, and the port to the SDK.
        places.retain(|file| !(file.starts_with("src/chime") && place.starts_with("src/engine")));
        assert_eq!(places, [Path::new(place)], "{call}");
    }
}

#[test]
fn crate_documentation_lists_the_layers_in_order() {
    let map = fs::read_to_string("src/lib.rs").expect("a source can be read");
    let rows = map.lines().filter_map(|line| line.strip_prefix("//! | [`"));
    let listed: Vec<&str> = rows.filter_map(|row| row.split('`').next()).collect();
    assert_eq!(listed, LAYERS);
}

#[test]
fn check_finds_circles_and_nested_imports() {
    assert_eq!(split_paths("crate::engine::Engine"), ["crate::engine::Engine"]);
    assert_eq!(
        split_paths("crate::{api::Reason, chime::{port, client::Client}}"),
        ["crate::api::Reason", "crate::chime::port", "crate::chime::client::Client"]
    );
    let imports = |pairs: &[(&str, &str)]| {
        let mut imported = BTreeMap::<PathBuf, BTreeSet<PathBuf>>::new();
        for (from, to) in pairs {
            imported.entry(from.into()).or_default().insert(to.into());
        }
        imported
    };
    assert!(circles(&imports(&[("a", "b"), ("b", "c"), ("a", "c")])).is_empty());
    assert_eq!(circles(&imports(&[("a", "b"), ("b", "c"), ("c", "a")])).len(), 3);
}
