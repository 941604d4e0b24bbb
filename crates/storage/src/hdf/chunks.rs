//! Chunks of a list, fetched packed and unpacked outside of the library.
//!
//! The library unpacks one chunk at a time, under its process-wide lock. It also hands out a chunk as
//! it is stored, which only costs a read of the file. So any number of threads unpack at once.
//!
//! This is a fast path. It covers lists in chunks of moderate size whose numbers have the byte order of
//! the machine, and the filters of [`Codec`]. Where it does not apply, or anything is odd (a chunk is
//! missing or damaged), the caller reads through the library, which also reports what is wrong.

use std::fs::File;
use std::os::unix::fs::FileExt;

use hdf5::Dataset;
use hdf5::plist::dataset_create::Layout;

use super::filter::Step;
use super::raw;
use crate::codec::shuffle;
use crate::traffic;

/// Bytes of the largest chunk that is unpacked this way.
const LARGEST: usize = 16 << 20;

/// Elements of a piece of a list that is stored in one piece.
const PIECE: usize = 1 << 16;

/// The chunks of a list of numbers.
pub(crate) struct Chunks {
    dataset: Dataset,
    len: usize,
    /// Elements of a chunk; the last one may reach beyond the list.
    chunk: usize,
    /// Bytes of an element.
    element: usize,
    /// What was done to each chunk, first to last.
    steps: Vec<Step>,
    /// The file and the place of the values, if they are stored in one piece.
    whole: Option<(File, u64)>,
}

/// Buffers of one thread.
#[derive(Default)]
pub(crate) struct Scratch {
    packed: Vec<u8>,
    other: Vec<u8>,
    /// Words, so that numbers in it are aligned.
    unpacked: Vec<u64>,
}

impl Chunks {
    /// The chunks of `dataset`; `None` if they cannot be read this way.
    pub(crate) fn of(dataset: &Dataset) -> Option<Chunks> {
        let datatype = dataset.dtype().ok()?;
        let element = datatype.size();
        let create = dataset.create_plist().ok()?;
        if dataset.ndim() != 1 || raw::native(&datatype).ok()? != datatype || !create.external().is_empty() {
            return None;
        }
        let len = dataset.size();
        let dataset = dataset.clone();
        match (create.layout(), dataset.chunk()) {
            (Layout::Chunked, Some(chunk)) => {
                let steps = super::filter::steps(&dataset)?;
                let chunk = chunk[0];
                let fits = chunk > 0 && chunk.checked_mul(element)? <= LARGEST;
                fits.then_some(Chunks { dataset, len, chunk, element, steps, whole: None })
            }
            (Layout::Contiguous, _) => {
                let file = File::open(dataset.filename()).ok()?;
                let at = dataset.offset()?;
                Some(Chunks { dataset, len, chunk: PIECE, element, steps: Vec::new(), whole: Some((file, at)) })
            }
            _ => None,
        }
    }

    /// Elements of the list.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Elements of a chunk.
    pub(crate) fn chunk(&self) -> usize {
        self.chunk
    }

    /// Bytes of a chunk.
    pub(crate) fn chunk_bytes(&self) -> usize {
        self.chunk * self.element
    }

    /// Bytes of an element.
    pub(crate) fn element(&self) -> usize {
        self.element
    }

    /// Reads and unpacks the chunk `index`. Returns its elements that are inside the list, aligned
    /// for any number; `None` if it cannot be read this way.
    pub(crate) fn read<'s>(&self, index: usize, scratch: &'s mut Scratch) -> Option<&'s [u64]> {
        let bytes = self.chunk_bytes();
        let inside = self.chunk.min(self.len.checked_sub(index * self.chunk)?) * self.element;
        scratch.unpacked.resize(bytes.div_ceil(8), 0);
        if let Some((file, at)) = &self.whole {
            let out = &mut bytemuck::cast_slice_mut::<u64, u8>(&mut scratch.unpacked)[..inside];
            file.read_exact_at(out, at + (index * bytes) as u64).ok()?;
            traffic::ended();
        } else {
            let mask =
                raw::read_chunk(&self.dataset, index * self.chunk, 2 * bytes + 65_536, &mut scratch.packed).ok()?;
            self.unpack(mask, scratch)?;
        }
        Some(&scratch.unpacked)
    }

    /// Undoes the steps, last to first. The bit of a step in `mask` says that it was left out.
    fn unpack(&self, mask: u32, scratch: &mut Scratch) -> Option<()> {
        let Scratch { packed, other, unpacked } = scratch;
        let bytes = self.chunk_bytes();
        for (at, step) in self.steps.iter().enumerate().rev() {
            if mask & (1 << at) != 0 {
                continue;
            }
            match *step {
                Step::Codec(codec) => {
                    other.resize(bytes, 0);
                    if codec.unpack(packed, other)? != bytes {
                        return None;
                    }
                    std::mem::swap(packed, other);
                }
                Step::Shuffle => {
                    other.resize(packed.len(), 0);
                    shuffle::unshuffle(self.element, packed, other);
                    std::mem::swap(packed, other);
                }
            }
        }
        let out = &mut bytemuck::cast_slice_mut::<u64, u8>(unpacked)[..bytes];
        (packed.len() == bytes).then(|| out.copy_from_slice(packed))
    }
}
