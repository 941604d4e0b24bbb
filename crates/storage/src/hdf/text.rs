//! Reads and writes strings of any type: variable-length or padded, ASCII or UTF-8, in a dataset or
//! a field of records.

use std::ffi::CString;

use hdf5::types::VarLenUnicode;
use hdf5::{Dataset, Datatype, Group, Result};

use super::raw::{self, Class};

/// Strings read or written at a time. Their copies in the library stay under a few hundred
/// kilobytes.
pub(crate) const BATCH: usize = 4096;

/// A one-dimensional column of strings in a file.
pub(crate) struct TextColumn {
    dataset: Dataset,
    memory: Datatype,
    /// Bytes of each string if all have one length.
    width: Option<usize>,
    len: usize,
}

impl TextColumn {
    /// The strings of `dataset`, or of one `field` of its records; `None` if it holds none.
    pub(crate) fn of(dataset: &Dataset, field: Option<(&str, &Datatype)>) -> Result<Option<TextColumn>> {
        let file = match field {
            Some((_, datatype)) => datatype.clone(),
            None => dataset.dtype()?,
        };
        let (element, width) = match raw::class(&file) {
            Class::VariableString => (raw::native(&file)?, None),
            Class::FixedString => (file.clone(), Some(file.size())),
            _ => return Ok(None),
        };
        if dataset.ndim() > 1 {
            return Ok(None);
        }
        let memory = match field {
            Some((name, _)) => raw::record_of(name, &element)?,
            None => element,
        };
        Ok(Some(TextColumn { dataset: dataset.clone(), memory, width, len: dataset.size() }))
    }

    /// The number of strings.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Calls `each` with the bytes of each string in order, without padding.
    ///
    /// Costs memory for [`BATCH`] strings.
    pub(crate) fn visit_all(&self, mut each: impl FnMut(&[u8])) -> Result<()> {
        let mut bytes = Vec::new();
        let list = self.dataset.ndim() == 1;
        for row in (0..self.len).step_by(BATCH) {
            let (first, counts) = ([row], [BATCH.min(self.len - row)]);
            // A scalar string has no dimensions.
            let (first, counts) = if list { (&first[..], &counts[..]) } else { (&[][..], &[][..]) };
            match self.width {
                None => raw::visit_strings(&self.dataset, &self.memory, first, counts, &mut each)?,
                Some(width) => {
                    bytes.resize(counts.iter().product::<usize>() * width, 0_u8);
                    raw::read(&self.dataset, &self.memory, first, counts, &mut bytes)?;
                    bytes.chunks_exact(width).for_each(|s| each(unpadded(s)));
                }
            }
        }
        Ok(())
    }
}

/// A string without the zero bytes that pad it.
pub(crate) fn unpadded(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1);
    &bytes[..end]
}

/// Writes a column of variable-length UTF-8 strings in order.
pub(crate) struct TextWriter {
    dataset: Dataset,
    memory: Datatype,
    batch: Vec<CString>,
    written: usize,
}

impl TextWriter {
    /// A new dataset `name` for `len` strings.
    pub(crate) fn create(parent: &Group, name: &str, len: usize) -> Result<TextWriter> {
        // Long columns are chunked: the library would first fill a contiguous one with empty
        // strings.
        let builder = parent.new_dataset::<VarLenUnicode>().obj_track_times(false).shape(len);
        let builder = if len > 4 * BATCH { builder.chunk(4 * BATCH) } else { builder.no_chunk() };
        let dataset = builder.create(name)?;
        let memory = Datatype::from_type::<VarLenUnicode>()?;
        Ok(TextWriter { dataset, memory, batch: Vec::with_capacity(BATCH.min(len)), written: 0 })
    }

    /// Appends one string. Bytes that are not UTF-8 are replaced, and a zero byte ends it.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<()> {
        let text = String::from_utf8_lossy(bytes);
        let kept = text.split('\0').next().unwrap_or_default();
        self.batch.push(CString::new(kept).map_err(|_| "a string holds a zero byte")?);
        if self.batch.len() == BATCH { self.flush() } else { Ok(()) }
    }

    /// Appends a whole column.
    pub(crate) fn copy(&mut self, column: &TextColumn) -> Result<()> {
        let mut failed = None;
        column.visit_all(|text| {
            if failed.is_none() {
                failed = self.push(text).err();
            }
        })?;
        failed.map_or(Ok(()), Err)
    }

    /// Writes the remaining strings and returns the dataset.
    pub(crate) fn finish(mut self) -> Result<Dataset> {
        self.flush()?;
        Ok(self.dataset)
    }

    fn flush(&mut self) -> Result<()> {
        raw::write_strings(&self.dataset, &self.memory, self.written, &self.batch)?;
        self.written += self.batch.len();
        self.batch.clear();
        Ok(())
    }
}
