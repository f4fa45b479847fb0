//! The state file on disk, written so that no state is ever lost.
//!
//! Its first line names the format and the digest of the rest. It is replaced as a whole: a new
//! file is written beside it, synced and renamed, and its folder is synced. A reader, or a process
//! after a kill, therefore finds one complete state. The writer holds a lock on the file itself,
//! and on the new file before the rename.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::manifests::MAX_FILE_BYTES;

/// The beginning of the first line.
const MARK: &str = "# Written by rollcall apply, not to be edited: ";

/// The format of a state. It goes up when an older version of Rollcall would misread it or lose a
/// part of it.
pub const FORMAT: u32 = 1;

/// Its owner alone may read and write the file, because it names members.
const FILE_MODE: u32 = 0o600;

/// How often the file is opened again if it was replaced between opening and locking it.
const MAX_TRIES: usize = 100;

/// The reason that a state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another process writes it.
    #[error("another rollcall apply works with the state {}: run this command again after it has ended", .0.display())]
    Locked(PathBuf),
    /// The file cannot be read or written.
    #[error("failed to {what} the state {}: {source}", .path.display())]
    Io {
        /// The operation that failed.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The file was changed since it was written.
    #[error(
        "the state {} is not as rollcall apply wrote it: it was cut short or edited. Replace it by a copy; or, if the \
         edit is intended, delete its first line",
        .0.display()
    )]
    Damaged(PathBuf),
    /// A later version wrote it.
    #[error("the state {} is of format {format}, and this rollcall knows {FORMAT}: use the version that wrote it", .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The format that the file names.
        format: String,
    },
    /// The file is too large to be read, or would be.
    #[error(
        "the state {} of {bytes} bytes is too large, at most {MAX_FILE_BYTES} are read: apply the manifests in parts, \
         each with a state of its own",
        .path.display()
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size, or the size it would have.
        bytes: u64,
    },
}

/// A state on disk that this process alone writes while the value lives.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    /// The locked file at `path`.
    lock: File,
}

impl StateFile {
    /// Opens and locks the state at `path`, and creates it if it is absent.
    ///
    /// # Errors
    /// Fails if another process holds it, if it is damaged, of another format or unreadable, or if
    /// its folder cannot be written to.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let path = resolve_link(path).map_err(io_error("find", path))?;
        let file = Self::lock_file(&path)?;
        read(&path, &file.lock)?;
        // A write must be possible before anything is done that has to be recorded.
        let successor = successor(&path);
        drop(create(&successor).map_err(io_error("write", &path))?);
        fs::remove_file(&successor).map_err(io_error("write", &path))?;
        Ok(file)
    }

    /// Returns whether there is a state at `path` that could be opened, without a change to it.
    ///
    /// # Errors
    /// Fails if it is damaged, of another format, or unreadable.
    pub fn exists(path: &Path) -> Result<bool, StateError> {
        match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(io_error("read", path)(error)),
            Ok(file) => read(path, &file).map(|_| true),
        }
    }

    /// Returns the path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces the state by this text. When the call returns, the text is on disk. If it fails,
    /// the old state is still there.
    ///
    /// # Errors
    /// Fails if the text is too large or cannot be written.
    pub fn replace(&mut self, text: &[Arc<str>]) -> Result<(), StateError> {
        let bytes = text.iter().map(|part| part.len() as u64).sum::<u64>() + first_line("").len() as u64 + 64;
        if bytes > MAX_FILE_BYTES {
            return Err(StateError::TooLarge { path: self.path.clone(), bytes });
        }
        let successor = successor(&self.path);
        let written = self.replace_file(&successor, text);
        if written.is_err() {
            // The new file may be what fills the disk.
            let _ = fs::remove_file(&successor);
        }
        written.map_err(io_error("write", &self.path))
    }

    fn replace_file(&mut self, successor: &Path, text: &[Arc<str>]) -> io::Result<()> {
        let file = write_new(successor, text)?;
        fs::rename(successor, &self.path)?;
        // The old file is unlocked, and no process finds it any more.
        self.lock = file;
        File::open(folder(&self.path))?.sync_all()
    }

    fn lock_file(path: &Path) -> Result<Self, StateError> {
        for _ in 0..MAX_TRIES {
            let lock = match File::open(path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    create_empty(path).map_err(io_error("create", path))?;
                    continue;
                }
                Err(error) => return Err(io_error("read", path)(error)),
            };
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(StateError::Locked(path.to_owned())),
                Err(TryLockError::Error(error)) => return Err(io_error("lock", path)(error)),
            }
            // Another process may have replaced the file since it was opened.
            if is_same_file(path, &lock) {
                return Ok(Self { path: path.to_owned(), lock });
            }
        }
        Err(StateError::Locked(path.to_owned()))
    }
}

/// Returns whether the path leads to this file.
fn is_same_file(path: &Path, file: &File) -> bool {
    let both = fs::metadata(path).and_then(|there| Ok((there, file.metadata()?)));
    both.is_ok_and(|(there, it)| (there.dev(), there.ino()) == (it.dev(), it.ino()))
}

fn io_error<'a>(what: &'static str, path: &'a Path) -> impl Fn(io::Error) -> StateError + 'a {
    move |source| StateError::Io { what, path: path.to_owned(), source }
}

/// Returns the path behind a link, so that the link stays one.
fn resolve_link(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let name = path.file_name().ok_or_else(|| io::Error::other("it is not a file"))?;
            Ok(fs::canonicalize(folder(path))?.join(name))
        }
        found => found,
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Returns the path of the new file. The lock on the state covers it, so an old one was left by a
/// killed process.
fn successor(path: &Path) -> PathBuf {
    beside(path, "new")
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{end}"))
}

fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)
}

/// Creates a file with this text, locked and on disk.
fn write_new(path: &Path, text: &[Arc<str>]) -> io::Result<File> {
    let file = create(path)?;
    file.lock()?;
    let mut writer = BufWriter::new(&file);
    writer.write_all(first_line(&digest(text.iter().map(|part| &**part))).as_bytes())?;
    text.iter().try_for_each(|part| writer.write_all(part.as_bytes()))?;
    writer.flush()?;
    drop(writer);
    file.sync_all()?;
    Ok(file)
}

/// Creates an empty state if there is none. If several processes do so at once, one succeeds.
fn create_empty(path: &Path) -> io::Result<()> {
    let new = beside(path, &format!("{:016x}", fastrand::u64(..)));
    let begun = write_new(&new, &[Arc::from(super::state_text::list(false).as_str())])
        .and_then(|_| fs::hard_link(&new, path))
        .or_else(|error| if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) });
    let _ = fs::remove_file(&new);
    begun
}

/// Reads the state, if it is complete.
fn read(path: &Path, mut file: &File) -> Result<String, StateError> {
    let bytes = file.metadata().map_err(io_error("read", path))?.len();
    if bytes > MAX_FILE_BYTES {
        return Err(StateError::TooLarge { path: path.to_owned(), bytes });
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(io_error("read", path))?;
    check(path, &text)?;
    Ok(text)
}

fn first_line(digest: &str) -> String {
    format!("{MARK}format {FORMAT}, rollcall {}, sha256 {digest}\n", env!("CARGO_PKG_VERSION"))
}

fn digest<'a>(text: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    text.into_iter().for_each(|part| hash.update(part));
    let digest = hash.finalize();
    let (first, rest) = digest.split_at(16);
    let half = |bytes: &[u8]| u128::from_be_bytes(bytes.try_into().unwrap_or_default());
    format!("{:032x}{:032x}", half(first), half(rest))
}

/// Checks that the text is complete and of a known format. A file without our first line was put
/// there by a user.
fn check(path: &Path, text: &str) -> Result<(), StateError> {
    let damaged = || StateError::Damaged(path.to_owned());
    let Some(rest) = text.strip_prefix(MARK) else {
        // The first line was cut short, or the file is empty.
        return if MARK.starts_with(text) || text.starts_with("# Written by rollcall") {
            Err(damaged())
        } else {
            Ok(())
        };
    };
    let (line, body) = rest.split_once('\n').ok_or_else(damaged)?;
    let mut fields = line.split(", ");
    let mut field = |name: &str| fields.next().and_then(|field| field.strip_prefix(name)).ok_or_else(damaged);
    let format = field("format ")?;
    if format != FORMAT.to_string() {
        return Err(StateError::Format { path: path.to_owned(), format: format.to_owned() });
    }
    field("rollcall ")?;
    if field("sha256 ")? == digest([body]) { Ok(()) } else { Err(damaged()) }
}

#[cfg(test)]
mod tests;
