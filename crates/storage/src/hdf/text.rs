//! Reads and writes strings of any type: variable-length or padded, ASCII or UTF-8, in a dataset or
//! a field of records.

use std::ffi::CString;

use hdf5::types::VarLenUnicode;
use hdf5::{Dataset, Datatype, Group, Result};

use super::raw::{self, Arena, Class};

/// The most strings read or written at a time.
pub(crate) const BATCH: usize = 4096;

/// Bytes of strings read or written at a time, and of the longest string that is read. The library
/// holds a string up to nine times while it is copied from a file to another, and plans count on
/// this size.
const PIECE: usize = 256 << 10;

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
            Class::FixedString => (raw::zero_padded(&file)?, Some(file.size())),
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
    /// Costs memory for a quarter of a MiB of text.
    ///
    /// # Errors
    ///
    /// - the library cannot read them
    /// - a string is longer than that
    pub(crate) fn visit_all(&self, mut each: impl FnMut(&[u8])) -> Result<()> {
        match self.width {
            Some(width) if width > PIECE => Err(too_long()),
            Some(width) => self.visit_fixed(width, &mut each),
            None => self.visit_variable(&mut each),
        }
    }

    fn visit_fixed(&self, width: usize, each: &mut impl FnMut(&[u8])) -> Result<()> {
        let step = (PIECE / width.max(1)).clamp(1, BATCH);
        let mut bytes = vec![0_u8; step.min(self.len) * width];
        for row in (0..self.len).step_by(step) {
            let (first, counts) = ([row], [step.min(self.len - row)]);
            let (first, counts) = self.boxed(&first, &counts);
            let bytes = &mut bytes[..counts.iter().product::<usize>() * width];
            raw::read(&self.dataset, &self.memory, first, counts, bytes)?;
            bytes.chunks_exact(width).for_each(|s| each(unpadded(s)));
        }
        Ok(())
    }

    /// The library allocates each string as it reads it, and nothing says beforehand how long they
    /// are. If those of a box are too many for the memory given to it, half of them are read.
    fn visit_variable(&self, each: &mut impl FnMut(&[u8])) -> Result<()> {
        let mut arena = Arena::new(PIECE);
        let (mut row, mut step) = (0, BATCH);
        while row < self.len {
            let (first, counts) = ([row], [step.min(self.len - row)]);
            let (first, counts) = self.boxed(&first, &counts);
            if raw::visit_strings(&self.dataset, &self.memory, first, counts, &mut arena, &mut *each)? {
                row += counts.iter().product::<usize>();
                step = (2 * step).min(BATCH);
            } else if step > 1 {
                step /= 2;
            } else {
                return Err(too_long());
            }
        }
        Ok(())
    }

    /// A box of a list; a scalar string has no dimensions.
    fn boxed<'a>(&self, first: &'a [usize], counts: &'a [usize]) -> (&'a [usize], &'a [usize]) {
        if self.dataset.ndim() == 1 { (first, counts) } else { (&[], &[]) }
    }
}

fn too_long() -> hdf5::Error {
    format!("a string has more bytes than the longest that is read ({PIECE}); shorten it").into()
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
    /// Bytes in the batch.
    bytes: usize,
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
        Ok(TextWriter { dataset, memory, batch: Vec::with_capacity(BATCH.min(len)), bytes: 0, written: 0 })
    }

    /// Appends one string. Bytes that are not UTF-8 are replaced, and a zero byte ends it.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<()> {
        let text = String::from_utf8_lossy(bytes);
        let kept = text.split('\0').next().unwrap_or_default();
        self.batch.push(CString::new(kept).map_err(|_| "a string holds a zero byte")?);
        self.bytes += kept.len();
        if self.batch.len() == BATCH || self.bytes >= PIECE { self.flush() } else { Ok(()) }
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
        self.bytes = 0;
        Ok(())
    }
}
