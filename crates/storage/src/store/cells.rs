//! The sums of a store by cell: one file, written and read in chunks, because there may be very
//! many cells.
//!
//! `cells.bin` has 64 bytes of header and 20 bytes for each cell. Every [`CHUNK`] cells, and the
//! last ones, are followed by their checksum.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::files::{self, Fields};
use crate::error::StorageError;
use crate::tile::CellMoments;

const MAGIC: &[u8; 8] = b"PWCELLS1";
const HEADER: usize = 64;
const CELL_BYTES: usize = 20;

/// Cells that share a checksum.
const CHUNK: usize = 4096;
const CHUNK_BYTES: u64 = (CHUNK * CELL_BYTES + 4) as u64;

/// Bytes of `cells.bin`.
pub(super) fn file_bytes(cells: usize) -> u64 {
    HEADER as u64 + cells as u64 * CELL_BYTES as u64 + 4 * cells.div_ceil(CHUNK) as u64
}

fn header(cells: usize) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    header.extend_from_slice(&(cells as u64).to_le_bytes());
    header.extend_from_slice(&(CHUNK as u64).to_le_bytes());
    header.resize(HEADER, 0);
    header
}

/// Writes `cells.bin` one batch of cells after another.
#[derive(Debug)]
pub(super) struct CellWriter {
    file: File,
    path: PathBuf,
    offset: u64,
    /// The cells of the current chunk.
    pending: Vec<u8>,
}

impl CellWriter {
    pub(super) fn create(path: PathBuf, cells: usize) -> Result<Self, StorageError> {
        let file = File::create(&path).map_err(|error| StorageError::io("create", &path, error))?;
        files::write_at(&file, &path, 0, &header(cells))?;
        Ok(Self { file, path, offset: HEADER as u64, pending: Vec::with_capacity(CHUNK_BYTES as usize) })
    }

    pub(super) fn add(&mut self, cells: &[CellMoments]) -> Result<(), StorageError> {
        for cell in cells {
            self.pending.extend_from_slice(&cell.sum.to_le_bytes());
            self.pending.extend_from_slice(&cell.sum_sq.to_le_bytes());
            self.pending.extend_from_slice(&cell.nonzeros.to_le_bytes());
            if self.pending.len() == CHUNK * CELL_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        let crc = crc32c::crc32c(&self.pending);
        self.pending.extend_from_slice(&crc.to_le_bytes());
        files::write_at(&self.file, &self.path, self.offset, &self.pending)?;
        self.offset += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    /// Writes the last chunk. No cells may be added afterwards.
    pub(super) fn finish(&mut self) -> Result<(), StorageError> {
        if !self.pending.is_empty() {
            self.flush()?;
        }
        files::sync(&self.file, &self.path)
    }
}

/// Checks the header of `cells.bin` of a store of `cells` cells.
pub(super) fn check_header(path: &Path, cells: usize) -> Result<(), StorageError> {
    let mut found = [0; HEADER];
    files::read_at(&files::open(path)?, path, 0, &mut found)?;
    let expected = header(cells);
    if found[..] != expected[..] {
        return Err(StorageError::damaged(path, "the header", expected.escape_ascii(), found.escape_ascii()));
    }
    Ok(())
}

/// Reads the moments of the cells `rows` from `cells.bin` of a store of `cells` cells.
pub(super) fn read(path: &Path, cells: usize, rows: Range<usize>) -> Result<Vec<CellMoments>, StorageError> {
    let mut moments = Vec::with_capacity(rows.len());
    if rows.is_empty() {
        return Ok(moments);
    }
    let file = files::open(path)?;
    let mut bytes = Vec::new();
    for chunk in rows.start / CHUNK..rows.end.div_ceil(CHUNK) {
        let first = chunk * CHUNK;
        let count = CHUNK.min(cells - first);
        bytes.resize(count * CELL_BYTES + 4, 0);
        files::read_at(&file, path, HEADER as u64 + chunk as u64 * CHUNK_BYTES, &mut bytes)?;
        let (records, crc) = bytes.split_at(count * CELL_BYTES);
        let (expected, found) = (crc.u32_at(0), crc32c::crc32c(records));
        if expected != found {
            let what = format!("the checksum of the cells {first} to {}", first + count - 1);
            return Err(StorageError::damaged(path, what, format!("{expected:08x}"), format!("{found:08x}")));
        }
        let wanted = rows.start.max(first) - first..rows.end.min(first + count) - first;
        let records = records[wanted.start * CELL_BYTES..wanted.end * CELL_BYTES].chunks_exact(CELL_BYTES);
        moments.extend(records.map(|record| CellMoments {
            sum: record.f64_at(0),
            sum_sq: record.f64_at(8),
            nonzeros: record.u32_at(16),
        }));
    }
    Ok(moments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_range_of_cells_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cells.bin");
        for cells in [0, 1, CHUNK - 1, CHUNK, 2 * CHUNK + 5] {
            let moments: Vec<_> = (0..cells)
                .map(|cell| CellMoments { nonzeros: cell as u32, sum: cell as f64 + 0.5, sum_sq: -1.0 / cell as f64 })
                .collect();
            let mut writer = CellWriter::create(path.clone(), cells).unwrap();
            moments.chunks(1000).for_each(|some| writer.add(some).unwrap());
            writer.finish().unwrap();
            assert_eq!(files::size(&path).unwrap(), file_bytes(cells));
            check_header(&path, cells).unwrap();
            for rows in [0..cells, 0..cells.min(1), cells / 3..cells / 2, cells.saturating_sub(7)..cells, cells..cells]
            {
                assert_eq!(read(&path, cells, rows.clone()).unwrap(), moments[rows]);
            }
        }
    }
}
