//! Numeric types of HDF5 files.

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

/// The type of a dataset as messages name it: `float64`, `compound (2 fields)`.
pub(crate) fn type_name(dataset: &Dataset) -> String {
    match dataset.dtype().and_then(|t| t.to_descriptor()) {
        Ok(descriptor) => descriptor.to_string(),
        Err(_) => "that no writer of matrices uses".to_owned(),
    }
}
