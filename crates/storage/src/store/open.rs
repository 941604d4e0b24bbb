//! Opens a store: reads and checks everything but the tiles.

use std::fs;
use std::path::Path;

use super::manifest::{FileStamp, Manifest};
use super::names;
use super::table::Table;
use super::{BlockFile, Store, cells, files, genes};
use crate::error::StorageError;

impl Store {
    /// Opens the store at `path`: reads manifest, table and gene moments, and checks the sizes of
    /// all files.
    ///
    /// Costs O(tiles + genes) time and memory. Every length is checked against the size of a file
    /// before it is used.
    ///
    /// # Errors
    ///
    /// - nothing is at `path`, or something that is not a store;
    /// - the store is unfinished, damaged or of a newer format;
    /// - a file cannot be read.
    pub fn open(path: &Path) -> Result<Self, StorageError> {
        let manifest_path = path.join(names::MANIFEST);
        let (manifest, manifest_bytes) = match Manifest::read(&manifest_path) {
            Err(StorageError::NotFound { .. }) => return Err(no_manifest(path)),
            Err(StorageError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotADirectory => {
                return Err(no_manifest(path));
            }
            other => other?,
        };
        let cut = manifest.cut(&manifest_path)?;
        let mut block_files = Vec::new();
        for (number, &bytes) in manifest.block_files.iter().enumerate() {
            let path = path.join(names::block_file(number));
            files::check_size(&path, bytes)?;
            block_files.push(BlockFile { file: files::open(&path)?, path, map: None });
        }

        let table_path = path.join(names::TABLE);
        expect_size(&manifest_path, "the size of the table", manifest.table, Table::bytes(&cut))?;
        let table = files::read_checked(&table_path, manifest.table.bytes, manifest.table.crc32c)?;
        let table = Table::parse(&table, &table_path, &cut, &manifest.block_files)?;
        if table.nonzeros() != manifest.nonzeros {
            let what = "the number of nonzeros";
            return Err(StorageError::damaged(&manifest_path, what, table.nonzeros(), manifest.nonzeros));
        }

        let genes_path = path.join(names::GENES);
        let genes_stamp = manifest.gene_moments;
        let genes_bytes = genes::file_bytes(cut.genes);
        expect_size(&manifest_path, "the size of the gene moments", genes_stamp, genes_bytes)?;
        let content = files::read_checked(&genes_path, genes_stamp.bytes, genes_stamp.crc32c)?;
        let (gene_moments, totals) = genes::parse(&content, &genes_path, cut.genes)?;

        let million_path = path.join(names::MILLION);
        let million_bytes = manifest.per_million.map_or(0, |stamp| stamp.bytes);
        if let Some(stamp) = manifest.per_million {
            let bytes = genes::million_file_bytes(cut.genes);
            expect_size(&manifest_path, "the size of the sums per million", stamp, bytes)?;
            // Only checked: they are read when they are needed.
            let content = files::read_checked(&million_path, stamp.bytes, stamp.crc32c)?;
            drop(genes::parse_million(&content, &million_path, cut.genes)?);
        }

        let cells_path = path.join(names::CELLS);
        let cells_bytes = cells::file_bytes(cut.cells);
        files::check_size(&cells_path, cells_bytes)?;
        cells::check_header(&cells_path, cut.cells)?;
        let annotations_bytes = manifest.annotations.map_or(0, |stamp| stamp.bytes);
        if manifest.annotations.is_some() {
            files::check_size(&path.join(names::ANNOTATIONS), annotations_bytes)?;
        }

        let sample_bytes = manifest.sample.map_or(0, |stamp| stamp.bytes);
        if manifest.sample.is_some() {
            files::check_size(&path.join(names::SAMPLE), sample_bytes)?;
        }

        let block_bytes = manifest.block_files.iter().sum::<u64>();
        let small = manifest_bytes + genes_stamp.bytes + million_bytes + cells_bytes + sample_bytes + annotations_bytes;
        Ok(Self {
            path: path.into(),
            cut,
            table,
            block_files,
            genes: gene_moments,
            per_million: manifest.per_million,
            sample: manifest.sample,
            totals,
            packed_bytes: block_bytes + manifest.table.bytes,
            bytes: block_bytes + manifest.table.bytes + small,
            annotations: manifest.annotations,
            source: manifest.source,
        })
    }
}

/// Checks the size of a file in the manifest against the size that follows from the shape.
fn expect_size(manifest: &Path, what: &str, stamp: FileStamp, expected: u64) -> Result<(), StorageError> {
    if stamp.bytes == expected { Ok(()) } else { Err(StorageError::damaged(manifest, what, expected, stamp.bytes)) }
}

/// The error that describes what is at `path` instead of a store.
fn no_manifest(path: &Path) -> StorageError {
    let reason = match fs::read_dir(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
            "it is a file, and a store is a folder".into()
        }
        Err(error) => return StorageError::io("open", path, error),
        Ok(entries) => {
            let ours = |entry: std::io::Result<fs::DirEntry>| {
                entry.is_ok_and(|entry| entry.file_name().to_str().is_some_and(names::is_ours))
            };
            if entries.into_iter().any(ours) {
                return StorageError::Unfinished { path: path.into() };
            }
            format!("it is a folder without {}", names::MANIFEST)
        }
    };
    StorageError::NotAStore { path: path.into(), reason }
}
