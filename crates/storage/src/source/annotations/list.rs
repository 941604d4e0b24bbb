//! One list of a column: numbers or strings, checked before it is copied.

use hdf5::{Dataset, Group, Result};

use crate::StorageError;
use crate::hdf::cache::ChunkNeed;
use crate::hdf::number::{NumberType, is_boolean, is_complex};
use crate::hdf::raw::{self, Class};
use crate::hdf::text::{TextColumn, TextWriter};
use crate::hdf::{attribute, claim, copy, elsewhere, filter, problem};
use crate::number::{Number, Scalar, with_scalar};
use crate::repeats::{Sorter, hash};

/// A list that anndata can read.
pub(super) struct List {
    dataset: Dataset,
    kind: Kind,
}

/// The values of a list.
enum Kind {
    Texts(TextColumn),
    Booleans,
    Integers(NumberType),
    Floats(NumberType),
    Complex,
}

/// A list, or the reason why it cannot be copied.
pub(super) type Checked<T> = Result<std::result::Result<T, String>>;

impl List {
    /// Opens the list `name` of `from`, with a chunk cache for reading it in order.
    ///
    /// # Errors
    ///
    /// - the library cannot say what it is
    pub(super) fn open(from: &Group, name: &str) -> Checked<List> {
        let Ok(plain) = from.dataset(name) else { return Ok(Err("it cannot be opened: its target is missing".into())) };
        let need = ChunkNeed::of(&plain);
        // Closed first: a dataset that is opened twice shares its first chunk cache.
        drop(plain);
        Self::of(raw::open_dataset(from, name, need)?)
    }

    /// The list in `dataset`.
    pub(super) fn of(dataset: Dataset) -> Checked<List> {
        if let Some(source) = elsewhere::missing(&dataset) {
            return Ok(Err(format!("its values are missing: {source}")));
        }
        if let Some(filter) = filter::missing(&dataset) {
            return Ok(Err(format!("it is compressed with {filter}, which the HDF5 library here cannot read")));
        }
        if let Some(problem) = claim::wrong(&dataset) {
            return Ok(Err(format!("it {problem}")));
        }
        if dataset.ndim() != 1 {
            return Ok(Err(format!("it has {} dimensions, expected a list", dataset.ndim())));
        }
        let file = dataset.dtype()?;
        let kind = match TextColumn::of(&dataset, None)? {
            Some(texts) => Kind::Texts(texts),
            None if is_boolean(&file) => Kind::Booleans,
            None if is_complex(&file) => Kind::Complex,
            None => match NumberType::of(&file)? {
                Some(number) if matches!(raw::class(&file), Class::Float) => Kind::Floats(number),
                Some(number) => Kind::Integers(number),
                None => return Ok(Err("a column cannot have its type".into())),
            },
        };
        Ok(Ok(List { dataset, kind }))
    }

    /// The number of entries.
    pub(super) fn len(&self) -> usize {
        self.dataset.size()
    }

    pub(super) fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    pub(super) fn is_boolean(&self) -> bool {
        matches!(self.kind, Kind::Booleans)
    }

    pub(super) fn is_texts(&self) -> bool {
        matches!(self.kind, Kind::Texts(_))
    }

    /// The type of the numbers, if they are integers.
    pub(super) fn integers(&self) -> Option<&NumberType> {
        match &self.kind {
            Kind::Integers(number) => Some(number),
            _ => None,
        }
    }

    /// Why the list cannot have an entry for each of `rows` rows, if it has not.
    pub(super) fn wrong_len(&self, rows: usize) -> Option<String> {
        (self.len() != rows).then(|| format!("it has {} entries for {rows} rows", self.len()))
    }

    /// Why the values cannot be categories, if they cannot: two are equal, or one is not a number.
    /// Sorts many of them in `folder`.
    ///
    /// # Errors
    ///
    /// - they cannot be read
    pub(super) fn wrong_categories(&self, folder: &std::path::Path) -> Result<Option<String>> {
        let mut sorter = Sorter::new(folder);
        let (mut failed, mut missing) = (Ok(()), false);
        let mut add = |bytes: &[u8]| {
            if failed.is_ok() {
                failed = sorter.push(hash(bytes));
            }
        };
        match &self.kind {
            Kind::Texts(texts) => texts.visit_all(add)?,
            Kind::Floats(number) => {
                if self.dataset.dtype()?.size() < size_of::<f32>() {
                    return Ok(Some("its categories are 16-bit floats".into()));
                }
                number.visit(&self.dataset, None, |_, bytes| {
                    with_scalar!(number.scalar, T => for value in bytes.chunks_exact(size_of::<T>()) {
                        let value = bytemuck::pod_read_unaligned::<T>(value).widen();
                        missing |= value.is_nan();
                        // The two zeros are equal.
                        add(&(value + 0.0).to_ne_bytes());
                    });
                    Ok(())
                })?;
            }
            Kind::Integers(number) => number.visit(&self.dataset, None, |_, bytes| {
                bytes.chunks_exact(number.scalar.size()).for_each(&mut add);
                Ok(())
            })?,
            // At most two are different.
            Kind::Booleans if self.len() <= 2 => {
                if let Some(number) = NumberType::of(&self.dataset.dtype()?)? {
                    number.visit(&self.dataset, None, |_, bytes| {
                        bytes.iter().for_each(|byte| add(&[*byte]));
                        Ok(())
                    })?;
                }
            }
            Kind::Booleans => return Ok(Some("it has more than two truth values as categories".into())),
            Kind::Complex => return Ok(Some("its categories are complex numbers".into())),
        }
        if missing {
            return Ok(Some("one of its categories is NaN".into()));
        }
        let repeated = failed.and_then(|()| sorter.repeats()).map_err(|error| match error {
            StorageError::Io { source, .. } => problem::of_system(&source),
            other => other.to_string().into(),
        })?;
        Ok(repeated.map(|_| "two of its categories are equal".to_owned()))
    }

    /// Why the values are not positions in `categories` categories (or −1 for none), if they are
    /// not.
    ///
    /// # Errors
    ///
    /// - they cannot be read
    pub(super) fn wrong_code(&self, categories: usize) -> Result<Option<String>> {
        let Some(number) = self.integers() else { return Ok(Some("its codes are not integers".into())) };
        let mut wrong = None;
        number.visit(&self.dataset, None, |first, bytes| {
            with_scalar!(number.scalar, T => {
                let codes = bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned::<T>);
                let outside = codes.enumerate().find(|(_, code)| !(-1..categories as i128).contains(&code.whole()));
                if let (None, Some((at, code))) = (&wrong, outside) {
                    let row = first + at;
                    wrong = Some(format!("row {row} has the code {code}, expected one of {categories} categories"));
                }
            });
            Ok(())
        })?;
        Ok(wrong)
    }

    /// Copies the values to `name` in `to`, in the current encoding.
    ///
    /// # Errors
    ///
    /// - they cannot be read or written; part of the copy may exist
    pub(super) fn copy(&self, to: &Group, name: &str) -> Result<()> {
        let (list, encoding) = match &self.kind {
            Kind::Texts(texts) => {
                let mut writer = TextWriter::create(to, name, texts.len())?;
                writer.copy(texts)?;
                (writer.finish()?, "string-array")
            }
            _ => (copy::dataset(&self.dataset, to, name)?.ok_or("it holds references")?, "array"),
        };
        attribute::remove(&list, "categories")?;
        attribute::set_encoding(&list, encoding, "0.2.0")
    }
}

/// Whether numbers of a type are floats.
pub(super) fn is_float(number: &NumberType) -> bool {
    matches!(number.scalar, Scalar::F32 | Scalar::F64)
}
