//! The groups and arrays of a store.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::array::Array;
use super::container::{Container, Sizes};
use super::{v2, v3};
use crate::StorageError;
use crate::source::matrix::DAMAGED;

/// The longest metadata that are read. Those of a group may repeat all that is in it.
const LONGEST: u64 = 64 << 20;

/// A zarr store.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    container: Container,
}

/// A group or an array.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) attributes: Map<String, Value>,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Group,
    /// An array, or why it cannot be read, as a predicate.
    Array(Result<Array, String>),
}

impl Node {
    /// A text among the attributes.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).and_then(Value::as_str)
    }
}

impl Store {
    pub(super) fn new(path: &Path, container: Container) -> Store {
        Store { path: path.into(), container }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn container(&self) -> &Container {
        &self.container
    }

    /// What is at `name`, a path inside the store; `None` if nothing is.
    ///
    /// # Errors
    ///
    /// - its metadata cannot be read, or are no JSON
    pub(super) fn node(&self, name: &str) -> Result<Option<Node>, StorageError> {
        // Names come from the file as well, and may not lead out of it.
        if name.split('/').any(|part| part.is_empty() || part == "." || part == ".." || part.contains('\0')) {
            return Ok(None);
        }
        if let Some(mut metadata) = self.json(&format!("{name}/zarr.json"))? {
            let kind = match metadata.get("node_type").and_then(Value::as_str) {
                Some("array") => Kind::Array(v3::parse(&metadata)),
                _ => Kind::Group,
            };
            let attributes = match metadata.remove("attributes") {
                Some(Value::Object(attributes)) => attributes,
                _ => Map::new(),
            };
            return Ok(Some(Node { attributes, kind }));
        }
        let kind = if let Some(metadata) = self.json(&format!("{name}/.zarray"))? {
            Kind::Array(v2::parse(&metadata))
        } else if self.json(&format!("{name}/.zgroup"))?.is_some() {
            Kind::Group
        } else {
            return Ok(None);
        };
        let attributes = self.json(&format!("{name}/.zattrs"))?.unwrap_or_default();
        Ok(Some(Node { attributes, kind }))
    }

    /// The array at `name`.
    ///
    /// # Errors
    ///
    /// - it is missing, or cannot be read
    pub(super) fn array(&self, name: &str) -> Result<Array, StorageError> {
        match self.node(name)?.map(|node| node.kind) {
            Some(Kind::Array(array)) => array.map_err(|problem| self.invalid(name, problem)),
            Some(Kind::Group) => Err(self.invalid(name, "is a group, expected an array".into())),
            None => Err(StorageError::MissingDataset {
                path: self.path.clone(),
                dataset: name.into(),
                remedy: DAMAGED.into(),
            }),
        }
    }

    /// The sizes of the files of the node at `name`.
    ///
    /// # Errors
    ///
    /// - the folder cannot be read
    pub(super) fn sizes(&self, name: &str) -> Result<Sizes, StorageError> {
        self.container.sizes(name).map_err(|error| self.unreadable(name, error))
    }

    /// Bytes in memory while the store is open.
    pub(super) fn resident_bytes(&self) -> u64 {
        self.container.resident_bytes()
    }

    /// The error of a node or file that contradicts the format.
    pub(super) fn invalid(&self, name: &str, problem: String) -> StorageError {
        let (path, dataset) = (self.path.clone(), name.to_owned());
        StorageError::InvalidDataset { path, dataset, problem, remedy: DAMAGED.into() }
    }

    /// The error of a file that cannot be read.
    pub(super) fn unreadable(&self, name: &str, error: io::Error) -> StorageError {
        match error.kind() {
            io::ErrorKind::InvalidData => self.invalid(name, error.to_string()),
            io::ErrorKind::UnexpectedEof => self.invalid(name, "is cut short".into()),
            _ => StorageError::io("read", &self.path.join(name), error),
        }
    }

    /// Reads a file of metadata; `None` if there is none.
    fn json(&self, key: &str) -> Result<Option<Map<String, Value>>, StorageError> {
        let fail = |error| self.unreadable(key, error);
        let Some(entry) = self.container.entry(key).map_err(fail)? else { return Ok(None) };
        if entry.len() > LONGEST {
            return Err(self.invalid(key, format!("has {} bytes of metadata", entry.len())));
        }
        let mut bytes = vec![0; entry.len() as usize];
        self.container.read(&entry, 0, &mut bytes).map_err(fail)?;
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(metadata)) => Ok(Some(metadata)),
            Ok(_) => Err(self.invalid(key, "is no JSON object".into())),
            // Python writes fill values that JSON does not have.
            Err(error) => match serde_json::from_str(&without_nan(&String::from_utf8_lossy(&bytes))) {
                Ok(Value::Object(metadata)) => Ok(Some(metadata)),
                _ => Err(self.invalid(key, format!("is no JSON: {error}"))),
            },
        }
    }
}

/// Quotes `NaN` and `Infinity` outside of strings.
fn without_nan(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut in_string) = (text, false);
    while let Some(next) = rest.chars().next() {
        let word = ["-Infinity", "Infinity", "NaN"].into_iter().find(|word| !in_string && rest.starts_with(word));
        let taken = match (word, next) {
            (Some(word), _) => {
                out.push_str(&format!("\"{word}\""));
                word.len()
            }
            (None, '\\') if in_string => {
                let end = rest.char_indices().nth(2).map_or(rest.len(), |(at, _)| at);
                out.push_str(&rest[..end]);
                end
            }
            (None, _) => {
                in_string ^= next == '"';
                out.push(next);
                next.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_json_lacks_are_quoted_outside_of_strings() {
        let text = r#"{"a": NaN, "Infinity": -Infinity, "b\"NaN": "NaN"}"#;
        assert_eq!(without_nan(text), r#"{"a": "NaN", "Infinity": "-Infinity", "b\"NaN": "NaN"}"#);
    }
}
