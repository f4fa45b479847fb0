//! The module finds the files that an input means and reads them.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use super::documents::{YamlDocument, decode_text, parse_documents};
use super::problem::{FilePosition, Problem};

/// The largest file that is read, in bytes. 64 MiB holds 60 ChannelMemberships with 10,000 members
/// each, the most that a resource can have.
pub const MAX_FILE_BYTES: u64 = 64 << 20;

/// The most documents that are read.
pub const MAX_DOCUMENTS: usize = 100_000;

/// The most files that are read from one folder.
const MAX_FILES: usize = 100_000;

/// The name of standard input in messages.
const STDIN: &str = "standard input";

/// The deepest nesting of folders that is followed.
const MAX_DEPTH: usize = 64;

/// A source of manifests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// A file; or a folder with all its `*.yaml`, `*.yml` and `*.json` files at any depth, without
    /// hidden files and folders.
    Path(PathBuf),
    /// Standard input.
    Stdin,
    /// A text in memory.
    Text {
        /// Its name in messages.
        name: Arc<str>,
        /// YAML or JSON.
        text: Arc<str>,
    },
}

impl Input {
    /// Returns the position of the input as a whole.
    pub(super) fn position(&self) -> FilePosition {
        FilePosition::whole_file(&match self {
            Self::Path(path) => display_name(path),
            Self::Stdin => STDIN.into(),
            Self::Text { name, .. } => Arc::clone(name),
        })
    }
}

impl FromStr for Input {
    type Err = std::convert::Infallible;

    /// Reads `-` as standard input, and any other text as a path.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(if text == "-" { Self::Stdin } else { Self::Path(text.into()) })
    }
}

/// Returns the documents of all inputs, one file at a time. An input that is given twice is read
/// once.
pub(super) fn read_documents(inputs: &[Input]) -> impl Iterator<Item = Result<YamlDocument, Problem>> {
    let mut seen = HashSet::new();
    inputs.iter().filter(move |input| seen.insert(*input)).flat_map(|input| -> Box<dyn Iterator<Item = _>> {
        match input {
            Input::Stdin => Box::new(read_file(&STDIN.into(), read_bytes(io::stdin().lock())).into_iter()),
            Input::Text { name, text } => Box::new(parse_documents(name, text).into_iter()),
            Input::Path(path) => Box::new(list_files(path).into_iter().flat_map(|file| match file {
                Ok(path) => read_file(&display_name(&path), fs::File::open(&path).and_then(read_bytes)),
                Err(problem) => vec![Err(problem)],
            })),
        }
    })
}

fn display_name(path: &Path) -> Arc<str> {
    path.to_string_lossy().into()
}

fn refuse<T>(path: &Path, message: impl Into<String>) -> Result<T, Problem> {
    Err(Problem::unreadable(FilePosition::whole_file(&display_name(path)), message))
}

/// Returns the documents of a file.
fn read_file(file: &Arc<str>, bytes: io::Result<Option<Vec<u8>>>) -> Vec<Result<YamlDocument, Problem>> {
    let refused = |message: String| Problem::unreadable(FilePosition::whole_file(file), message);
    let text = match bytes {
        Ok(Some(bytes)) => decode_text(file, bytes),
        Ok(None) => Err(refused(format!("is larger than {} MiB: split it into several files", MAX_FILE_BYTES >> 20))),
        Err(error) => Err(refused(format!("failed to read: {error}"))),
    };
    text.map_or_else(|problem| vec![Err(problem)], |text| parse_documents(file, &text))
}

/// Reads all bytes, or returns `None` if there are more than [`MAX_FILE_BYTES`].
fn read_bytes(from: impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    from.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= MAX_FILE_BYTES).then_some(bytes))
}

/// Returns the file itself, or the sorted files of the folder.
fn list_files(path: &Path) -> Vec<Result<PathBuf, Problem>> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            vec![refuse(path, "there is no such file or folder")]
        }
        Err(error) => vec![refuse(path, format!("failed to read: {error}"))],
        Ok(there) if there.is_dir() => {
            let mut found = Vec::new();
            let mut walked = HashSet::new();
            walk_folder(path, 0, &mut walked, &mut found);
            if found.is_empty() {
                found.push(refuse(path, "this folder holds no manifest: no file ends in .yaml, .yml or .json"));
            }
            found
        }
        Ok(there) if there.is_file() && there.len() > MAX_FILE_BYTES => {
            let (size, most) = (there.len() >> 20, MAX_FILE_BYTES >> 20);
            vec![refuse(path, format!("is too large ({size} MiB, at most {most}): split it into several files"))]
        }
        Ok(_) => vec![Ok(path.to_owned())],
    }
}

fn walk_folder(folder: &Path, depth: usize, walked: &mut HashSet<PathBuf>, found: &mut Vec<Result<PathBuf, Problem>>) {
    // A link may lead back to a folder that was already read.
    let known = fs::canonicalize(folder).is_ok_and(|real| !walked.insert(real));
    if known || found.len() > MAX_FILES {
        return;
    }
    if depth > MAX_DEPTH {
        return found
            .push(refuse(folder, format!("is more than {MAX_DEPTH} folders deep: give it as a path of its own")));
    }
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut paths: Vec<PathBuf> = match entries {
        Ok(entries) => entries.iter().map(fs::DirEntry::path).collect(),
        Err(error) => return found.push(refuse(folder, format!("failed to read the folder: {error}"))),
    };
    paths.sort();
    for path in paths {
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if hidden {
            continue;
        }
        if path.is_dir() {
            walk_folder(&path, depth + 1, walked, found);
        } else if path.extension().is_some_and(|end| ["yaml", "yml", "json"].iter().any(|known| end == *known)) {
            if found.len() == MAX_FILES {
                found.push(refuse(&path, format!("more than {MAX_FILES} files: check them in parts")));
                return;
            }
            found.extend(list_files(&path));
        }
    }
}
