//! Where a fit reads and writes, resolved from what was typed and checked before any work.

use std::path::{Path, PathBuf};

use partwise::driver::CheckpointSpec;

use crate::failure::Failure;
use crate::fit::trace::is_trace;
use crate::input::is_store;
use crate::output;

/// The files of a fit.
pub(super) struct Places {
    /// The result.
    pub(super) result: PathBuf,
    /// The store: the input itself, or what it is converted into.
    pub(super) store: PathBuf,
}

impl Places {
    /// The result is beside the input unless it was named, the store beside the result.
    pub(super) fn resolve(input: &Path, result: Option<&Path>, store: Option<&Path>) -> Result<Self, Failure> {
        let result = result.map_or_else(|| input.with_extension("nmf.h5ad"), Path::to_path_buf);
        if is_store(input) {
            return match store {
                Some(_) => Err(Failure::usage(format!(
                    "{}: is a store already; --store says where a file is converted to",
                    input.display()
                ))),
                None => Ok(Places { result, store: input.into() }),
            };
        }
        let store = store.map_or_else(|| beside(&result), Path::to_path_buf);
        Ok(Places { result, store })
    }

    /// Refuses outputs that exist, that have no folder, or that would replace the input or one another. A fit that is resumed
    /// goes on with its trace.
    pub(super) fn check(
        &self,
        input: &Path,
        trace: Option<&Path>,
        checkpoint: Option<&CheckpointSpec>,
        force: bool,
    ) -> Result<(), Failure> {
        output::check_file(&self.result, force)?;
        if let Some(trace) = trace {
            let goes_on = checkpoint.is_some_and(|checkpoint| checkpoint.resume) && is_trace(trace);
            output::check_file(trace, force || goes_on)?;
        }
        if let Some(checkpoint) = checkpoint {
            output::check(&checkpoint.folder, true)?;
            if [&self.result, &self.store].into_iter().any(|path| same_file(path, &checkpoint.folder)) {
                let folder = checkpoint.folder.display();
                return Err(Failure::usage(format!(
                    "{folder}: checkpoints need a folder of their own; choose another"
                )));
            }
            checkpoint.check()?;
        }
        // A store that is there may be used again: what becomes of it is decided when it is opened.
        output::check(&self.store, true)?;
        let named = [Some(input), Some(&self.store), trace];
        match named.into_iter().flatten().find(|path| same_file(path, &self.result)) {
            Some(path) => Err(Failure::usage(format!(
                "{}: the result would overwrite {}; choose another -o",
                self.result.display(),
                path.display()
            ))),
            None => Ok(()),
        }
    }
}

/// `r.h5ad` and `r.nmf.h5ad` have their store in `r.pw`.
fn beside(result: &Path) -> PathBuf {
    let stem = result.with_extension("");
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
    use super::*;

    #[test]
    fn outputs_lie_beside_the_input_unless_they_are_named() {
        let resolve = |result: Option<&str>, store: Option<&str>| {
            let places = Places::resolve(Path::new("d/pbmc.v2.h5ad"), result.map(Path::new), store.map(Path::new));
            let places = places.unwrap_or_else(|_| panic!("a file may have a store"));
            (places.result, places.store)
        };
        let path = PathBuf::from;
        assert_eq!(resolve(None, None), (path("d/pbmc.v2.nmf.h5ad"), path("d/pbmc.v2.pw")));
        assert_eq!(resolve(Some("e/r.v1.h5ad"), None), (path("e/r.v1.h5ad"), path("e/r.v1.pw")));
        assert_eq!(resolve(Some("r.h5ad"), Some("s.pw")), (path("r.h5ad"), path("s.pw")));
    }
}
