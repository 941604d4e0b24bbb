//! The files of W, one a process: a header, the rows of its blocks, and a table of their checksums.
//! The manifest has the checksum of header and table, and the table has those of the rows. So a
//! process that resumes reads only its own blocks, and knows that they are the ones that the
//! manifest means. `docs/format.md` has the bytes.
//!
//! (A checksum right behind the rows would take them out of the checksum of the whole, because the
//! CRC of bytes followed by their CRC is always the same.)

use std::fs::File;
use std::io::ErrorKind;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use partwise_storage::{Monitor, StorageError, traffic};
use serde::{Deserialize, Serialize};

use super::file::{Draft, Seal, check_crc, check_size};
use crate::error::DriverError;
use crate::usages::Usages;

const MAGIC: u64 = u64::from_le_bytes(*b"PWUSAGE1");
/// Words of the header: the kind of file, its first block, its number of blocks, rows of a block,
/// cells, k, and zeros.
const HEADER: usize = 8;
const HEADER_BYTES: u64 = 8 * HEADER as u64;

/// One of the files, as the manifest lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) first_block: u64,
    pub(super) blocks: u64,
    #[serde(flatten)]
    pub(super) seal: Seal,
}

impl Part {
    fn holds(&self, block: usize) -> bool {
        (self.first_block..self.first_block.saturating_add(self.blocks)).contains(&(block as u64))
    }
}

/// Bytes of the file of these blocks.
pub(super) fn bytes(usages: &Usages, blocks: Range<usize>) -> u64 {
    HEADER_BYTES + blocks.map(|block| rows_bytes(usages, block) + 4).sum::<u64>()
}

/// Bytes of the rows of a block.
fn rows_bytes(usages: &Usages, block: usize) -> u64 {
    4 * (usages.rows_of(block) * usages.k()) as u64
}

fn header(usages: &Usages, blocks: Range<usize>) -> [u64; HEADER] {
    let words = [blocks.start, blocks.len(), usages.block_rows(), usages.cells(), usages.k(), 0, 0];
    let mut header = [MAGIC; HEADER];
    header[1..].iter_mut().zip(words).for_each(|(word, value)| *word = value as u64);
    header
}

/// Writes the rows of `blocks` as they are kept, block by block, and brings them to the disk.
pub(super) fn write(
    path: &Path,
    usages: &Usages,
    blocks: Range<usize>,
    monitor: &dyn Monitor,
) -> Result<Seal, DriverError> {
    let mut file = Draft::create(path)?;
    file.put(bytemuck::cast_slice(&header(usages, blocks.clone())))?;
    let mut table = Vec::with_capacity(blocks.len());
    for block in blocks {
        usages.show_kept(block, |rows| {
            let rows: &[u8] = bytemuck::cast_slice(rows);
            table.push(crc32c::crc32c(rows));
            Ok(file.put_vouched_for(rows)?)
        })?;
        monitor.advance(rows_bytes(usages, block));
    }
    file.put(bytemuck::cast_slice(&table))?;
    Ok(file.finish()?)
}

/// Fills the rows of `blocks` from the `parts` that hold them, and makes them the current
/// generation.
pub(super) fn read(
    folder: &Path,
    parts: &[Part],
    usages: &mut Usages,
    blocks: Range<usize>,
    monitor: &dyn Monitor,
) -> Result<(), DriverError> {
    let mut open: Option<Open> = None;
    let mut rows = Vec::new();
    for block in blocks {
        let part = parts.iter().find(|part| part.holds(block)).ok_or_else(|| {
            StorageError::damaged(folder, "the files of W", format!("block {block}"), "files without it")
        })?;
        let file = match open.take() {
            Some(file) if file.first_block == part.first_block as usize => file,
            _ => Open::new(folder, part, usages)?,
        };
        file.read(block, usages, &mut rows)?;
        usages.store_packed(block, &rows)?;
        monitor.advance(rows_bytes(usages, block));
        open = Some(file);
    }
    usages.accept();
    Ok(())
}

/// A file whose size, header and table are right.
struct Open {
    path: PathBuf,
    file: File,
    first_block: usize,
    /// Checksums of the rows of its blocks.
    table: Vec<u32>,
}

impl Open {
    fn new(folder: &Path, part: &Part, usages: &Usages) -> Result<Self, StorageError> {
        let path = folder.join(&part.name);
        let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        let (first_block, end) = (number(part.first_block), number(part.first_block.saturating_add(part.blocks)));
        if end > usages.blocks() || bytes(usages, first_block..end) != part.seal.bytes {
            return Err(StorageError::damaged(&path, "the blocks", "those of its bytes", "others"));
        }
        check_size(&path, part.seal.bytes)?;
        let file = File::open(&path).map_err(|error| StorageError::io("open", &path, error))?;
        let mut open = Open { path, file, first_block, table: vec![0; end - first_block] };
        let mut table = std::mem::take(&mut open.table);
        let mut found = [0u64; HEADER];
        open.fill(0, bytemuck::cast_slice_mut(&mut found))?;
        open.fill(part.seal.bytes - 4 * table.len() as u64, bytemuck::cast_slice_mut(&mut table))?;
        let crc = crc32c::crc32c(bytemuck::cast_slice(&found));
        let crc = crc32c::crc32c_append(crc, bytemuck::cast_slice(&table));
        check_crc(&open.path, "the checksum of header and table", part.seal.crc32c, crc)?;
        if found != header(usages, first_block..end) {
            return Err(StorageError::damaged(&open.path, "the header", "that of these blocks", "another"));
        }
        Ok(Open { table, ..open })
    }

    fn read(&self, block: usize, usages: &Usages, rows: &mut Vec<f32>) -> Result<(), StorageError> {
        let at = block - self.first_block;
        // Every block before the last has as many rows as the first.
        let offset = HEADER_BYTES + at as u64 * rows_bytes(usages, self.first_block);
        rows.resize(usages.rows_of(block) * usages.k(), 0.0);
        self.fill(offset, bytemuck::cast_slice_mut(rows))?;
        let what = format!("the checksum of block {block}");
        check_crc(&self.path, &what, self.table[at], crc32c::crc32c(bytemuck::cast_slice(rows)))
    }

    fn fill(&self, offset: u64, bytes: &mut [u8]) -> Result<(), StorageError> {
        self.file.read_exact_at(bytes, offset).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => StorageError::damaged(&self.path, "its end", "later", "here"),
            _ => StorageError::io("read", &self.path, error),
        })?;
        traffic::ended();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usages::{UsagesPlace, UsagesStart};
    use partwise_storage::Quiet;

    fn empty(place: &UsagesPlace) -> Usages {
        Usages::new(10, 3, 4, place, UsagesStart::Zero).unwrap()
    }

    fn filled(place: &UsagesPlace) -> Usages {
        let mut usages = empty(place);
        for block in 0..usages.blocks() {
            let values: Vec<f32> = (0..usages.rows_of(block) * 3).map(|i| (100 * block + i) as f32).collect();
            usages.store_packed(block, &values).unwrap();
        }
        usages.accept();
        usages
    }

    fn all(usages: &Usages) -> Vec<f32> {
        let block = |block| {
            let mut rows = vec![0.0; usages.rows_of(block) * 3];
            usages.load(block, &mut rows).unwrap();
            rows
        };
        (0..usages.blocks()).flat_map(block).collect()
    }

    fn parts(folder: &Path, usages: &Usages, cuts: &[usize]) -> Vec<Part> {
        let part = |(i, cut): (usize, &[usize])| {
            let name = format!("w{i}");
            let seal = write(&folder.join(&name), usages, cut[0]..cut[1], &Quiet).unwrap();
            assert_eq!(seal.bytes, bytes(usages, cut[0]..cut[1]));
            Part { name, first_block: cut[0] as u64, blocks: (cut[1] - cut[0]) as u64, seal }
        };
        cuts.windows(2).enumerate().map(part).collect()
    }

    #[test]
    fn any_cut_comes_back_in_any_other() {
        let folder = tempfile::tempdir().unwrap();
        let disk = UsagesPlace::Disk(folder.path().into());
        for (from, to) in [(&UsagesPlace::Memory, &disk), (&disk, &UsagesPlace::Memory)] {
            let usages = filled(from);
            for cuts in [&[0, 3][..], &[0, 1, 2, 3], &[0, 2, 2, 3]] {
                let parts = parts(folder.path(), &usages, cuts);
                let mut back = empty(to);
                read(folder.path(), &parts, &mut back, 0..3, &Quiet).unwrap();
                assert_eq!(all(&back), all(&usages), "{cuts:?}");
                let mut some = empty(to);
                read(folder.path(), &parts, &mut some, 1..2, &Quiet).unwrap();
                let mut rows = vec![0.0; 12];
                some.load(1, &mut rows).unwrap();
                assert_eq!(rows, &all(&usages)[12..24], "{cuts:?}");
            }
        }
    }

    #[test]
    fn rows_of_another_time_are_not_taken_for_these() {
        let folder = tempfile::tempdir().unwrap();
        let mut usages = filled(&UsagesPlace::Memory);
        let before = parts(folder.path(), &usages, &[0, 3]);
        let mut rows = vec![0.0; 12];
        usages.load(1, &mut rows).unwrap();
        for block in [0, 2] {
            let mut same = vec![0.0; usages.rows_of(block) * 3];
            usages.load(block, &mut same).unwrap();
            usages.store_packed(block, &same).unwrap();
        }
        rows[7] += 1.0;
        usages.store_packed(1, &rows).unwrap();
        usages.accept();
        let after = parts(folder.path(), &usages, &[0, 3]);
        assert_ne!(before[0].seal.crc32c, after[0].seal.crc32c);
        assert!(read(folder.path(), &before, &mut empty(&UsagesPlace::Memory), 0..3, &Quiet).is_err());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let parts = parts(folder.path(), &filled(&UsagesPlace::Memory), &[0, 3]);
        let path = folder.path().join(&parts[0].name);
        let whole = std::fs::read(&path).unwrap();
        let goes = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            read(folder.path(), &parts, &mut empty(&UsagesPlace::Memory), 0..3, &Quiet).is_ok()
        };
        assert!(goes(&whole));
        for at in 0..whole.len() {
            let mut bad = whole.clone();
            bad[at] ^= 1 << (at % 8);
            assert!(!goes(&bad), "byte {at}");
            assert!(!goes(&whole[..at]), "cut at {at}");
        }
        std::fs::remove_file(&path).unwrap();
        let gone = read(folder.path(), &parts, &mut empty(&UsagesPlace::Memory), 0..3, &Quiet).unwrap_err();
        assert!(gone.to_string().contains("w0"), "{gone}");
    }
}
