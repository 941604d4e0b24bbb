//! The folder of a cNMF run (`DIR/NAME`), of which a consensus needs two files: the spectra of all replicates of a
//! k, and the names of the selected genes, which are their columns.
//!
//! The archive of the spectra also has pickled names of rows and columns. They are not needed, and not read: reading
//! a pickle can execute anything.

use std::fs;
use std::path::{Path, PathBuf};

use partwise_driver::consensus::Replicates;
use partwise_storage::source::{self, Entries, Form, RowChunk};
use partwise_storage::{Selection, StorageError};

use super::JobError;

/// Spectra that are read at once.
const ROWS: usize = 64;
/// Values that are read at once where they are not stored by rows.
const ENTRIES: usize = 1 << 16;
/// Bytes of a list of genes at most.
const MOST_BYTES: u64 = 16 << 20;

/// The files of a cNMF run.
#[derive(Debug, Clone)]
pub(super) struct CnmfRun {
    folder: PathBuf,
    name: String,
}

impl CnmfRun {
    /// The run in `folder`.
    pub(super) fn open(folder: &Path) -> Result<Self, JobError> {
        let whole = folder.canonicalize().map_err(|_| StorageError::NotFound { path: folder.into() })?;
        let name = whole.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let run = CnmfRun { folder: folder.into(), name };
        if !run.list().is_file() {
            return Err(JobError::NoReplicates { path: folder.into(), missing: run.list() });
        }
        Ok(run)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The names of the selected genes, one a line.
    pub(super) fn list(&self) -> PathBuf {
        self.folder.join(format!("{}.overdispersed_genes.txt", self.name))
    }

    /// The spectra of all replicates of `k`.
    pub(super) fn spectra(&self, k: usize) -> PathBuf {
        self.folder.join("cnmf_tmp").join(format!("{}.spectra.k_{k}.merged.df.npz", self.name))
    }

    /// Those of `k` that are there, as the shape of their table.
    pub(super) fn shape(&self, k: usize) -> Result<(usize, usize), JobError> {
        let source = self.source(k)?;
        Ok((source.cells(), source.genes()))
    }

    /// The replicates of `k` over `genes` genes.
    pub(super) fn replicates(&self, k: usize, genes: usize) -> Result<Replicates, JobError> {
        let mut source = self.source(k)?;
        let (rows, width) = (source.cells(), source.genes());
        let path = self.spectra(k);
        if width != genes {
            return Err(StorageError::InvalidDataset {
                path,
                dataset: "data".into(),
                problem: format!("has {width} columns for the {genes} genes of {}", self.list().display()),
                remedy: "use both files as the same run of cNMF wrote them".into(),
            }
            .into());
        }
        let mut spectra = Vec::with_capacity(rows * width);
        match source.form() {
            // pandas stores the columns of a table that it has combined one after the other.
            Form::Entries { .. } => {
                spectra.resize(rows * width, 0.0);
                let mut entries = Entries::default();
                loop {
                    source.read_entries(ENTRIES, &mut entries)?;
                    if entries.is_empty() {
                        break;
                    }
                    for ((&row, &gene), &value) in entries.cells.iter().zip(&entries.genes).zip(&entries.values) {
                        spectra[row as usize * width + gene as usize] = value;
                    }
                }
            }
            _ => {
                let mut chunk = RowChunk::default();
                for first in (0..rows).step_by(ROWS) {
                    source.read_rows(first..(first + ROWS).min(rows), &mut chunk)?;
                    if let RowChunk::Dense { values } = &chunk {
                        spectra.extend_from_slice(values);
                    }
                }
            }
        }
        Replicates::new(&spectra, k, genes).map_err(|error| JobError::of_consensus(path, error))
    }

    fn source(&self, k: usize) -> Result<Box<dyn source::Source>, JobError> {
        let path = self.spectra(k);
        if !path.is_file() {
            return Err(JobError::NoReplicates { path: self.folder.clone(), missing: path });
        }
        let selection = Selection { dataset: Some("data".into()), ..Selection::default() };
        Ok(source::open(&path, &selection)?)
    }

    /// The names of the selected genes in the order of the list.
    pub(super) fn genes(&self) -> Result<Vec<String>, JobError> {
        let path = self.list();
        let io = |error| StorageError::io("read", &path, error);
        let no_list = |problem: &str| StorageError::InvalidLine {
            path: path.clone(),
            line: 1,
            problem: problem.into(),
            remedy: "use the list as cNMF wrote it, one name a line".into(),
        };
        if fs::metadata(&path).map_err(io)?.len() > MOST_BYTES {
            return Err(no_list("begins more text than names of genes are").into());
        }
        let text = String::from_utf8(fs::read(&path).map_err(io)?).map_err(|_| no_list("is no text in UTF-8"))?;
        Ok(text
            .lines()
            .map(|line| line.trim_end_matches('\r'))
            .filter(|line| !line.is_empty())
            .map(Into::into)
            .collect())
    }
}
