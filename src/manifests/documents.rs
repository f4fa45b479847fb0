//! The module decodes a file and splits its text into documents.

use std::sync::Arc;

use super::node::Node;
use super::problem::{FilePosition, Problem};
use super::yaml::{self, YamlError};

/// A document and its value.
#[derive(Debug)]
pub(super) struct YamlDocument {
    /// The position of its first value.
    pub position: FilePosition,
    pub root: Node,
}

/// Returns the text of a file. It has to be UTF-8.
pub(super) fn decode_text(file: &Arc<str>, bytes: Vec<u8>) -> Result<String, Problem> {
    let whole = |message: &str| Problem::unreadable(FilePosition::whole_file(file), message);
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(whole("is in UTF-16: save it as UTF-8"));
    }
    let line_at = |bytes: &[u8], at: usize| bytes[..at].split(|byte| *byte == b'\n').count();
    let at = |line: usize, message: &str| Problem::unreadable(FilePosition::whole_file(file).at_line(line), message);
    if let Some(nul) = bytes.iter().position(|byte| *byte == 0) {
        let message = if bytes.get(1) == Some(&0) || nul == 0 {
            "is not text (a NUL byte): save it as UTF-8"
        } else {
            "holds a NUL byte: this is not text, or the file is damaged"
        };
        return Err(at(line_at(&bytes, nul), message));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let upto = error.utf8_error().valid_up_to();
        at(line_at(error.as_bytes(), upto), "is not UTF-8: save it as UTF-8")
    })?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

/// Returns the documents of a text without the empty ones.
pub(super) fn parse_documents(file: &Arc<str>, text: &str) -> Vec<Result<YamlDocument, Problem>> {
    let mut documents = Vec::new();
    for (index, chunk) in split_text(text).into_iter().enumerate() {
        let position = |line| FilePosition { file: Arc::clone(file), document: index + 1, line };
        let read = match chunk {
            Ok((text, first_line)) => yaml::parse_document(text, first_line),
            Err(line) => {
                let message = "only a comment may follow --- on its line: begin the document on the next line";
                Err(YamlError { line, message: message.to_owned() })
            }
        };
        match read {
            Ok(None) => {}
            Ok(Some(root)) => documents.push(Ok(YamlDocument { position: position(root.line), root })),
            Err(error) => documents.push(Err(Problem::unreadable(position(error.line), error.message))),
        }
    }
    documents
}

/// The text and first line of a document, or the line of a `---` that text follows.
type Chunk<'a> = Result<(&'a str, usize), usize>;

/// Splits a text as kubectl does: into JSON objects, or else at lines that begin with `---`.
fn split_text(text: &str) -> Vec<Chunk<'_>> {
    if text.trim_start().starts_with('{')
        && let Some(objects) = json_objects(text)
    {
        return objects;
    }
    let (mut chunks, mut start, mut first_line) = (Vec::new(), 0, 1);
    let mut at = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if let Some(rest) = line.strip_prefix("---") {
            // Comments alone before the first separator are not a document.
            let before = &text[start..at];
            if start > 0 || before.lines().map(str::trim).any(|line| !line.is_empty() && !line.starts_with('#')) {
                chunks.push(Ok((before, first_line)));
            }
            let rest = rest.trim();
            if !rest.is_empty() && !rest.starts_with('#') {
                chunks.push(Err(index + 1));
            }
            (start, first_line) = (at + line.len(), index + 2);
        }
        at += line.len();
    }
    chunks.push(Ok((&text[start..], first_line)));
    chunks
}

/// Returns the objects of a stream of JSON, or `None` for YAML that begins with a brace.
fn json_objects(text: &str) -> Option<Vec<Chunk<'_>>> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<&serde_json::value::RawValue>();
    let (mut chunks, mut end, mut line) = (Vec::new(), 0, 1);
    while let Some(object) = stream.next() {
        let object = object.ok()?.get();
        let begin = stream.byte_offset() - object.len();
        line += text[end..begin].matches('\n').count();
        chunks.push(Ok((object, line)));
        line += object.matches('\n').count();
        end = stream.byte_offset();
    }
    Some(chunks)
}
