//! `--grants`: what does the file say just now?
//!
//! It is looked at whenever something is to be done. A file that went bad grants nothing: nobody could say what it meant to take back.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

use crate::membership::grants::{GrantError, Grants};

/// How often the file is read though nothing was to be done: those who wait for a grant are looked at again then.
const EVERY: Duration = Duration::from_secs(2);

/// The longest file that is read, in bytes; a ConfigMap holds as much.
const MAX_BYTES: u64 = 1 << 20;

/// Why a file grants nothing.
#[derive(Debug, thiserror::Error)]
pub enum GrantsFileError {
    /// It cannot be read.
    #[error("failed to read the grants of {0}: {1}")]
    Unreadable(PathBuf, io::Error),
    /// It is longer than any that is meant.
    #[error("failed to read the grants of {0}: it is longer than {MAX_BYTES} bytes")]
    TooLong(PathBuf),
    /// It is no list of grants.
    #[error("failed to read the grants of {0}: {1}")]
    NoGrants(PathBuf, String),
    /// One of them cannot be meant so.
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
    /// By which a change is noticed: when it was written, how long it is, which file it is.
    stamp: Option<Stamp>,
    grants: Arc<Grants>,
    /// What was said of it last, so that it is said once.
    complaint: Option<String>,
}

type Stamp = (i64, i64, u64, u64);

impl GrantsFile {
    /// Reads it. Here, at the start, anything wrong is an error.
    pub fn open(path: &Path) -> Result<Self, GrantsFileError> {
        let stamp = stamp(path);
        let grants = Arc::new(read(path)?);
        Ok(Self { path: path.to_owned(), last: Mutex::new(Last { stamp, grants, complaint: None }) })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it grants now.
    pub fn current_grants(&self) -> Arc<Grants> {
        let stamp = stamp(&self.path);
        let mut last = self.lock();
        if stamp.is_none() || last.stamp != stamp {
            last.stamp = stamp;
            last.take_in(&self.path);
        }
        Arc::clone(&last.grants)
    }

    /// Calls `changed` whenever something else is granted than before; for ever.
    pub async fn watch_changes(&self, changed: impl Fn()) {
        let mut before = self.current_grants();
        loop {
            sleep(EVERY).await;
            let now = {
                // Read whatever its stamp: one that was written twice in an instant may look the same.
                let mut last = self.lock();
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

    /// A poisoned lock is taken all the same: at worst the file is read once more.
    fn lock(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn what_the_file_says_holds_at_once_and_a_file_that_went_bad_grants_nothing() {
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
