//! Numeric types of HDF5 files.

use hdf5::types::TypeDescriptor;
use hdf5::{Dataset, Datatype, Result};

use super::raw::{self, Class};
use crate::number::Scalar;

/// The type of a dataset's numbers in memory.
#[derive(Clone)]
pub(crate) struct NumberType {
    /// The Rust type.
    pub(crate) scalar: Scalar,
    /// The same type for the HDF5 library.
    pub(crate) memory: Datatype,
}

impl NumberType {
    /// The type in memory for numbers of type `file`; `None` if that is not a known numeric type.
    ///
    /// The library converts byte orders and 16-bit floats. Enums (h5py's booleans) are read as
    /// integers.
    pub(crate) fn of(file: &Datatype) -> Result<Option<NumberType>> {
        let class = raw::class(file);
        if !matches!(class, Class::Integer { .. } | Class::Float | Class::Enum) {
            return Ok(None);
        }
        let memory = raw::native(file)?;
        let scalar = match class {
            Class::Integer { signed } => Scalar::integer(memory.size(), signed),
            Class::Enum => Scalar::integer(memory.size(), true),
            _ if memory.size() == 4 => Some(Scalar::F32),
            _ if memory.size() == 8 => Some(Scalar::F64),
            _ => None,
        };
        Ok(scalar.map(|scalar| NumberType { scalar, memory }))
    }
}

/// Numbers read at a time.
const BATCH: usize = 1 << 14;

impl NumberType {
    /// Reads a list of numbers, or one `field` of a list of records, in batches. Calls `each` with
    /// the first row and the bytes of each batch.
    pub(crate) fn visit(
        &self,
        dataset: &Dataset,
        field: Option<&str>,
        mut each: impl FnMut(usize, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let memory = match field {
            Some(field) => raw::record_of(field, &self.memory)?,
            None => self.memory.clone(),
        };
        let mut bytes = Vec::new();
        for first in (0..dataset.size()).step_by(BATCH) {
            let count = BATCH.min(dataset.size() - first);
            bytes.resize(count * memory.size(), 0_u8);
            raw::read(dataset, &memory, &[first], &[count], &mut bytes)?;
            each(first, &bytes)?;
        }
        Ok(())
    }
}

/// Whether a type is h5py's boolean: an enum of FALSE and TRUE.
pub(crate) fn is_boolean(file: &Datatype) -> bool {
    matches!(file.to_descriptor(), Ok(TypeDescriptor::Boolean))
}

/// Whether a type is h5py's complex number: a record of two floats, `r` and `i`.
pub(crate) fn is_complex(file: &Datatype) -> bool {
    raw::class(file) == Class::Compound
        && raw::fields(file).is_ok_and(|fields| {
            let names = fields.iter().map(|(name, _)| name.as_str());
            names.eq(["r", "i"]) && fields.iter().all(|(_, part)| raw::class(part) == Class::Float)
        })
}

/// The type of a dataset as messages name it: `float64`, `compound (2 fields)`.
pub(crate) fn type_name(dataset: &Dataset) -> String {
    match dataset.dtype().and_then(|t| t.to_descriptor()) {
        Ok(descriptor) => descriptor.to_string(),
        Err(_) => "that no writer of matrices uses".to_owned(),
    }
}
