//! The Git repository that Flux and Argo CD read.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A copy of `examples/gitops/repository`, with the CRD in its folder `rollcall`.
pub struct Repository {
    folder: TempDir,
}

impl Repository {
    pub fn copy() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for (from, to) in [("examples/gitops/repository/channels", "channels"), ("crds", "rollcall")] {
            fs::create_dir(folder.path().join(to)).unwrap();
            for entry in fs::read_dir(root.join(from)).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_some_and(|extension| extension == "yaml") {
                    fs::copy(&path, folder.path().join(to).join(path.file_name().unwrap())).unwrap();
                }
            }
        }
        Self { folder }
    }

    /// Returns its folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Replaces a text that occurs once in a file.
    #[track_caller]
    pub fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.matches(from).count(), 1, "{file}: {from:?}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    /// Deletes a file.
    pub fn delete(&self, file: &str) {
        fs::remove_file(self.path().join(file)).unwrap();
    }

    /// Returns all files as the archive that Flux's source-controller would make.
    pub fn archive(&self) -> Vec<u8> {
        let output = Command::new("tar")
            .args(["--create", "--gzip", "--exclude=.git", "--directory"])
            .arg(self.path())
            .arg(".")
            .output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// Commits all files to the branch `main`, and returns the commit.
    pub fn commit(&self) -> String {
        if !self.path().join(".git").exists() {
            self.git(&["init", "--quiet", "--initial-branch=main"]);
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message=change"]);
        self.git(&["rev-parse", "HEAD"]).trim().to_owned()
    }

    /// Returns its URL for git.
    pub fn url(&self) -> String {
        format!("file://{}", self.path().display())
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(arguments)
            .current_dir(self.path())
            // The settings of the current user are not read.
            .env("HOME", self.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_NAME"), "Test")))
            .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_EMAIL"), "test@example.com")))
            .output()
            .unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Returns the folder of the pinned programs. Builds the missing ones of these.
pub fn tools(programs: &[&str]) -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("hack/control-plane-tools");
    let found = Command::new(script).args(programs).stderr(std::process::Stdio::inherit()).output().unwrap();
    assert!(found.status.success(), "failed to find or build {programs:?}");
    PathBuf::from(String::from_utf8(found.stdout).unwrap().trim())
}
