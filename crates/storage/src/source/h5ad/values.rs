//! Reads numbers of any type as f32.

use hdf5::Dataset;

use super::{DAMAGED, Place};
use crate::StorageError;
use crate::hdf::number::{NumberType, type_name};
use crate::hdf::{claim, elsewhere, filter, raw};
use crate::number::Rounding;
use crate::number::{Number, Scalar, bytes_of, to_f32, with_scalar};

/// Values converted at a time.
const PIECE: usize = 1 << 16;

/// A dataset of matrix values.
pub(super) struct Values {
    dataset: Dataset,
    number: NumberType,
    scratch: Vec<u64>,
    rounding: Rounding,
}

/// The reason why values cannot be read.
pub(super) enum Fault {
    /// An error of the library.
    Library(hdf5::Error),
    /// NMF does not accept the value at this position of the box, row-major.
    Value { at: usize, value: f64 },
}

impl Values {
    /// Values of `dataset`, which is `part` of the matrix at `place`.
    pub(super) fn of(dataset: Dataset, place: &Place, part: &str) -> Result<Values, StorageError> {
        let number = numbers_of(&dataset, place, part)?;
        Ok(Values { dataset, number, scratch: Vec::new(), rounding: Rounding::default() })
    }

    /// Bytes of scratch memory for boxes of `width` columns.
    pub(super) fn scratch_bytes(&self, width: usize) -> u64 {
        match self.number.scalar {
            Scalar::F32 => 0,
            other => (PIECE.max(width) * other.size()) as u64,
        }
    }

    /// The values rounded so far.
    pub(super) fn rounding(&self) -> Rounding {
        self.rounding
    }

    /// Reads the box `first .. first + counts` into `out`, in pieces of whole rows.
    pub(super) fn read(&mut self, first: &[usize], counts: &[usize], out: &mut [f32]) -> Result<(), Fault> {
        if self.number.scalar == Scalar::F32 {
            raw::read(&self.dataset, &self.number.memory, first, counts, out).map_err(Fault::Library)?;
            for (at, value) in out.iter_mut().enumerate() {
                *value = value.accept().ok_or(Fault::Value { at, value: f64::from(*value) })?;
            }
            return Ok(());
        }
        let width: usize = counts[1..].iter().product();
        let rows_at_once = (PIECE / width.max(1)).max(1);
        let (mut first, mut piece) = (first.to_vec(), counts.to_vec());
        let mut done = 0;
        while done < counts[0] {
            piece[0] = rows_at_once.min(counts[0] - done);
            let span = done * width..(done + piece[0]) * width;
            self.read_piece(&first, &piece, &mut out[span.clone()]).map_err(|fault| match fault {
                Fault::Value { at, value } => Fault::Value { at: span.start + at, value },
                library => library,
            })?;
            first[0] += piece[0];
            done += piece[0];
        }
        Ok(())
    }

    fn read_piece(&mut self, first: &[usize], counts: &[usize], out: &mut [f32]) -> Result<(), Fault> {
        with_scalar!(self.number.scalar, T => {
            self.scratch.resize(bytes_of::<T>(out.len()).div_ceil(8), 0);
            let values = &mut bytemuck::cast_slice_mut::<u64, T>(&mut self.scratch)[..out.len()];
            raw::read(&self.dataset, &self.number.memory, first, counts, values).map_err(Fault::Library)?;
            to_f32(values, out, &mut self.rounding).map_err(|(at, value)| Fault::Value { at, value })
        })
    }
}

/// The number type of a part of a matrix. Checks that the library has its filters.
pub(super) fn numbers_of(dataset: &Dataset, place: &Place, part: &str) -> Result<NumberType, StorageError> {
    if let Some(filter) = filter::missing(dataset) {
        let problem = format!("is compressed with {filter}, which the HDF5 library here cannot read");
        let remedy = "set HDF5_PLUGIN_PATH to a folder with that plugin (pip install hdf5plugin has them), or save the file \
                      with compression=\"gzip\"";
        return Err(place.invalid(part, problem, remedy));
    }
    if let Some(source) = elsewhere::missing(dataset) {
        let problem = format!("has values in another file, and there is no {source}");
        return Err(place.invalid(part, problem, "put that file beside this one"));
    }
    if let Some(problem) = claim::wrong(dataset) {
        return Err(place.invalid(part, problem, DAMAGED));
    }
    let number = dataset.dtype().and_then(|t| NumberType::of(&t)).map_err(|e| place.problem(part, &e))?;
    number.ok_or_else(|| {
        let problem = format!("holds values of type {}, expected numbers", type_name(dataset));
        place.invalid(part, problem, "save it again with a numeric type")
    })
}
