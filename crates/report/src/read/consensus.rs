//! What a consensus tells about the spectra of its replicates.

use std::path::Path;

use partwise_storage::StorageError;

use super::Story;
use crate::error::ReportError;

/// A consensus, without its programs.
#[derive(Debug)]
pub(crate) struct Consensus {
    pub(crate) k: usize,
    pub(crate) replicates: usize,
    /// The mean silhouette of all spectra; NaN if it is not known.
    pub(crate) stability: f64,
    /// Spectra whose local density is not below it are left out.
    pub(crate) threshold: f64,
    /// The local density of every spectrum; empty if the result does not have them.
    pub(crate) densities: Vec<f64>,
}

impl Consensus {
    /// Whether a result with this `uns["nmf"]` is a consensus.
    pub(crate) fn is(story: &Story) -> bool {
        story.truth("consensus") == Some(true)
    }

    /// Reads what `story`, the `uns["nmf"]` of the file at `path`, tells about it.
    pub(crate) fn read(path: &Path, story: &Story) -> Result<Consensus, ReportError> {
        let whole = |name: &str| {
            let number = story.number(name).filter(|number| *number >= 1.0 && number.fract() == 0.0);
            number.map(|number| number as usize).ok_or_else(|| damaged(path, name, "is no count"))
        };
        let threshold = story.number("density").filter(|threshold| *threshold > 0.0);
        let densities = story.numbers("local_density");
        if densities.iter().any(|density| !(*density >= 0.0 && density.is_finite())) {
            return Err(damaged(path, "local_density", "has a value that is no distance"));
        }
        Ok(Consensus {
            k: whole("k")?,
            replicates: whole("replicates")?,
            stability: story.number("stability").unwrap_or(f64::NAN),
            threshold: threshold.ok_or_else(|| damaged(path, "density", "is no distance"))?,
            densities,
        })
    }

    /// How many spectra the density filter leaves out.
    pub(crate) fn left_out(&self) -> usize {
        self.densities.iter().filter(|density| **density >= self.threshold).count()
    }
}

fn damaged(path: &Path, name: &str, problem: &str) -> ReportError {
    let (dataset, remedy) = (format!("uns/nmf/{name}"), "use the result as partwise wrote it".into());
    StorageError::InvalidDataset { path: path.into(), dataset, problem: problem.into(), remedy }.into()
}
