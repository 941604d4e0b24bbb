//! Reads and decodes the pieces of an array: chunks, or inner chunks of shards.

use std::sync::Arc;

use super::array::Array;
use super::container::{Entry, Sizes};
use super::element::Element;
use super::node::Store;
use super::steps::{self, Length};
use crate::StorageError;
use crate::codec::DENSEST;

/// Bytes that are never too many for a small piece.
const SMALL: u64 = 64 << 10;

/// The most bytes of the strings of a piece.
const MOST_TEXT: u64 = 1 << 30;

/// The position and length of a piece that is not there.
const ABSENT: u64 = u64::MAX;

/// The pieces of an array.
pub(super) struct Pieces {
    store: Arc<Store>,
    name: String,
    array: Array,
    sizes: Sizes,
    /// The file that was read last.
    open: Option<Chunk>,
}

/// The file of a chunk.
struct Chunk {
    position: Vec<usize>,
    key: String,
    /// The file, and the positions and lengths of its pieces; `None` if there is no file.
    found: Option<(Entry, Vec<(u64, u64)>)>,
}

impl Pieces {
    /// Checks the metadata of the array at `name` against the sizes of its files.
    ///
    /// # Errors
    ///
    /// - files of that size cannot hold chunks as large as the metadata say
    pub(super) fn open(store: &Arc<Store>, name: &str, array: Array) -> Result<Pieces, StorageError> {
        let sizes = store.sizes(name)?;
        let pieces = Pieces { store: store.clone(), name: name.into(), array, sizes, open: None };
        let bytes = pieces.array.piece_bytes();
        if bytes > sizes.largest.saturating_mul(DENSEST).saturating_add(SMALL) {
            let problem = format!("has chunks of {bytes} bytes, but no file of more than {} bytes", sizes.largest);
            return Err(store.invalid(name, problem));
        }
        if pieces.index_bytes() > sizes.largest.saturating_add(SMALL) {
            let count = pieces.array.pieces_of_chunk();
            let problem = format!("has {count} chunks in a shard, but no file of more than {} bytes", sizes.largest);
            return Err(store.invalid(name, problem));
        }
        Ok(pieces)
    }

    pub(super) fn array(&self) -> &Array {
        &self.array
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// The most bytes in memory to decode one piece, without the decoded values.
    pub(super) fn resident_bytes(&self) -> u64 {
        let piece = self.array.piece_bytes();
        // Decoders that follow each other, transposed pieces and wider numbers need a second
        // buffer, blosc one for a block.
        let numbers = [self.most_packed().min(self.sizes.largest), piece, 2 * self.index_bytes()];
        numbers.into_iter().fold(self.sizes.largest_deflated, u64::saturating_add)
    }

    /// Reads and decodes the piece at `position`: numbers become native, row by row. Returns `None`
    /// if no file has it: all its entries have the fill value.
    ///
    /// # Errors
    ///
    /// - the file cannot be read, or is damaged
    pub(super) fn decode(&mut self, position: &[usize]) -> Result<Option<Vec<u8>>, StorageError> {
        let Some((key, packed)) = self.packed(position)? else { return Ok(None) };
        let array = &self.array;
        let length = match array.element.size() {
            Some(size) => Length::Exactly(array.piece_len() * size),
            None => Length::AtMost(MOST_TEXT),
        };
        let decoded = steps::decode(&array.steps, packed, length);
        let mut bytes = decoded.map_err(|problem| self.store.invalid(&key, problem))?;
        if let (true, &[rows, columns], Some(size)) = (array.by_column, &array.piece[..], array.element.size()) {
            bytes = transposed(&bytes, rows, columns, size);
        }
        array.element.to_native(&mut bytes);
        Ok(Some(bytes))
    }

    /// The bytes of a piece as they are in the file, with the key of the file.
    fn packed(&mut self, position: &[usize]) -> Result<Option<(String, Vec<u8>)>, StorageError> {
        let per_chunk: Vec<usize> = self.array.chunk.iter().zip(&self.array.piece).map(|(c, p)| c / p).collect();
        let chunk: Vec<usize> = position.iter().zip(&per_chunk).map(|(at, per)| at / per).collect();
        // A failure leaves no file open.
        let open = match self.open.take().filter(|open| open.position == chunk) {
            Some(open) => open,
            None => self.open_chunk(chunk)?,
        };
        let within = position.iter().zip(&per_chunk).fold(0, |at, (axis, per)| at * per + axis % per);
        let packed = match &open.found {
            Some((entry, index)) => self.read_piece(&open.key, entry, index, within)?,
            None => None,
        };
        let key = open.key.clone();
        self.open = Some(open);
        Ok(packed.map(|packed| (key, packed)))
    }

    fn read_piece(
        &self,
        key: &str,
        entry: &Entry,
        index: &[(u64, u64)],
        within: usize,
    ) -> Result<Option<Vec<u8>>, StorageError> {
        let (at, len) = match self.array.shard {
            None => (0, entry.len()),
            Some(_) if index[within] == (ABSENT, ABSENT) => return Ok(None),
            Some(_) => index[within],
        };
        if at.checked_add(len).is_none_or(|end| end > entry.len()) {
            let problem = format!("has a chunk of {len} bytes at byte {at}, but {} bytes", entry.len());
            return Err(self.store.invalid(key, problem));
        }
        if len > self.most_packed() {
            let problem = format!("has {len} bytes for a chunk of {}", self.array.piece_bytes());
            return Err(self.store.invalid(key, problem));
        }
        let mut packed = vec![0; len as usize];
        self.read(key, entry, at, &mut packed)?;
        Ok(Some(packed))
    }

    fn open_chunk(&self, position: Vec<usize>) -> Result<Chunk, StorageError> {
        let key = format!("{}/{}", self.name, self.array.key(&position));
        let entry = self.store.container().entry(&key).map_err(|error| self.store.unreadable(&key, error))?;
        let found = match entry {
            Some(entry) => {
                let index = self.read_index(&key, &entry)?;
                Some((entry, index))
            }
            None => None,
        };
        Ok(Chunk { position, key, found })
    }

    /// Reads the index of a shard; an empty one if the array has no shards.
    fn read_index(&self, key: &str, entry: &Entry) -> Result<Vec<(u64, u64)>, StorageError> {
        let Some(shard) = self.array.shard else { return Ok(Vec::new()) };
        let len = self.index_bytes();
        let Some(end) = entry.len().checked_sub(len) else {
            let problem = format!("has {} bytes, but its index has {len}: it is cut short", entry.len());
            return Err(self.store.invalid(key, problem));
        };
        let mut bytes = vec![0; len as usize];
        self.read(key, entry, if shard.at_end { end } else { 0 }, &mut bytes)?;
        let length = Length::Exactly(16 * self.array.pieces_of_chunk());
        let steps: &[steps::Step] = if shard.checked { &[steps::Step::Crc32c] } else { &[] };
        let bytes = steps::decode(steps, bytes, length);
        let bytes = bytes.map_err(|problem| self.store.invalid(key, format!("has an index that {problem}")))?;
        let number = |eight: &[u8]| u64::from_le_bytes(std::array::from_fn(|at| eight[at]));
        Ok(bytes.chunks_exact(16).map(|pair| (number(&pair[..8]), number(&pair[8..]))).collect())
    }

    fn read(&self, key: &str, entry: &Entry, at: u64, out: &mut [u8]) -> Result<(), StorageError> {
        self.store.container().read(entry, at, out).map_err(|error| self.store.unreadable(key, error))
    }

    /// Bytes of the index of a shard.
    fn index_bytes(&self) -> u64 {
        match self.array.shard {
            Some(shard) => 16 * self.array.pieces_of_chunk() as u64 + if shard.checked { 4 } else { 0 },
            None => 0,
        }
    }

    /// The most bytes of a piece in a file: compression adds little where it fails.
    fn most_packed(&self) -> u64 {
        match self.array.element {
            Element::Text => MOST_TEXT,
            _ => self.array.piece_bytes().saturating_mul(2).saturating_add(SMALL),
        }
    }
}

/// The values of `rows` × `columns` row by row, from column by column.
fn transposed(bytes: &[u8], rows: usize, columns: usize, size: usize) -> Vec<u8> {
    let mut out = vec![0; bytes.len()];
    for (at, value) in bytes.chunks_exact(size.max(1)).enumerate() {
        let to = (at % rows * columns + at / rows) * size;
        out[to..to + size].copy_from_slice(value);
    }
    out
}
