//! Finds repeated values among any number of hashes in the same memory.
//!
//! Hashes are sorted in runs of [`RUN`]. If there are several runs, they are written to a file and
//! merged.

use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::{StorageError, traffic};

/// Hashes sorted in memory: 4 MiB.
const RUN: usize = 1 << 19;

/// Bytes read from a run at a time.
const BUFFER: usize = 1 << 14;

/// The hash of some bytes, 64 bits.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

/// Sorts hashes, on disk if there are many.
pub(crate) struct Sorter<'a> {
    folder: &'a Path,
    run: usize,
    held: Vec<u64>,
    spilled: Option<File>,
    runs: usize,
}

impl<'a> Sorter<'a> {
    /// Sorts in `folder` if there are many.
    pub(crate) fn new(folder: &'a Path) -> Self {
        Self::with_runs(folder, RUN)
    }

    fn with_runs(folder: &'a Path, run: usize) -> Self {
        Sorter { folder, run, held: Vec::new(), spilled: None, runs: 0 }
    }

    /// Adds a hash.
    pub(crate) fn push(&mut self, hash: u64) -> Result<(), StorageError> {
        self.held.push(hash);
        if self.held.len() < self.run { Ok(()) } else { self.spill() }
    }

    /// The number of hashes equal to the one before them in order, and the first of those.
    pub(crate) fn repeats(mut self) -> Result<Option<(u64, u64)>, StorageError> {
        let mut tally = Tally::default();
        if self.runs == 0 {
            self.held.sort_unstable();
            self.held.iter().for_each(|&hash| tally.see(hash));
            return Ok(tally.found());
        }
        self.spill()?;
        let io = |e| StorageError::io("read", self.folder, e);
        let Some(file) = &self.spilled else { return Ok(None) };
        let mut runs = Vec::new();
        for run in 0..self.runs {
            runs.push(Run::open(file, run * self.run, self.run).map_err(io)?);
        }
        while let Some(least) = runs.iter().filter_map(|r| r.next).min() {
            for run in &mut runs {
                while run.next == Some(least) {
                    tally.see(least);
                    run.advance().map_err(io)?;
                }
            }
        }
        Ok(tally.found())
    }

    fn spill(&mut self) -> Result<(), StorageError> {
        if self.held.is_empty() {
            return Ok(());
        }
        let io = |e| StorageError::io("write", self.folder, e);
        self.held.sort_unstable();
        if self.spilled.is_none() {
            self.spilled = Some(tempfile::tempfile_in(self.folder).map_err(io)?);
        }
        if let Some(file) = &mut self.spilled {
            let at = (self.runs * self.run * 8) as u64;
            file.seek(SeekFrom::Start(at)).map_err(io)?;
            let mut out = BufWriter::new(file);
            out.write_all(bytemuck::cast_slice(&self.held)).and_then(|()| out.flush()).map_err(io)?;
            traffic::ended();
        }
        self.runs += 1;
        self.held.clear();
        Ok(())
    }
}

/// One sorted run in the file.
struct Run<'a> {
    reader: BufReader<Part<'a>>,
    next: Option<u64>,
}

impl<'a> Run<'a> {
    fn open(file: &'a File, first: usize, len: usize) -> std::io::Result<Self> {
        let (at, end) = (first as u64 * 8, (first + len) as u64 * 8);
        let reader = BufReader::with_capacity(BUFFER, Part { file, at, end });
        let mut run = Run { reader, next: None };
        run.advance()?;
        Ok(run)
    }

    fn advance(&mut self) -> std::io::Result<()> {
        let mut bytes = [0; 8];
        self.next = match self.reader.read_exact(&mut bytes) {
            Ok(()) => Some(u64::from_ne_bytes(bytes)),
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => None,
            Err(e) => return Err(e),
        };
        Ok(())
    }
}

/// A range of a file, read without moving the file's own position.
struct Part<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(&mut buffer[..left], self.at)?;
        traffic::ended();
        self.at += count as u64;
        Ok(count)
    }
}

/// Counts equal neighbours.
#[derive(Default)]
struct Tally {
    last: Option<u64>,
    count: u64,
    first: Option<u64>,
}

impl Tally {
    fn see(&mut self, hash: u64) {
        if self.last == Some(hash) {
            self.count += 1;
            self.first.get_or_insert(hash);
        }
        self.last = Some(hash);
    }

    fn found(&self) -> Option<(u64, u64)> {
        self.first.map(|first| (self.count, first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repeats(run: usize, hashes: &[u64]) -> Option<(u64, u64)> {
        let folder = tempfile::tempdir().unwrap();
        let mut sorter = Sorter::with_runs(folder.path(), run);
        hashes.iter().for_each(|&h| sorter.push(h).unwrap());
        sorter.repeats().unwrap()
    }

    #[test]
    fn repeats_are_the_same_in_memory_and_on_disk() {
        let hashes: Vec<u64> = (0..10_000_u64).map(|i| i * i % 7919).collect();
        let distinct = hashes.iter().collect::<std::collections::BTreeSet<_>>().len() as u64;
        let in_memory = repeats(1 << 20, &hashes).unwrap();
        assert_eq!(in_memory.0, 10_000 - distinct);
        for run in [1, 7, 999, 10_000] {
            assert_eq!(repeats(run, &hashes), Some(in_memory), "runs of {run}");
        }
        assert_eq!(repeats(3, &[5, 1, 9, 2, 8]), None);
        assert_eq!(repeats(3, &[]), None);
        assert_eq!(repeats(2, &[5, 5, 5, 1, 1]), Some((3, 1)));
    }
}
