//! Several files as one matrix: the cells of one file after those of another, genes aligned by a key.
//!
//! A [`Joined`] is a [`Source`] like any other: conversion, plans and fits do not know of it. It keeps one
//! file open at a time. Each file is opened at least three times: for its shape and its genes, for its
//! rows, and for the names of its cells.
//!
//! | file     | question                                                    |
//! |----------|-------------------------------------------------------------|
//! | `inputs` | which files are meant, and what is each sample called?      |
//! | `genes`  | which genes has the matrix, and where are those of a file?  |
//! | `member` | how are the rows of one file read with these genes?         |
//! | `cells`  | which names and columns do the cells of all files have?     |
//! | `stored` | how are the rows of a store read that is one of the files?  |

mod cells;
mod genes;
mod inputs;
mod member;
mod stored;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::genes::{Genes, ListId, Survey};
pub use self::inputs::{InputFile, Inputs};
use self::member::{Member, TRANSPOSING};
use self::stored::StoreSource;
use crate::monitor::Warning;
use crate::source::{self, Form, Rounding, RowChunk, Source};
use crate::store::{Join, Selection, SourceStamp};
use crate::tile::TILE_ROWS;
use crate::{Axis, FrameWriter, Monitor, StorageError};

/// Files whose genes are reported one by one.
const REPORTED: usize = 8;

/// Several files as one matrix.
pub struct Joined {
    inputs: Inputs,
    selection: Selection,
    named: PathBuf,
    /// The name of the matrix in the first file.
    dataset: String,
    files: Vec<Part>,
    genes: Genes,
    /// The columns of the genes of the last file.
    columns: Option<(ListId, Arc<[u32]>)>,
    is_dense: bool,
    open: Option<Member>,
    /// Of the files that were closed.
    rounding: Rounding,
    ahead: (usize, u64),
    folder: PathBuf,
    stamp: SourceStamp,
}

/// What is known of a file that is closed.
#[derive(Debug, Clone, Copy)]
struct Part {
    first_cell: usize,
    cells: usize,
    /// Genes of the file, and those of the matrix that it does not have.
    genes: usize,
    list: ListId,
    missing: usize,
    form: Form,
    resident: u64,
    annotations: u64,
}

impl Part {
    fn rows(&self) -> Range<usize> {
        self.first_cell..self.first_cell + self.cells
    }
}

impl Joined {
    /// Looks at each file of `inputs`.
    pub(super) fn open(inputs: Inputs, selection: &Selection) -> Result<Self, StorageError> {
        let named = inputs.named_after();
        let stamp = inputs.stamp(selection)?;
        let mut joined = Joined {
            inputs,
            selection: selection.clone(),
            named,
            dataset: String::new(),
            files: Vec::new(),
            genes: Genes::default(),
            columns: None,
            is_dense: true,
            open: None,
            rounding: Rounding::default(),
            ahead: (1, 0),
            folder: std::env::temp_dir(),
            stamp,
        };
        let joining = joined.inputs.joining().clone();
        joined.genes = match joining.gene_key {
            Some(key) => joined.survey(Some(key))?,
            // Ids are unique; several genes may have one symbol.
            None => match joined.gene_ids()? {
                Some(ids) => joined.survey(Some(ids))?,
                None => joined.survey(None)?,
            },
        }
        .finish(joining.join);
        if joined.genes.len() == 0 {
            return Err(StorageError::InvalidDataset {
                path: joined.named,
                dataset: "var".into(),
                problem: "would have no genes: none is in all files".into(),
                remedy: "check that the files name genes alike, or align them by another column".into(),
            });
        }
        joined.count_missing()?;
        Ok(joined)
    }

    fn open_file(&self, at: usize) -> Result<Box<dyn Source>, StorageError> {
        let path = &self.inputs.list_of_files()[at].path;
        if stored::is_store(path) {
            let opened = StoreSource::open(path).map_err(|error| self.inputs.at(at, error))?;
            return Ok(Box::new(opened));
        }
        source::open(path, &self.selection).map_err(|error| self.inputs.at(at, error))
    }

    /// The column of ids, if all files have one by their format.
    fn gene_ids(&self) -> Result<Option<String>, StorageError> {
        let mut ids: Option<&'static str> = None;
        for at in 0..self.inputs.list_of_files().len() {
            match self.open_file(at)?.gene_ids() {
                Some(column) if ids.is_none_or(|of_others| of_others == column) => ids = Some(column),
                _ => return Ok(None),
            }
        }
        Ok(ids.map(str::to_owned))
    }

    /// Looks at all files.
    fn survey(&mut self, key: Option<String>) -> Result<Survey, StorageError> {
        let mut survey = Survey::new(key);
        self.files.clear();
        let mut first_cell = 0_usize;
        for at in 0..self.inputs.list_of_files().len() {
            let of_file = |error| self.inputs.at(at, error);
            let mut source = self.open_file(at)?;
            source.prepare().map_err(of_file)?;
            let list = survey.add(source.as_ref()).map_err(of_file)?;
            let (cells, genes, form) = (source.cells(), source.genes(), source.form());
            if at == 0 {
                self.dataset = source.dataset().to_owned();
            }
            self.is_dense = (at == 0 || self.is_dense) && form == Form::Dense;
            let (resident, annotations) = (source.resident_bytes(), source.annotation_bytes());
            self.files.push(Part { first_cell, cells, genes, list, missing: 0, form, resident, annotations });
            first_cell = first_cell.checked_add(cells).ok_or_else(|| StorageError::Usage {
                message: format!("{}: the files have too many cells", self.named.display()),
            })?;
        }
        Ok(survey)
    }

    /// Counts the genes that each file does not have.
    fn count_missing(&mut self) -> Result<(), StorageError> {
        let all = self.genes.len();
        if self.files.iter().all(|part| part.genes == all) && self.inputs.joining().join == Join::Inner {
            return Ok(());
        }
        for at in 0..self.files.len() {
            if at > 0 && self.files[at].list == self.files[at - 1].list {
                self.files[at].missing = self.files[at - 1].missing;
                continue;
            }
            let source = self.open_file(at)?;
            let columns = self.columns(at, source.as_ref())?;
            self.files[at].missing = all - columns.iter().filter(|&&column| column != genes::NONE).count();
        }
        Ok(())
    }

    /// The columns of the genes of file `at`, which is open as `source`. Most files have the genes of the
    /// file before them.
    fn columns(&mut self, at: usize, source: &dyn Source) -> Result<Arc<[u32]>, StorageError> {
        let list = self.files[at].list;
        if let Some((_, columns)) = self.columns.as_ref().filter(|(known, _)| *known == list) {
            return Ok(columns.clone());
        }
        let columns: Arc<[u32]> = self.genes.columns(source).map_err(|error| self.inputs.at(at, error))?.into();
        self.columns = Some((list, columns.clone()));
        Ok(columns)
    }

    /// The file with the cell `row`, opened.
    fn member(&mut self, row: usize) -> Result<&mut Member, StorageError> {
        let at = self.files.partition_point(|part| part.rows().end <= row);
        if self.open.as_ref().is_none_or(|member| member.at != at) {
            self.close();
            let source = self.open_file(at)?;
            let expected = self.files[at];
            if (source.cells(), source.genes()) != (expected.cells, expected.genes) {
                return Err(StorageError::InvalidDataset {
                    path: source.path().into(),
                    dataset: source.dataset().into(),
                    problem: "has another shape than a moment ago".into(),
                    remedy: "do not change the files meanwhile".into(),
                });
            }
            let columns = self.columns(at, source.as_ref())?;
            let member = Member::new(at, source, columns, self.ahead, &self.folder);
            self.open = Some(member.map_err(|error| self.inputs.at(at, error))?);
        }
        Ok(self.open.as_mut().expect("opened above"))
    }

    /// Closes the open file.
    fn close(&mut self) {
        if let Some(member) = self.open.take() {
            self.rounding = self.rounding.and(member.rounding());
        }
    }

    /// Says which files do not have all genes of the matrix, or have more.
    fn report(&self, monitor: &dyn Monitor) {
        let all = self.genes.len();
        let left_out = |part: &Part| part.genes + part.missing - all;
        let uneven = |part: &&Part| part.missing > 0 || left_out(part) > 0;
        let named = self.files.iter().zip(self.inputs.list_of_files()).filter(|(part, _)| uneven(part));
        for (part, file) in named.take(REPORTED) {
            monitor.warn(&Warning::UnevenGenes {
                sample: file.sample.clone(),
                missing: part.missing as u64,
                left_out: left_out(part) as u64,
                of: all as u64,
            });
        }
        let others = self.files.iter().filter(uneven).count().saturating_sub(REPORTED);
        if others > 0 {
            monitor.warn(&Warning::MoreUnevenGenes { files: others as u64 });
        }
    }
}

impl Source for Joined {
    fn path(&self) -> &Path {
        &self.named
    }

    fn dataset(&self) -> &str {
        &self.dataset
    }

    fn cells(&self) -> usize {
        self.files.last().map_or(0, |part| part.rows().end)
    }

    fn genes(&self) -> usize {
        self.genes.len()
    }

    /// Sparse, unless all files are dense. Numbers of entries are estimates.
    fn form(&self) -> Form {
        if self.is_dense {
            return Form::Dense;
        }
        let (mut entries, mut most_per_tile) = (0_u64, 0);
        for part in &self.files {
            let (all, a_tile) = match part.form {
                Form::Sparse { entries, most_per_tile } => (entries, most_per_tile),
                Form::Entries { at_most } => {
                    let tiles = part.cells.div_ceil(TILE_ROWS).max(1) as u64;
                    (at_most, usize::try_from(2 * at_most.div_ceil(tiles)).unwrap_or(usize::MAX))
                }
                Form::Dense => {
                    let values = |cells: usize| cells.saturating_mul(part.genes);
                    (values(part.cells) as u64, values(TILE_ROWS) / 4)
                }
            };
            entries = entries.saturating_add(all);
            most_per_tile = most_per_tile.max(usize::try_from(all).unwrap_or(usize::MAX).min(a_tile));
        }
        Form::Sparse { entries, most_per_tile: usize::try_from(entries).unwrap_or(usize::MAX).min(most_per_tile) }
    }

    fn is_joined(&self) -> bool {
        true
    }

    fn common_rows(&self, earlier: &SourceStamp) -> usize {
        let (Some(now), Some(before)) = (&self.stamp.joined, &earlier.joined) else { return 0 };
        if now.joining != before.joining || self.stamp.selection != earlier.selection {
            return 0;
        }
        let files = now.files.iter().zip(&before.files).take_while(|(now, before)| now == before).count();
        files.checked_sub(1).map_or(0, |last| self.files[last].rows().end)
    }

    fn genes_crc(&self) -> u32 {
        self.genes
            .keys
            .iter()
            .fold(0, |crc, key| crc32c::crc32c_append(crc32c::crc32c_append(crc, key.as_bytes()), b"\n"))
    }

    fn resident_bytes(&self) -> u64 {
        let file = self.files.iter().map(|part| part.resident).max().unwrap_or(0);
        let genes = self.files.iter().map(|part| part.genes).max().unwrap_or(0) as u64;
        let transposes = self.files.iter().any(|part| matches!(part.form, Form::Entries { .. }));
        let lists = 128 * self.files.len() as u64 + self.genes.resident_bytes() + 100 * genes;
        // Files that are read by entries take the room twice: to put entries aside, and for windows of rows.
        file.saturating_add(lists).saturating_add(self.ahead.1).saturating_add(if transposes {
            2 * TRANSPOSING
        } else {
            0
        })
    }

    fn annotation_bytes(&self) -> u64 {
        self.files.iter().map(|part| part.annotations).max().unwrap_or(0).saturating_add(cells::RESIDENT)
    }

    fn use_folder(&mut self, folder: &Path) {
        self.folder = folder.into();
    }

    fn read_ahead(&mut self, threads: usize, memory: u64) {
        self.ahead = (threads, memory);
        if memory == 0 {
            self.close();
        }
    }

    fn read_rows(&mut self, rows: Range<usize>, chunk: &mut RowChunk) -> Result<(), StorageError> {
        assert!(rows.start <= rows.end && rows.end <= self.cells(), "rows {rows:?} are inside the matrix");
        let genes = self.genes.len();
        if self.is_dense {
            chunk.dense().reserve(rows.len().saturating_mul(genes));
        } else {
            chunk.sparse().0.push(0);
        }
        let mut row = rows.start;
        while row < rows.end {
            let member = self.member(row)?;
            let at = member.at;
            let own = self.files[at].rows();
            let here = row - own.start..rows.end.min(own.end) - own.start;
            row = own.start + here.end;
            let member = self.open.as_mut().expect("opened above");
            let added = match &mut *chunk {
                RowChunk::Dense { values } => member.add_dense(here, genes, values),
                sparse @ RowChunk::Sparse { .. } => member.add_sparse(here, sparse),
            };
            added.map_err(|error| self.inputs.at(at, error))?;
        }
        Ok(())
    }

    fn rounding(&self) -> Rounding {
        self.open.as_ref().map_or(self.rounding, |member| self.rounding.and(member.rounding()))
    }

    fn write_table(&self, axis: Axis, table: &mut FrameWriter, monitor: &dyn Monitor) -> Result<(), StorageError> {
        match axis {
            Axis::Cells => {
                self.report(monitor);
                cells::write(self, table, monitor)
            }
            Axis::Genes => {
                table.names(&self.genes.names)?;
                self.genes.key.as_ref().map_or(Ok(()), |key| table.texts(key, &self.genes.keys))
            }
        }
    }

    fn stamp(&self) -> SourceStamp {
        self.stamp.clone()
    }
}
