//! The files that a job reads and writes, resolved and checked before any work.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use partwise_driver::{CheckpointSpec, FitId, InitSpec, Runs};
use partwise_storage::{Inputs, Overwrite, Selection};

use super::input::is_store;
use super::paths::{self, Output, OutputKind, Paths, Role};
use super::{FitJob, JobError, output, store_place};

/// The files of a job.
#[derive(Debug)]
pub(super) struct Places {
    /// The result of one fit, or the folder of the results of several.
    pub(super) output: PathBuf,
    /// The store: the input itself, or the store that it is converted into.
    pub(super) store: PathBuf,
    is_set: bool,
}

impl Places {
    /// The output is beside the input unless it was named. The store is found by its name and stamp.
    pub(super) fn resolve(job: &FitJob) -> Result<Self, JobError> {
        let named = job.input.named_after();
        let is_set = job.is_set();
        let ending = if is_set { "nmf" } else { "nmf.h5ad" };
        let output = job.output.clone().unwrap_or_else(|| named.with_extension(ending));
        // Without a slash at the end, so that the folder of a set has a name.
        let output: PathBuf = if is_set { output.components().collect() } else { output };
        // `.` and `..` have no name, but the folders that they mean have one.
        let output = match is_set && output.file_name().is_none() {
            true => output.canonicalize().unwrap_or(output),
            false => output,
        };
        let store = store_of(&job.input, &job.selection, job.store.as_deref(), &output)?;
        Ok(Places { output, store, is_set })
    }

    /// The result of one fit.
    pub(super) fn result(&self, fit: FitId) -> PathBuf {
        if self.is_set { self.output.join(format!("{fit}.h5ad")) } else { self.output.clone() }
    }

    /// The folder of the results, for scratch files.
    pub(super) fn folder(&self) -> &Path {
        output::folder(&self.output)
    }

    /// Refuses outputs that exist, that have no folder, or that meet an input or one another.
    pub(super) fn check(&self, job: &FitJob, fits: &[FitId]) -> Result<(), JobError> {
        let output =
            |role: Role, path: &Path, kind: OutputKind, overwrite| Output { role, path: path.into(), kind, overwrite };
        let mut paths = job.input.paths().fold(Paths::default(), |paths, path| paths.reading(Role::Input, path));
        if let InitSpec::Given(start) = &job.set.config.init {
            paths = paths.reading(Role::Start, start);
        }
        if let Some(into) = &job.into {
            if self.is_set {
                return Err(JobError::SeveralInto { path: into.clone() });
            }
            paths = paths.reading(Role::Into, into);
        }
        paths = job.filter.lists().fold(paths, |paths, list| paths.reading(Role::Names, list));
        if !is_store(&job.input) {
            // A store that is there may be used again: that is decided when it is opened.
            paths = paths.writing(output(Role::Store, &self.store, OutputKind::Store, Overwrite::Replace));
        }
        if self.is_set {
            paths = paths.writing(output(Role::Results, &self.output, OutputKind::Folder, Overwrite::Replace));
        }
        let overwrite = if job.keep_results { Overwrite::Replace } else { job.overwrite };
        // A list may name one twice, which the plan refuses.
        for fit in fits.iter().copied().collect::<BTreeSet<_>>() {
            paths = paths.writing(output(Role::Result, &self.result(fit), OutputKind::AnnData, overwrite));
        }
        for other in &job.other_outputs {
            paths = paths.writing(other.clone());
        }
        let Some(checkpoint) = &job.checkpoint else { return paths.check() };
        let others = job.other_outputs.iter().map(|other| other.path.as_path());
        let others = [self.output.as_path(), &self.store].into_iter().chain(job.input.paths()).chain(others);
        check_with(paths, checkpoint, others)?;
        Ok(checkpoint.check(&Runs::of_fits(fits, self.is_set))?)
    }
}

/// Checks `paths` and the folder of the checkpoints beside `others`, which neither are it nor lie in it:
/// a resumed run would find the files of another kind, and refuse the folder.
pub(super) fn check_with<'p>(
    paths: Paths,
    checkpoint: &CheckpointSpec,
    mut others: impl Iterator<Item = &'p Path>,
) -> Result<(), JobError> {
    let folder = &checkpoint.folder;
    let is_it = |path: &Path| paths::same(path, folder);
    if others.any(|path| is_it(path) || is_it(output::folder(path))) {
        return Err(JobError::CheckpointFolder { folder: folder.clone() });
    }
    let (role, path, kind) = (Role::Checkpoints, folder.clone(), OutputKind::Folder);
    paths.writing(Output { role, path, kind, overwrite: Overwrite::Replace }).check()
}

/// The store of a job with this output: the input itself, the one that was named, or the one that is found
/// by its name and stamp.
pub(super) fn store_of(
    input: &Inputs,
    selection: &Selection,
    named: Option<&Path>,
    output: &Path,
) -> Result<PathBuf, JobError> {
    match (is_store(input), named) {
        (true, Some(_)) => Err(JobError::StoreOfStore { path: input.named_after() }),
        (true, None) => Ok(input.named_after()),
        (false, Some(store)) => Ok(store.into()),
        (false, None) => Ok(store_place::of(input, selection, output::folder(output))),
    }
}

#[cfg(test)]
mod tests {
    use partwise_driver::{FitSet, NmfConfig};

    use super::*;

    #[test]
    fn outputs_lie_beside_the_input_unless_they_are_named() {
        let resolve = |ks: &[usize], output: Option<&str>, store: Option<&str>| {
            let set = FitSet::new(NmfConfig::new(5)).with_ks(ks);
            let mut job = FitJob::new("d/pbmc.v2.h5ad", set);
            (job.output, job.store) = (output.map(PathBuf::from), store.map(PathBuf::from));
            let places = Places::resolve(&job).expect("a file may have a store");
            let result = places.result(FitId { k: 5, seed: 3 });
            [result, places.store].map(|path| path.to_string_lossy().into_owned())
        };
        assert_eq!(resolve(&[5], None, None), ["d/pbmc.v2.nmf.h5ad", "d/pbmc.v2.pw"]);
        assert_eq!(resolve(&[5], Some("e/r.v1.h5ad"), None), ["e/r.v1.h5ad", "e/pbmc.v2.pw"]);
        assert_eq!(resolve(&[5], Some("r.h5ad"), Some("s.pw")), ["r.h5ad", "s.pw"]);
        assert_eq!(resolve(&[5, 8], None, None), ["d/pbmc.v2.nmf/k5.seed3.h5ad", "d/pbmc.v2.pw"]);
        assert_eq!(resolve(&[5, 8], Some("e/runs.v1/"), None), ["e/runs.v1/k5.seed3.h5ad", "e/pbmc.v2.pw"]);
    }
}
