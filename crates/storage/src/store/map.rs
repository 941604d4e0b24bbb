//! Memory maps of the block files.

use std::ops::Deref;

use super::Store;
use crate::crash;
use crate::error::StorageError;

/// A map of a block file.
#[derive(Debug)]
pub(super) struct Map {
    // Fields are dropped in this order: without the entry, nothing could name the file.
    map: memmap2::Mmap,
    _entry: crash::Entry,
}

impl Deref for Map {
    type Target = memmap2::Mmap;

    fn deref(&self) -> &memmap2::Mmap {
        &self.map
    }
}

impl Store {
    /// Maps the block files into memory. [`read`](Self::read) then borrows tiles in place instead
    /// of copying them.
    ///
    /// # Safety
    ///
    /// No process may change or shorten the block files while this store is open. A map shows
    /// changes at once, after the checks, and reading beyond the end of a shortened file kills the
    /// process, unless it [handles](crate::crash) the signal. This crate never changes the files of
    /// a complete store; other programs might.
    ///
    /// # Errors
    ///
    /// When the system refuses, for example because address space is short. The store then
    /// continues to read files.
    pub unsafe fn map(&mut self) -> Result<(), StorageError> {
        let mut maps = Vec::with_capacity(self.block_files.len());
        for block_file in &self.block_files {
            // SAFETY: the caller vouches that the file does not change.
            let map = unsafe { memmap2::Mmap::map(&block_file.file) };
            let map = map.map_err(|error| StorageError::io("map", &block_file.path, error))?;
            let start = map.as_ptr() as usize;
            let _entry = crash::Entry::mapped(&block_file.path, start..start + map.len());
            maps.push(Map { map, _entry });
        }
        for (number, map) in maps.iter().enumerate() {
            let last = self.table.blocks.iter().rfind(|block| block.file as usize == number);
            let expected = last.map_or(0, |block| block.offset + block.bytes);
            if map.len() as u64 != expected {
                let path = &self.block_files[number].path;
                return Err(StorageError::damaged(path, "the number of bytes", expected, map.len()));
            }
        }
        self.block_files.iter_mut().zip(maps).for_each(|(block_file, map)| block_file.map = Some(map));
        Ok(())
    }

    /// Removes the maps. The store then reads files.
    pub fn unmap(&mut self) {
        self.block_files.iter_mut().for_each(|block_file| block_file.map = None);
    }

    /// Whether the block files are mapped into memory ([`map`](Self::map)).
    pub fn is_mapped(&self) -> bool {
        self.block_files.iter().all(|block_file| block_file.map.is_some())
    }
}
