//! Numbers of any type that HDF5 files hold.

use hdf5::{Dataset, Datatype, Result};

use super::raw::{self, Class};
use crate::number::Scalar;

/// How a dataset's numbers look in memory.
#[derive(Clone)]
pub(crate) struct NumberType {
    /// The Rust type.
    pub(crate) scalar: Scalar,
    /// The same for the HDF5 library.
    pub(crate) memory: Datatype,
}

impl NumberType {
    /// The type to read numbers of type `file` with; `None` where they are no numbers that we know.
    ///
    /// Bytes in another order and 16-bit floats are converted by the library; enums (h5py's booleans) are read as integers.
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

/// What the numbers of a dataset are called in messages: `float64`, `compound (2 fields)`.
pub(crate) fn type_name(dataset: &Dataset) -> String {
    match dataset.dtype().and_then(|t| t.to_descriptor()) {
        Ok(descriptor) => descriptor.to_string(),
        Err(_) => "that no writer of matrices uses".to_owned(),
    }
}
