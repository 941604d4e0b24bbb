//! Numbers in HDF5 files.

use hdf5::{Dataset, Group};

use super::ahead::Ahead;
use super::numbers::{Access, Numbers, ReadAhead};
use super::{DAMAGED, Place};
use crate::StorageError;
use crate::hdf::cache::ChunkNeed;
use crate::hdf::number::{NumberType, type_name};
use crate::hdf::{claim, elsewhere, filter, raw};
use crate::number::Scalar;

/// A dataset of numbers.
pub(super) struct Hdf5Numbers {
    dataset: Dataset,
    number: NumberType,
    shape: Vec<usize>,
    chunk: Option<Vec<usize>>,
    stored: u64,
    need: ChunkNeed,
    place: Place,
    part: &'static str,
}

impl Hdf5Numbers {
    /// Opens the dataset `name` of `group`, which is `part` of the matrix at `place`, with the
    /// chunk cache for reading it in order.
    pub(super) fn open(
        group: &Group,
        name: &str,
        access: Access,
        place: &Place,
        part: &'static str,
    ) -> Result<Hdf5Numbers, StorageError> {
        let plain = group.dataset(name).map_err(|e| place.problem(part, &e))?;
        let number = numbers_of(&plain, place, part)?;
        let (shape, chunk, stored) = (plain.shape(), plain.chunk(), plain.storage_size());
        let mut need = ChunkNeed::of(&plain);
        if let (Access::Boxes, Some(&[height, width]), &[rows, columns]) = (access, chunk.as_deref(), &shape[..]) {
            // A box reads whole chunks, so that one of them is in the cache at a time.
            need = need.of_one((rows, columns), (height.max(1), width.max(1)));
        }
        // Closed first: a dataset that is opened twice shares its first chunk cache.
        drop(plain);
        let dataset = raw::open_dataset(group, name, need).map_err(|e| place.problem(part, &e))?;
        Ok(Hdf5Numbers { dataset, number, shape, chunk, stored, need, place: place.clone(), part })
    }
}

impl Numbers for Hdf5Numbers {
    fn scalar(&self) -> Scalar {
        self.number.scalar
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn chunk(&self) -> Option<&[usize]> {
        self.chunk.as_deref()
    }

    fn stored_bytes(&self) -> u64 {
        self.stored
    }

    fn resident_bytes(&self) -> u64 {
        self.need.resident
    }

    fn read(&mut self, first: &[usize], counts: &[usize], out: &mut [u8]) -> Result<(), StorageError> {
        raw::read(&self.dataset, &self.number.memory, first, counts, out).map_err(|e| self.place.problem(self.part, &e))
    }

    fn values_ahead(&self, threads: usize, memory: u64) -> Option<Box<dyn ReadAhead<f32>>> {
        let ahead = Ahead::values(&self.dataset, self.number.scalar, threads, memory)?;
        Some(Box::new(ahead))
    }

    fn indices_ahead(&self, limit: usize, threads: usize, memory: u64) -> Option<Box<dyn ReadAhead<u32>>> {
        let ahead = Ahead::indices(&self.dataset, self.number.scalar, limit, threads, memory)?;
        Some(Box::new(ahead))
    }
}

/// The number type of a part of a matrix. Checks that the library has its filters.
fn numbers_of(dataset: &Dataset, place: &Place, part: &str) -> Result<NumberType, StorageError> {
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
