//! The image is the same with and without Docker, and its build context is complete.
//!
//! `tests/node.rs` tests that the image runs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says by a panic what is wrong")]

use std::fs;
use std::path::Path;
use std::process::Command;

/// Reads a file of the checkout.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let name = entry.unwrap().file_name();
            copy(&from.join(&name), &to.join(&name));
        }
    } else {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }
}

/// Returns the platform that the compiler builds for by default.
fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

#[test]
fn the_docker_context_is_enough_for_cargo_and_the_scripts() {
    let folder = tempfile::tempdir().unwrap();
    let ignore = read(".dockerignore");
    let given: Vec<_> = ignore.lines().filter_map(|line| line.strip_prefix('!')).collect();
    for path in &given {
        copy(Path::new(path), &folder.path().join(path));
    }
    // `fetch`, like a build and unlike `metadata`, fails if a target that Cargo.toml names has no
    // file. The crates are limited to this platform, because a build downloads no others: without
    // the limit, the test fails on a machine that has only just built this.
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["fetch", "--locked", "--offline", "--target", &host()]).current_dir(folder.path());
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let script = read("hack/image-root");
    for needed in script.lines().filter_map(|line| line.split_once("$here/")).map(|(_, rest)| rest) {
        let name = needed.split(['"', ' ', ')']).next().unwrap();
        let path = Path::new("hack").join(name);
        let path = path.strip_prefix("hack/..").unwrap_or(&path);
        assert!(given.iter().any(|given| path == Path::new(given)), "{} is not in .dockerignore", path.display());
    }
}

#[test]
fn with_and_without_docker_the_image_has_the_same_files_user_and_program() {
    let (dockerfile, script) = (read("Dockerfile"), read("hack/image"));
    for (docker, ours) in [
        ("RUN hack/image-root /image ", "hack/image-root"),
        ("COPY --from=build /image /\n", "\"$work/files\""),
        ("USER 65532:65532\n", "--user=65532:65532 "),
        ("ENTRYPOINT [\"/rollcall\"]\n", "--entrypoint=/rollcall "),
        ("image.title=\"rollcall\"", "image.title=rollcall\""),
        ("image.licenses=\"Apache-2.0\"", "image.licenses=Apache-2.0\""),
    ] {
        assert!(dockerfile.contains(docker), "the Dockerfile has no {docker:?}");
        assert!(
            script.contains(ours) || script.contains(&ours.replace("hack/", "$here/")),
            "hack/image has no {ours:?}"
        );
    }
    let last = dockerfile.rsplit("\nFROM ").next().unwrap();
    assert!(last.starts_with("scratch\n") && !last.contains("RUN "), "{last}");
}

#[test]
fn the_image_is_compiled_by_the_toolchain_of_the_checkout() {
    let toolchain = read("rust-toolchain.toml");
    let channel = toolchain.lines().find_map(|line| line.strip_prefix("channel = \"")).unwrap().trim_end_matches('"');
    let minor = channel.rsplit_once('.').unwrap().0;
    assert!(read("Dockerfile").contains(&format!(" rust:{minor}-bookworm AS build")), "{channel}");
}
