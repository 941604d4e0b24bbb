//! What `uns` tells about a run.

use std::path::Path;

use partwise_storage::StorageError;
use partwise_storage::anndata::{Value, read_uns};

/// A dictionary of `uns`.
#[derive(Debug, Clone)]
pub(crate) struct Story(Vec<(String, Value)>);

impl Story {
    /// Reads `uns/name` of the file; `None` if there is no such dictionary.
    pub(crate) fn read(path: &Path, name: &str) -> Result<Option<Story>, StorageError> {
        match read_uns(path, name) {
            Ok(Value::Map(members)) => Ok(Some(Story(members))),
            Ok(_) | Err(StorageError::MissingDataset { .. }) => Ok(None),
            // A text or another file that is no HDF5 file at all.
            Err(StorageError::UnknownFormat { .. }) if !is_hdf5(path) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The members in their order.
    pub(crate) fn members(&self) -> &[(String, Value)] {
        &self.0
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value)
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        match self.get(name)? {
            Value::Float(number) => Some(*number),
            Value::Int(number) => Some(*number as f64),
            _ => None,
        }
    }

    pub(crate) fn truth(&self, name: &str) -> Option<bool> {
        match self.get(name)? {
            Value::Bool(truth) => Some(*truth),
            Value::Int(number) => Some(*number != 0),
            _ => None,
        }
    }

    /// The list of numbers `name`; empty if there is none.
    pub(crate) fn numbers(&self, name: &str) -> Vec<f64> {
        match self.get(name) {
            Some(Value::FloatArray(numbers)) => numbers.clone(),
            Some(Value::IntArray(numbers)) => numbers.iter().map(|&number| number as f64).collect(),
            _ => Vec::new(),
        }
    }

    /// The dictionary `name` inside; empty if there is none.
    pub(crate) fn inner(&self, name: &str) -> Story {
        match self.get(name) {
            Some(Value::Map(members)) => Story(members.clone()),
            _ => Story(Vec::new()),
        }
    }
}

/// Whether the file begins as HDF5 files do.
fn is_hdf5(path: &Path) -> bool {
    use std::io::Read;
    let mut start = [0; 8];
    let read = std::fs::metadata(path).is_ok_and(|meta| meta.is_file())
        && std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok();
    read && start == *b"\x89HDF\r\n\x1a\n"
}
