//! A problem says what is wrong with a manifest, and in which line.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use serde::Serialize;

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct FilePosition {
    /// The path as it was given or found, or `standard input`.
    pub file: Arc<str>,
    /// The document within the file, from 1; 0 for the file as a whole.
    pub document: usize,
    /// The line within the file, from 1; 0 for the file as a whole.
    pub line: usize,
}

impl FilePosition {
    /// Returns the position of a file as a whole.
    pub(super) fn whole_file(file: &Arc<str>) -> Self {
        Self { file: Arc::clone(file), document: 0, line: 0 }
    }

    /// Returns another line of the same document.
    pub(super) fn at_line(&self, line: usize) -> Self {
        Self { line, ..self.clone() }
    }
}

impl fmt::Display for FilePosition {
    /// Writes `team.yaml:12`, and from the second document on `team.yaml:12 (document 2)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, document, line } = self;
        match (line, document) {
            (0, _) => write!(f, "{file}"),
            (_, 0 | 1) => write!(f, "{file}:{line}"),
            _ => write!(f, "{file}:{line} (document {document})"),
        }
    }
}

/// The part of the system that refuses a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Judge {
    /// This command: the text is not a manifest, or conflicts with another manifest.
    Reader,
    /// The API server, when the manifest is applied.
    ApiServer,
    /// The operator, by a condition, after the manifest is applied.
    Operator,
}

/// Something that is wrong with a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The line.
    #[serde(flatten)]
    pub position: FilePosition,
    /// The object, as `ChannelMembership care/support`, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// The field, as `spec.members[3]`; empty for the whole object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
    /// The wrong value, why it is wrong, and what to write instead.
    pub message: String,
    /// The part of the system that refuses it.
    pub judge: Judge,
}

impl Problem {
    /// Returns a problem that prevents a file or document from being read.
    pub(super) fn unreadable(position: FilePosition, message: impl Into<String>) -> Self {
        Self { position, object: None, field: String::new(), message: message.into(), judge: Judge::Reader }
    }
}

impl fmt::Display for Problem {
    /// Writes `team.yaml:12: ChannelMembership care/support: spec.members[3]: …` in one line,
    /// without control characters that a terminal would act upon.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let position = self.position.to_string();
        let parts = [Some(&*position), self.object.as_deref(), Some(&*self.field), Some(&*self.message)];
        let text = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ");
        for letter in text.chars() {
            if letter.is_control() { write!(f, "{}", letter.escape_default())? } else { f.write_char(letter)? }
        }
        if self.judge == Judge::Operator {
            f.write_str(" (the API server accepts this, and the operator reports it later)")?;
        }
        Ok(())
    }
}

/// Returns a text in quotes, escaped, and cut to a length that a message can hold.
pub(super) fn quoted(text: &str) -> String {
    const MAX_CHARS: usize = 120;
    match text.char_indices().nth(MAX_CHARS) {
        None => format!("{text:?}"),
        Some((cut, _)) => format!("{:?}…", &text[..cut]),
    }
}
