//! Where does something stand, and what is wrong with it?

use std::fmt::{self, Write as _};
use std::sync::Arc;

use serde::Serialize;

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Place {
    /// The path as it was given or found, or `standard input`.
    pub file: Arc<str>,
    /// The document within the file, from 1; 0 for the file as a whole.
    pub document: usize,
    /// The line within the file, from 1; 0 for the file as a whole.
    pub line: usize,
}

impl Place {
    /// A file as a whole.
    pub(super) fn file(file: &Arc<str>) -> Self {
        Self { file: Arc::clone(file), document: 0, line: 0 }
    }

    /// Another line of the same document.
    pub(super) fn at(&self, line: usize) -> Self {
        Self { line, ..self.clone() }
    }
}

impl fmt::Display for Place {
    /// `team.yaml:12`, and from the second document on `team.yaml:12 (document 2)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, document, line } = self;
        match (line, document) {
            (0, _) => write!(f, "{file}"),
            (_, 0 | 1) => write!(f, "{file}:{line}"),
            _ => write!(f, "{file}:{line} (document {document})"),
        }
    }
}

/// Who refuses a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Judge {
    /// This command: it is no manifest, or not one alone.
    Reader,
    /// The API server, when it is applied.
    ApiServer,
    /// The operator, by a condition, once it is applied.
    Operator,
}

/// Something that is wrong with a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// The object, as `ChannelMembership care/support`, where one can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// The field, as `spec.members[3]`; empty for the whole.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
    /// What is wrong with which value, and what to write instead.
    pub message: String,
    /// Who refuses it.
    pub judge: Judge,
}

impl Problem {
    /// Something that keeps a file or document from being read at all.
    pub(super) fn unreadable(place: Place, message: impl Into<String>) -> Self {
        Self { place, object: None, field: String::new(), message: message.into(), judge: Judge::Reader }
    }
}

impl fmt::Display for Problem {
    /// `team.yaml:12: ChannelMembership care/support: spec.members[3]: …`, in one line that no terminal acts upon.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place.to_string();
        let parts = [Some(&*place), self.object.as_deref(), Some(&*self.field), Some(&*self.message)];
        let later = "the API server takes it, and the operator says so later";
        let text = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ");
        for letter in text.chars() {
            if letter.is_control() { write!(f, "{}", letter.escape_default())? } else { f.write_char(letter)? }
        }
        if self.judge == Judge::Operator { write!(f, " ({later})") } else { Ok(()) }
    }
}
