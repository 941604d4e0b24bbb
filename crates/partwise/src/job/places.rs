//! The files that a job reads and writes, resolved and checked before any work.

use std::path::{Path, PathBuf};

use partwise_driver::{CheckpointSpec, FitId};

use super::input::is_store;
use super::{FitJob, JobError, output};

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
    /// The output is beside the input unless it was named, the store beside the output.
    pub(super) fn resolve(job: &FitJob) -> Result<Self, JobError> {
        let input = &job.input;
        let is_set = job.is_set();
        let ending = if is_set { "nmf" } else { "nmf.h5ad" };
        let output = job.output.clone().unwrap_or_else(|| input.with_extension(ending));
        // Without a slash at the end, so that the folder of a set has a name.
        let output: PathBuf = if is_set { output.components().collect() } else { output };
        // `.` and `..` have no name, but the folders that they mean have one.
        let output = match is_set && output.file_name().is_none() {
            true => output.canonicalize().unwrap_or(output),
            false => output,
        };
        if is_store(input) {
            return match job.store {
                Some(_) => Err(JobError::StoreOfStore { path: input.clone() }),
                None => Ok(Places { output, store: input.clone(), is_set }),
            };
        }
        let store = job.store.clone().unwrap_or_else(|| beside(&output, is_set));
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

    /// Refuses outputs that exist, that have no folder, or that would replace the input or one another.
    pub(super) fn check(&self, job: &FitJob, fits: &[FitId]) -> Result<(), JobError> {
        let overwrite = job.may_overwrite();
        if self.is_set {
            output::check(&self.output, true)?;
            if self.output.symlink_metadata().is_ok() && !self.output.is_dir() {
                let reason = "several fits need a folder for their results, and it is none".into();
                let path = self.output.clone();
                return Err(partwise_storage::StorageError::NotReplaceable { path, reason }.into());
            }
        }
        if self.is_set && same_file(&self.output, &self.store) {
            return Err(JobError::Overwrites { result: self.output.clone(), other: self.store.clone() });
        }
        if self.is_set && self.output.starts_with(&self.store) {
            return Err(JobError::InsideStore { path: self.output.clone(), store: self.store.clone() });
        }
        for &fit in fits {
            let result = self.result(fit);
            match self.is_set && !self.output.exists() {
                // The folder will be made.
                true => output::check_folder(&self.output)?,
                false => output::check_file(&result, overwrite || job.keep_results)?,
            }
        }
        if let Some(checkpoint) = &job.checkpoint {
            self.check_checkpoints(job, checkpoint, fits)?;
        }
        // A store that is there may be used again: that is decided when it is opened.
        output::check(&self.store, true)?;
        for &fit in fits {
            let result = self.result(fit);
            let named = [&job.input, &self.store].into_iter().chain(&job.other_outputs);
            if let Some(other) = named.into_iter().find(|path| same_file(path, &result)) {
                return Err(JobError::Overwrites { result, other: other.clone() });
            }
        }
        Ok(())
    }

    fn check_checkpoints(&self, job: &FitJob, checkpoint: &CheckpointSpec, fits: &[FitId]) -> Result<(), JobError> {
        output::check(&checkpoint.folder, true)?;
        let in_it = |path: &Path| same_file(output::folder(path), &checkpoint.folder);
        let others = || job.other_outputs.iter().map(PathBuf::as_path);
        // A resumed run would find the files of another kind, and refuse the folder.
        let is_used = [&self.output, &self.store].into_iter().any(|path| same_file(path, &checkpoint.folder))
            || in_it(&self.output)
            || in_it(&self.store)
            || others().any(in_it);
        if is_used {
            return Err(JobError::CheckpointFolder { folder: checkpoint.folder.clone() });
        }
        Ok(checkpoint.check(fits, self.is_set)?)
    }
}

/// `r.h5ad` and `r.nmf.h5ad` have their store in `r.pw`, and so has the folder `r.nmf` of a set.
fn beside(output: &Path, is_set: bool) -> PathBuf {
    let stem = if is_set { output.to_path_buf() } else { output.with_extension("") };
    if stem.extension().is_some_and(|extension| extension == "nmf") {
        stem.with_extension("pw")
    } else {
        // Not `with_extension`: a dot in the stem belongs to the name.
        let mut store = stem.into_os_string();
        store.push(".pw");
        store.into()
    }
}

fn same_file(a: &Path, b: &Path) -> bool {
    let whole = |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path)).ok();
    whole(a) == whole(b)
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
        assert_eq!(resolve(&[5], Some("e/r.v1.h5ad"), None), ["e/r.v1.h5ad", "e/r.v1.pw"]);
        assert_eq!(resolve(&[5], Some("r.h5ad"), Some("s.pw")), ["r.h5ad", "s.pw"]);
        assert_eq!(resolve(&[5, 8], None, None), ["d/pbmc.v2.nmf/k5.seed3.h5ad", "d/pbmc.v2.pw"]);
        assert_eq!(resolve(&[5, 8], Some("e/runs.v1/"), None), ["e/runs.v1/k5.seed3.h5ad", "e/runs.v1.pw"]);
    }
}
