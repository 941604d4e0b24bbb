//! A result added to a copy of another AnnData file, or written as tables of text.

use std::path::PathBuf;

use partwise_driver::Machine;
use partwise_storage::anndata::{CsvTable, Merge, Merged, csv_tables, write_csv};
use partwise_storage::{Monitor, Overwrite, StorageError};

use super::JobError;
use super::paths::{Output, OutputKind, Paths, Role};
use crate::machine;

/// A result that is added to a copy of another AnnData file.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MergeJob {
    /// The result of a fit, a transformation or a PCA.
    pub result: PathBuf,
    /// The file that is copied, of cells that the result has.
    pub into: PathBuf,
    /// The copy.
    pub output: PathBuf,
    /// Whether it may be replaced.
    pub overwrite: Overwrite,
    /// Whether the shares of programs are columns of `obs`, too.
    pub usages_in_obs: bool,
}

impl MergeJob {
    /// `result` in a copy of `into`, which is `output`.
    pub fn new(result: impl Into<PathBuf>, into: impl Into<PathBuf>, output: impl Into<PathBuf>) -> Self {
        MergeJob {
            result: result.into(),
            into: into.into(),
            output: output.into(),
            overwrite: Overwrite::Refuse,
            usages_in_obs: false,
        }
    }

    /// Runs the job.
    ///
    /// # Errors
    ///
    /// As [`Merge::write`], and if the output is one of the inputs.
    pub fn run(&self, machine: &Machine, monitor: &dyn Monitor) -> Result<Merged, JobError> {
        let (kind, overwrite) = (OutputKind::AnnData, self.overwrite);
        let output = Output { role: Role::Output, path: self.output.clone(), kind, overwrite };
        let paths = Paths::default().reading(Role::Input, &self.result).reading(Role::Into, &self.into);
        paths.writing(output).check()?;
        let merge = Merge::new(&self.result, &self.into).with_memory(memory(machine));
        Ok(merge.with_usages_in_obs(self.usages_in_obs).write(&self.output, overwrite, monitor)?)
    }
}

/// The bytes that names may take while they are matched.
pub(super) fn memory(machine: &Machine) -> u64 {
    machine.memory.saturating_sub(machine::resident()) / 2
}

/// A result as tables of text.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CsvJob {
    /// The result of a fit, a transformation or a PCA.
    pub result: PathBuf,
    /// The folder of the tables; it is made if it is missing.
    pub folder: PathBuf,
    /// Whether tables that are there may be replaced.
    pub overwrite: Overwrite,
}

impl CsvJob {
    /// `result` as tables in `folder`.
    pub fn new(result: impl Into<PathBuf>, folder: impl Into<PathBuf>) -> Self {
        CsvJob { result: result.into(), folder: folder.into(), overwrite: Overwrite::Refuse }
    }

    /// Runs the job. Returns the tables.
    ///
    /// # Errors
    ///
    /// - the result is none, or cannot be read
    /// - a table is in the way and may not be replaced, or cannot be written
    /// - `monitor` cancels: tables that are complete stay
    pub fn run(&self, monitor: &dyn Monitor) -> Result<Vec<PathBuf>, JobError> {
        let tables = csv_tables(&self.result)?;
        // Without a slash at the end, so that the folder has a name.
        let folder: PathBuf = self.folder.components().collect();
        let place = |table: &CsvTable| folder.join(table.file);
        let output = |role, path, kind| Output { role, path, kind, overwrite: self.overwrite };
        let mut paths = Paths::default().reading(Role::Input, &self.result);
        paths = paths.writing(output(Role::Results, folder.clone(), OutputKind::Folder));
        for table in &tables {
            let kind = OutputKind::Text { what: table.what, begins: table.begins };
            paths = paths.writing(output(Role::Output, place(table), kind));
        }
        paths.check()?;
        let made = match std::fs::create_dir(&folder) {
            Ok(()) => true,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(StorageError::io("create", &folder, error).into()),
        };
        let written: Result<Vec<_>, StorageError> = (tables.iter())
            .map(|table| write_csv(&self.result, table, &place(table), monitor).map(|()| place(table)))
            .collect();
        if written.is_err() && made {
            // Succeeds only if no table is in it.
            let _ = std::fs::remove_dir(&folder);
        }
        Ok(written?)
    }
}
