//! Which files are meant?

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use super::place::{Place, Problem};
use super::text::{self, Document};

/// The largest file that is read, in bytes: 64 MiB holds 60 ChannelMemberships with all 10,000 members that one can have.
pub const MAX_FILE_BYTES: u64 = 64 << 20;

/// The most documents that are read.
pub const MAX_DOCUMENTS: usize = 100_000;

/// The most files that one folder may bring.
pub const MAX_FILES: usize = 100_000;

/// What standard input is called in messages.
const STDIN: &str = "standard input";

/// How deep folders are followed.
const MAX_DEPTH: usize = 64;

/// Something that holds manifests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// A file, or all `*.yaml`, `*.yml` and `*.json` of a folder and the folders below it; hidden ones are left out.
    Path(PathBuf),
    /// Standard input.
    Stdin,
    /// A text that is at hand.
    Text {
        /// What messages call it.
        name: Arc<str>,
        /// YAML or JSON.
        text: Arc<str>,
    },
}

impl Input {
    /// As a whole.
    pub(super) fn place(&self) -> Place {
        Place::file(&match self {
            Self::Path(path) => name(path),
            Self::Stdin => STDIN.into(),
            Self::Text { name, .. } => Arc::clone(name),
        })
    }
}

impl FromStr for Input {
    type Err = std::convert::Infallible;

    /// `-` is standard input.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(if text == "-" { Self::Stdin } else { Self::Path(text.into()) })
    }
}

/// All documents of all inputs, one file at a time.
pub(super) fn documents(inputs: &[Input]) -> impl Iterator<Item = Result<Document, Problem>> {
    let mut seen = HashSet::new();
    inputs.iter().filter(move |input| seen.insert(*input)).flat_map(|input| -> Box<dyn Iterator<Item = _>> {
        match input {
            Input::Stdin => Box::new(read(&STDIN.into(), bytes(io::stdin().lock())).into_iter()),
            Input::Text { name, text } => Box::new(text::documents(name, text).into_iter()),
            Input::Path(path) => Box::new(files(path).into_iter().flat_map(|file| match file {
                Ok(path) => read(&name(&path), fs::File::open(&path).and_then(bytes)),
                Err(problem) => vec![Err(problem)],
            })),
        }
    })
}

fn name(path: &Path) -> Arc<str> {
    path.to_string_lossy().into()
}

fn refused(path: &Path, message: impl Into<String>) -> Problem {
    Problem::unreadable(Place::file(&name(path)), message)
}

/// The documents of a file.
fn read(file: &Arc<str>, bytes: io::Result<Option<Vec<u8>>>) -> Vec<Result<Document, Problem>> {
    let refused = |message: String| Problem::unreadable(Place::file(file), message);
    let text = match bytes {
        Ok(Some(bytes)) => text::decode(file, bytes),
        Ok(None) => Err(refused(format!("is larger than {} MiB: part it into several files", MAX_FILE_BYTES >> 20))),
        Err(error) => Err(refused(format!("failed to read: {error}"))),
    };
    text.map_or_else(|problem| vec![Err(problem)], |text| text::documents(file, &text))
}

/// All bytes, or none if they are too many.
fn bytes(from: impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    from.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= MAX_FILE_BYTES).then_some(bytes))
}

/// The file, or those of the folder, sorted.
fn files(path: &Path) -> Vec<Result<PathBuf, Problem>> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            vec![Err(refused(path, "there is no such file or folder"))]
        }
        Err(error) => vec![Err(refused(path, format!("failed to read: {error}")))],
        Ok(there) if there.is_dir() => {
            let mut found = Vec::new();
            let mut walked = HashSet::new();
            walk(path, 0, &mut walked, &mut found);
            if found.is_empty() {
                found.push(Err(refused(path, "no manifest is in this folder: no file ends in .yaml, .yml or .json")));
            }
            found
        }
        Ok(there) if there.is_file() && there.len() > MAX_FILE_BYTES => {
            let (size, most) = (there.len() >> 20, MAX_FILE_BYTES >> 20);
            vec![Err(refused(path, format!("is too large ({size} MiB, at most {most}): part it into several files")))]
        }
        Ok(_) => vec![Ok(path.to_owned())],
    }
}

fn walk(folder: &Path, depth: usize, walked: &mut HashSet<PathBuf>, found: &mut Vec<Result<PathBuf, Problem>>) {
    // A link may lead back to a folder that was seen already.
    let known = fs::canonicalize(folder).is_ok_and(|real| !walked.insert(real));
    if known || found.len() > MAX_FILES {
        return;
    }
    if depth > MAX_DEPTH {
        return found.push(Err(refused(folder, format!("is more than {MAX_DEPTH} folders deep: name it by itself"))));
    }
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut paths: Vec<PathBuf> = match entries {
        Ok(entries) => entries.iter().map(fs::DirEntry::path).collect(),
        Err(error) => return found.push(Err(refused(folder, format!("failed to read the folder: {error}")))),
    };
    paths.sort();
    for path in paths {
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if hidden {
            continue;
        }
        if path.is_dir() {
            walk(&path, depth + 1, walked, found);
        } else if path.extension().is_some_and(|end| ["yaml", "yml", "json"].iter().any(|known| end == *known)) {
            if found.len() == MAX_FILES {
                found.push(Err(refused(&path, format!("more than {MAX_FILES} files: check them in parts"))));
                return;
            }
            found.extend(files(&path));
        }
    }
}
