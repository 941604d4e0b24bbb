//! Writes tables of names and columns: `obs` and `var`.

use std::path::{Path, PathBuf};

use bytemuck::Pod;
use hdf5::{Dataset, Datatype, Group, H5Type};

use crate::StorageError;
use crate::hdf::text::TextWriter;
use crate::hdf::{attribute, problem, raw};

/// Values written at a time.
const BATCH: usize = 1 << 14;

/// Writes the names and columns of one axis, one column at a time, each from an iterator.
pub struct FrameWriter {
    group: Group,
    columns: Vec<String>,
    rows: usize,
    path: PathBuf,
    name: String,
}

impl FrameWriter {
    pub(crate) fn create(parent: &Group, path: &Path, name: &str, rows: usize) -> Result<Self, StorageError> {
        let create = || {
            let group = parent.create_group(name)?;
            attribute::set_encoding(&group, "dataframe", "0.2.0")?;
            Ok(group)
        };
        let group = create().map_err(|e| problem::problem("write", path, name, &e))?;
        Ok(FrameWriter { group, columns: Vec::new(), rows, path: path.into(), name: name.into() })
    }

    /// Writes the names, one for each row. Call it once for a frame.
    ///
    /// # Errors
    ///
    /// - the disk is full or failing
    ///
    /// # Panics
    ///
    /// When there are fewer names than rows.
    #[track_caller]
    pub fn names<S: AsRef<str>>(&mut self, names: impl IntoIterator<Item = S>) -> Result<(), StorageError> {
        let mut writer = self.index(None)?;
        let mut count = 0;
        for name in names.into_iter().take(self.rows) {
            writer.push(name.as_ref().as_bytes()).map_err(|e| self.problem("_index", &e))?;
            count += 1;
        }
        assert_eq!(count, self.rows, "one name per row");
        let dataset = writer.finish().map_err(|e| self.problem("_index", &e))?;
        attribute::set_encoding(&dataset, "string-array", "0.2.0").map_err(|e| self.problem("_index", &e))
    }

    /// Writes a column of f64.
    ///
    /// # Errors
    ///
    /// - the disk is full or failing
    ///
    /// # Panics
    ///
    /// When there are fewer values than rows.
    #[track_caller]
    pub fn floats(&mut self, name: &str, values: impl IntoIterator<Item = f64>) -> Result<(), StorageError> {
        self.numbers(name, values)
    }

    /// Writes a column of i64.
    ///
    /// # Errors
    ///
    /// - the disk is full or failing
    ///
    /// # Panics
    ///
    /// When there are fewer values than rows.
    #[track_caller]
    pub fn integers(&mut self, name: &str, values: impl IntoIterator<Item = i64>) -> Result<(), StorageError> {
        self.numbers(name, values)
    }

    /// Writes a column of truth values.
    ///
    /// # Errors
    ///
    /// - the disk is full or failing
    ///
    /// # Panics
    ///
    /// When there are fewer values than rows.
    #[track_caller]
    pub fn booleans(&mut self, name: &str, values: impl IntoIterator<Item = bool>) -> Result<(), StorageError> {
        let write = || {
            let dataset = self.group.new_dataset::<bool>().no_chunk().obj_track_times(false);
            let dataset = dataset.shape(self.rows).create(name)?;
            attribute::set_encoding(&dataset, "array", "0.2.0")?;
            let values = values.into_iter().map(u8::from);
            write_values(&dataset, &Datatype::from_type::<bool>()?, self.rows, values)
        };
        write().map_err(|e: hdf5::Error| self.problem(name, &e))?;
        self.columns.push(name.to_owned());
        Ok(())
    }

    /// Writes a column of strings.
    ///
    /// # Errors
    ///
    /// - the disk is full or failing
    ///
    /// # Panics
    ///
    /// When there are fewer values than rows.
    #[track_caller]
    pub fn texts<S: AsRef<str>>(
        &mut self,
        name: &str,
        values: impl IntoIterator<Item = S>,
    ) -> Result<(), StorageError> {
        let write = || {
            let mut writer = TextWriter::create(&self.group, name, self.rows)?;
            let mut count = 0;
            for value in values.into_iter().take(self.rows) {
                writer.push(value.as_ref().as_bytes())?;
                count += 1;
            }
            assert_eq!(count, self.rows, "one value per row");
            let column = writer.finish()?;
            attribute::set_encoding(&column, "string-array", "0.2.0")
        };
        write().map_err(|e| self.problem(name, &e))?;
        self.columns.push(name.to_owned());
        Ok(())
    }

    /// Writes a categorical column: `codes` are positions in `categories`.
    ///
    /// # Errors
    ///
    /// - the disk is full or failing
    ///
    /// # Panics
    ///
    /// When there are fewer codes than rows, or a code is not below the number of categories.
    #[track_caller]
    pub fn categorical<S: AsRef<str>>(
        &mut self,
        name: &str,
        categories: &[S],
        codes: impl IntoIterator<Item = usize>,
    ) -> Result<(), StorageError> {
        self.categorical_or_missing(name, categories, codes.into_iter().map(Some))
    }

    /// As [`categorical`](Self::categorical), with rows that have no category.
    ///
    /// # Errors
    ///
    /// - the disk is full or failing
    ///
    /// # Panics
    ///
    /// When there are fewer codes than rows, or a code is not below the number of categories.
    #[track_caller]
    pub fn categorical_or_missing<S: AsRef<str>>(
        &mut self,
        name: &str,
        categories: &[S],
        codes: impl IntoIterator<Item = Option<usize>>,
    ) -> Result<(), StorageError> {
        let group = self.group.create_group(name).map_err(|e| self.problem(name, &e))?;
        let labels = || {
            attribute::set_encoding(&group, "categorical", "0.2.0")?;
            attribute::set_bool(&group, "ordered", false)?;
            write_texts(&group, "categories", categories)
        };
        labels().map_err(|e| self.problem(name, &e))?;
        let count = categories.len();
        let codes = codes.into_iter().map(|code| {
            let code = code.map_or(-1, |code| code as i64);
            assert!(code < count as i64, "code {code} is one of {count} categories");
            code
        });
        match count {
            0..=128 => write_numbers(&group, "codes", self.rows, codes.map(|c| c as i8)),
            129..=32_768 => write_numbers(&group, "codes", self.rows, codes.map(|c| c as i16)),
            _ => write_numbers(&group, "codes", self.rows, codes.map(|c| c as i32)),
        }
        .map_err(|e| self.problem(name, &e))?;
        self.columns.push(name.to_owned());
        Ok(())
    }

    /// Ends the frame.
    ///
    /// # Errors
    ///
    /// - the disk is full or failing
    pub fn finish(self) -> Result<(), StorageError> {
        attribute::set_texts(&self.group, "column-order", &self.columns).map_err(|e| self.problem("", &e))
    }

    /// Begins the index under `name`; without one it is called `_index`, as in anndata.
    pub(crate) fn index(&mut self, name: Option<&str>) -> Result<TextWriter, StorageError> {
        let name = name.unwrap_or("_index");
        attribute::set_text(&self.group, "_index", name)
            .and_then(|()| TextWriter::create(&self.group, name, self.rows))
            .map_err(|e| self.problem(name, &e))
    }

    /// The number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The folder of the file, for temporary files.
    pub(crate) fn folder(&self) -> &Path {
        self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// The path of a temporary file beside the file, which has `name` in its name.
    pub(crate) fn scratch(&self, name: &str) -> PathBuf {
        let mut whole = self.path.file_name().unwrap_or_default().to_owned();
        whole.push(format!(".{name}"));
        self.path.with_file_name(whole)
    }

    /// The group, for columns that are copied. Announce each with [`FrameWriter::announce`].
    pub(crate) fn group(&self) -> &Group {
        &self.group
    }

    /// The columns so far, in their order.
    pub(crate) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Adds a column of [`group`](Self::group) to the order of columns.
    pub(crate) fn announce(&mut self, name: &str) {
        self.columns.push(name.to_owned());
    }

    pub(crate) fn problem(&self, column: &str, error: &hdf5::Error) -> StorageError {
        problem::problem("write", &self.path, &format!("{}/{column}", self.name), error)
    }

    fn numbers<T: H5Type + Pod>(
        &mut self,
        name: &str,
        values: impl IntoIterator<Item = T>,
    ) -> Result<(), StorageError> {
        write_numbers(&self.group, name, self.rows, values).map_err(|e| self.problem(name, &e))?;
        self.columns.push(name.to_owned());
        Ok(())
    }
}

/// Writes a list of numbers in batches.
///
/// # Panics
///
/// When there are fewer than `len`.
#[track_caller]
pub(crate) fn write_numbers<T: H5Type + Pod>(
    parent: &Group,
    name: &str,
    len: usize,
    values: impl IntoIterator<Item = T>,
) -> hdf5::Result<Dataset> {
    let dataset = parent.new_dataset::<T>().no_chunk().obj_track_times(false).shape(len).create(name)?;
    attribute::set_encoding(&dataset, "array", "0.2.0")?;
    write_values(&dataset, &Datatype::from_type::<T>()?, len, values)?;
    Ok(dataset)
}

/// Writes a list of truth values.
pub(crate) fn write_flags(parent: &Group, name: &str, values: &[bool]) -> hdf5::Result<Dataset> {
    let dataset = parent.new_dataset::<bool>().no_chunk().obj_track_times(false).shape(values.len()).create(name)?;
    attribute::set_encoding(&dataset, "array", "0.2.0")?;
    write_values(&dataset, &Datatype::from_type::<bool>()?, values.len(), values.iter().map(|&value| u8::from(value)))?;
    Ok(dataset)
}

/// Writes `len` values, which are in memory as `memory` says.
#[track_caller]
fn write_values<T: Pod>(
    dataset: &Dataset,
    memory: &Datatype,
    len: usize,
    values: impl IntoIterator<Item = T>,
) -> hdf5::Result<()> {
    let mut batch = Vec::with_capacity(BATCH.min(len));
    let mut values = values.into_iter();
    let mut done = 0;
    while done < len {
        batch.clear();
        batch.extend(values.by_ref().take(BATCH.min(len - done)));
        assert!(!batch.is_empty(), "one value per row");
        raw::write(dataset, memory, &[done], &[batch.len()], &batch)?;
        done += batch.len();
    }
    Ok(())
}

/// Writes a list of strings.
pub(crate) fn write_texts<S: AsRef<str>>(parent: &Group, name: &str, values: &[S]) -> hdf5::Result<Dataset> {
    let mut writer = TextWriter::create(parent, name, values.len())?;
    for value in values {
        writer.push(value.as_ref().as_bytes())?;
    }
    let dataset = writer.finish()?;
    attribute::set_encoding(&dataset, "string-array", "0.2.0")?;
    Ok(dataset)
}
