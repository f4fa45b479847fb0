//! How does a state stand on disk, so that nothing is ever lost of it?
//!
//! Its first line says what it is and what the rest must hash to. It is replaced as a whole: written beside, synced, renamed, its folder synced;
//! so whoever reads it, and whoever is killed, finds one state or the next and nothing in between. Whoever writes it holds a lock on
//! the file itself, and on its successor before that takes its place.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::manifests::MAX_FILE_BYTES;

/// What the first line begins with.
const MARK: &str = "# Written by rollcall apply, not to be edited: ";

/// The format of a state. It goes up when an older version of Rollcall would read it wrong, or lose something of it.
pub const FORMAT: u32 = 1;

/// Only its owner reads and writes it: it names people.
const MODE: u32 = 0o600;

/// Whoever finds the file replaced between opening and locking it looks again, so often.
const MAX_TRIES: usize = 100;

/// Why a state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another process writes it.
    #[error("another rollcall apply works with the state {}: run this one when that has ended", .0.display())]
    Locked(PathBuf),
    /// It cannot be read or written.
    #[error("failed to {what} the state {}: {source}", .path.display())]
    Io {
        /// What failed.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not as it was written.
    #[error(
        "the state {} is not as rollcall apply wrote it: it was cut short or edited. Put a copy in its place; or, if \
         what stands there is meant, take its first line out",
        .0.display()
    )]
    Damaged(PathBuf),
    /// A later version wrote it.
    #[error("the state {} is of format {format}, and this rollcall knows {FORMAT}: use the version that wrote it", .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format, as it is written there.
        format: String,
    },
    /// It cannot be read, or could not be read again.
    #[error(
        "the state {} of {bytes} bytes is too large, at most {MAX_FILE_BYTES} are read: apply the manifests in parts, each with \
         a state of its own",
        .path.display()
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// How large it is, or would be.
        bytes: u64,
    },
}

/// A state on disk that this process alone writes, for as long as this lives.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    /// Locked; it stands at `path`.
    lock: File,
}

impl StateFile {
    /// Takes hold of the state at `path`, which is made if it is not there.
    ///
    /// # Errors
    /// If another process holds it, if it is damaged, of another format, or cannot be read, or if its folder cannot be written to.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let path = whole(path).map_err(io_error("find", path))?;
        let file = Self::hold(&path)?;
        read(&path, &file.lock)?;
        // Before anything is done that would have to be recorded: can it be?
        let successor = successor(&path);
        drop(create(&successor).map_err(io_error("write", &path))?);
        fs::remove_file(&successor).map_err(io_error("write", &path))?;
        Ok(file)
    }

    /// Looks whether there is a state at `path` that could be opened, and leaves it alone.
    ///
    /// # Errors
    /// If it is damaged, of another format, or cannot be read.
    pub fn look(path: &Path) -> Result<bool, StateError> {
        match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(io_error("read", path)(error)),
            Ok(file) => read(path, &file).map(|_| true),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts this text in its place; when this returns, it is on disk. If it fails, what was there is still there.
    ///
    /// # Errors
    /// If it is too large, or cannot be written.
    pub fn replace(&mut self, text: &[Arc<str>]) -> Result<(), StateError> {
        let bytes = text.iter().map(|part| part.len() as u64).sum::<u64>() + first_line("").len() as u64 + 64;
        if bytes > MAX_FILE_BYTES {
            return Err(StateError::TooLarge { path: self.path.clone(), bytes });
        }
        let successor = successor(&self.path);
        let written = self.succeed(&successor, text);
        if written.is_err() {
            // It may be what fills the disk.
            let _ = fs::remove_file(&successor);
        }
        written.map_err(io_error("write", &self.path))
    }

    fn succeed(&mut self, successor: &Path, text: &[Arc<str>]) -> io::Result<()> {
        let file = write_new(successor, text)?;
        fs::rename(successor, &self.path)?;
        // The one before is given up, and nobody finds that any more.
        self.lock = file;
        File::open(folder(&self.path))?.sync_all()
    }

    fn hold(path: &Path) -> Result<Self, StateError> {
        for _ in 0..MAX_TRIES {
            let lock = match File::open(path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    begin(path).map_err(io_error("create", path))?;
                    continue;
                }
                Err(error) => return Err(io_error("read", path)(error)),
            };
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(StateError::Locked(path.to_owned())),
                Err(TryLockError::Error(error)) => return Err(io_error("lock", path)(error)),
            }
            // Its successor may have taken its place since it was opened.
            if stands(path, &lock) {
                return Ok(Self { path: path.to_owned(), lock });
            }
        }
        Err(StateError::Locked(path.to_owned()))
    }
}

/// Whether it is this file that stands there.
fn stands(path: &Path, file: &File) -> bool {
    let both = fs::metadata(path).and_then(|there| Ok((there, file.metadata()?)));
    both.is_ok_and(|(there, it)| (there.dev(), there.ino()) == (it.dev(), it.ino()))
}

fn io_error<'a>(what: &'static str, path: &'a Path) -> impl Fn(io::Error) -> StateError + 'a {
    move |source| StateError::Io { what, path: path.to_owned(), source }
}

/// Where the file is really, so that a link to it stays one.
fn whole(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let name = path.file_name().ok_or_else(|| io::Error::other("it is no file"))?;
            Ok(fs::canonicalize(folder(path))?.join(name))
        }
        found => found,
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What is about to take the place of the file. Whoever holds that writes this, so what stands there is left over from one that was killed.
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
    OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)
}

/// A new file with this text, locked and on disk.
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

/// A state of nobody, if none is there yet. Of several processes that begin one at once, one does.
fn begin(path: &Path) -> io::Result<()> {
    let new = beside(path, &format!("{:016x}", fastrand::u64(..)));
    let begun = write_new(&new, &[Arc::from(super::state_text::list(false).as_str())])
        .and_then(|_| fs::hard_link(&new, path))
        .or_else(|error| if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) });
    let _ = fs::remove_file(&new);
    begun
}

/// What stands there, if that is whole.
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

/// Whether the text is whole and of a format that is known. One without our first line is what somebody put there.
fn check(path: &Path, text: &str) -> Result<(), StateError> {
    let damaged = || StateError::Damaged(path.to_owned());
    let Some(rest) = text.strip_prefix(MARK) else {
        // A first line that was cut short, or nothing at all.
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
