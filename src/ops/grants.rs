//! `--grants`: the current content of the grants file.
//!
//! The file is checked before every effect. A file that became invalid grants nothing, because it
//! may have been meant to withdraw any grant.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::sleep;

use crate::membership::grants::{GrantError, Grants};

/// The interval at which the file is read in any case, so that resources that wait for a grant are
/// reconciled soon.
const EVERY: Duration = Duration::from_secs(2);

/// The maximum size of the file, in bytes; a ConfigMap holds as much.
const MAX_BYTES: u64 = 1 << 20;

/// The reason why a file grants nothing.
#[derive(Debug, thiserror::Error)]
pub enum GrantsFileError {
    /// The file cannot be read.
    #[error("failed to read the grants of {0}: {1}")]
    Unreadable(PathBuf, io::Error),
    /// The file is too long.
    #[error("failed to read the grants of {0}: it is longer than {MAX_BYTES} bytes")]
    TooLong(PathBuf),
    /// The file is not a list of grants.
    #[error("failed to read the grants of {0}: {1}")]
    NoGrants(PathBuf, String),
    /// A grant is invalid.
    #[error("failed to read the grants of {0}: {1}")]
    Wrong(PathBuf, GrantError),
}

/// A file of grants.
#[derive(Debug)]
pub struct GrantsFile {
    path: PathBuf,
    last: Mutex<Last>,
}

#[derive(Debug)]
struct Last {
    /// Shows a change: the time of writing, the size and the inode.
    stamp: Option<Stamp>,
    grants: Arc<Grants>,
    /// The last error that was logged, so that it is logged once.
    complaint: Option<String>,
}

type Stamp = (i64, i64, u64, u64);

impl GrantsFile {
    /// Reads the file. An invalid file at the start is an error.
    pub fn open(path: &Path) -> Result<Self, GrantsFileError> {
        let stamp = stamp(path);
        let grants = Arc::new(read(path)?);
        Ok(Self { path: path.to_owned(), last: Mutex::new(Last { stamp, grants, complaint: None }) })
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the current grants.
    pub fn current_grants(&self) -> Arc<Grants> {
        let stamp = stamp(&self.path);
        let mut last = self.last.lock();
        if stamp.is_none() || last.stamp != stamp {
            last.stamp = stamp;
            last.take_in(&self.path);
        }
        Arc::clone(&last.grants)
    }

    /// Calls `changed` after every change of the grants. Never ends.
    pub async fn watch_changes(&self, changed: impl Fn()) {
        let mut before = self.current_grants();
        loop {
            sleep(EVERY).await;
            let now = {
                // The file is read whatever its stamp, because a file that was written twice in an
                // instant may have the same stamp.
                let mut last = self.last.lock();
                last.take_in(&self.path);
                Arc::clone(&last.grants)
            };
            if now != before {
                tracing::info!(grants = now.len(), "the grants have changed");
                before = now;
                changed();
            }
        }
    }
}

impl Last {
    fn take_in(&mut self, path: &Path) {
        match read(path) {
            Ok(grants) => (self.grants, self.complaint) = (Arc::new(grants), None),
            Err(error) => {
                let complaint = error.to_string();
                if self.complaint.as_ref() != Some(&complaint) {
                    tracing::error!("{complaint}; until it is mended nothing is granted");
                }
                (self.grants, self.complaint) = (Arc::default(), Some(complaint));
            }
        }
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let file = fs::metadata(path).ok()?;
    Some((file.mtime(), file.mtime_nsec(), file.len(), file.ino()))
}

fn read(path: &Path) -> Result<Grants, GrantsFileError> {
    let unreadable = |error| GrantsFileError::Unreadable(path.to_owned(), error);
    if fs::metadata(path).map_err(unreadable)?.len() > MAX_BYTES {
        return Err(GrantsFileError::TooLong(path.to_owned()));
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    let no_grants = |error: serde_yaml::Error| {
        let words = error.to_string();
        GrantsFileError::NoGrants(path.to_owned(), words.lines().next().unwrap_or_default().to_owned())
    };
    let grants: Grants = serde_yaml::from_str(&text).map_err(no_grants)?;
    grants.check().map_err(|error| GrantsFileError::Wrong(path.to_owned(), error))?;
    Ok(grants)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const ONE: &str = "[{namespaces: [a], appInstances: ['arn:aws:chime:us-east-1:1:app-instance/1f']}]";

    #[test]
    fn file_takes_effect_at_once_and_an_invalid_file_grants_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grants.yaml");
        assert!(matches!(GrantsFile::open(&path), Err(GrantsFileError::Unreadable(..))));
        fs::write(&path, "[{namespaces: [a]}]").unwrap();
        assert!(matches!(GrantsFile::open(&path), Err(GrantsFileError::Wrong(..))));
        fs::write(&path, ONE).unwrap();
        let file = GrantsFile::open(&path).unwrap();
        assert_eq!(file.current_grants().len(), 1);
        for (text, granted) in [("[]", 0), (ONE, 1), ("nonsense: {", 0), (ONE, 1), ("", 0), (ONE, 1)] {
            fs::write(&path, text).unwrap();
            assert_eq!(file.current_grants().len(), granted, "{text}");
        }
        fs::remove_file(&path).unwrap();
        assert!(file.current_grants().is_empty());
        fs::write(&path, format!("{ONE}{}", " ".repeat(1 << 20))).unwrap();
        assert!(file.current_grants().is_empty(), "nobody means a file so long");
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grants.yaml");
        fs::write(&path, "[]").unwrap();
        let (file, told) = (Arc::new(GrantsFile::open(&path).unwrap()), Arc::<AtomicUsize>::default());
        let (watched, count) = (Arc::clone(&file), Arc::clone(&told));
        tokio::spawn(async move { watched.watch_changes(|| _ = count.fetch_add(1, Ordering::Relaxed)).await });
        sleep(EVERY * 5).await;
        assert_eq!(told.load(Ordering::Relaxed), 0);
        fs::write(&path, ONE).unwrap();
        sleep(EVERY * 5).await;
        assert_eq!(told.load(Ordering::Relaxed), 1);
    }
}
