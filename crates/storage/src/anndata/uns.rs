//! Reads nested dictionaries in `uns`.

use std::path::Path;

use hdf5::types::TypeDescriptor;
use hdf5::{Dataset, Group};

use super::Value;
use crate::StorageError;
use crate::hdf::text::TextColumn;
use crate::hdf::{self, problem};

/// The most values of a member that is read, and the most bytes of its strings.
const LARGEST: usize = 1 << 20;

/// The deepest nesting that is followed. Links of a file may form circles.
const DEEPEST: usize = 16;

/// Reads `uns/name` of the AnnData file at `path`, which
/// [`AnnDataWriter::uns`](super::AnnDataWriter::uns) has written. Members of other types (tables,
/// compound data of other programs), large ones and deeply nested ones are skipped.
///
/// # Errors
///
/// - nothing is at `path`, or it is not an HDF5 file with `uns/name`
/// - a member cannot be read
pub fn read_uns(path: &Path, name: &str) -> Result<Value, StorageError> {
    std::fs::metadata(path).map_err(|e| StorageError::io("read", path, e))?;
    let file = hdf::file::open(path)?;
    let missing = |_| StorageError::MissingDataset {
        path: path.into(),
        dataset: format!("uns/{name}"),
        remedy: "use a file that partwise wrote".into(),
    };
    let group = file.group("uns").and_then(|uns| uns.group(name)).map_err(missing)?;
    map(&group, 0).map_err(|e| problem::problem("read", path, &format!("uns/{name}"), &e))
}

fn map(group: &Group, depth: usize) -> hdf5::Result<Value> {
    let mut members = Vec::new();
    for name in group.member_names()? {
        let value = match group.dataset(&name) {
            Ok(dataset) => leaf(&dataset)?,
            Err(_) if depth == DEEPEST => None,
            Err(_) => Some(map(&group.group(&name)?, depth + 1)?),
        };
        members.extend(value.map(|value| (name, value)));
    }
    Ok(Value::Map(members))
}

fn leaf(dataset: &Dataset) -> hdf5::Result<Option<Value>> {
    let chunk = dataset.chunk().map_or(0, |chunk| chunk.iter().product());
    if dataset.size().max(chunk) > LARGEST {
        return Ok(None);
    }
    let scalar = dataset.ndim() == 0;
    Ok(match dataset.dtype()?.to_descriptor()? {
        TypeDescriptor::VarLenUnicode => {
            let Some(texts) = texts(dataset)? else { return Ok(None) };
            if scalar { texts.into_iter().next().map(Value::Str) } else { Some(Value::StrArray(texts)) }
        }
        TypeDescriptor::Boolean if scalar => Some(Value::Bool(dataset.read_scalar()?)),
        TypeDescriptor::Integer(_) if scalar => Some(Value::Int(dataset.read_scalar()?)),
        TypeDescriptor::Integer(_) => Some(Value::IntArray(dataset.read_raw()?)),
        TypeDescriptor::Float(_) if scalar => Some(Value::Float(dataset.read_scalar()?)),
        TypeDescriptor::Float(_) => Some(Value::FloatArray(dataset.read_raw()?)),
        _ => None,
    })
}

/// The strings of a member; `None` if they are too large.
fn texts(dataset: &Dataset) -> hdf5::Result<Option<Vec<String>>> {
    let Some(column) = TextColumn::of(dataset, None)? else { return Ok(None) };
    let (mut texts, mut bytes) = (Vec::new(), 0);
    column.visit_all(|text| {
        bytes += text.len();
        if bytes <= LARGEST {
            texts.push(String::from_utf8_lossy(text).into_owned());
        }
    })?;
    Ok((bytes <= LARGEST).then_some(texts))
}

#[cfg(test)]
mod tests {
    use super::super::AnnDataWriter;
    use super::*;
    use crate::store::Overwrite;

    #[test]
    fn what_was_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.h5ad");
        let member = |name: &str, value: Value| (name.to_owned(), value);
        // In the order of their names, which is the order in which HDF5 lists them.
        let value = Value::Map(vec![
            member("bool", true.into()),
            member("float", 0.25.into()),
            member("int", Value::Int(-3)),
            member(
                "lists",
                Value::Map(vec![
                    member("floats", vec![0.5, f64::INFINITY].into()),
                    member("ints", vec![1_i64, 2].into()),
                    member("texts", vec!["a".to_owned(), "µ".to_owned()].into()),
                ]),
            ),
            member("text", "word".into()),
        ]);
        let mut writer = AnnDataWriter::create(&path, Overwrite::Refuse).unwrap();
        writer.uns("nmf", &value).unwrap();
        writer.finish().unwrap();
        assert_eq!(read_uns(&path, "nmf").unwrap(), value);
        assert!(matches!(read_uns(&path, "other"), Err(StorageError::MissingDataset { .. })));
    }
}
