//! What a consensus tells about the spectra of its replicates.

use std::path::Path;

use partwise_storage::StorageError;

use super::Story;
use crate::error::ReportError;

/// The most spectra with distances, more than partwise writes.
const MOST: usize = 400;

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
    /// Some of the spectra that are kept; `None` if the result does not have them.
    pub(crate) spectra: Option<Spectra>,
}

/// Some of the spectra that a consensus keeps.
#[derive(Debug)]
pub(crate) struct Spectra {
    /// All that are kept.
    pub(crate) kept: usize,
    /// The places of some of them among all spectra.
    pub(crate) places: Vec<usize>,
    /// The program of each of them.
    pub(crate) programs: Vec<usize>,
    /// The distances of the pairs (0, 1), (0, 2), …, (1, 2), … of them.
    pairs: Vec<f64>,
}

impl Spectra {
    /// The distance of the spectra `a` and `b` of [`places`](Self::places).
    pub(crate) fn distance(&self, a: usize, b: usize) -> f64 {
        let (a, b) = (a.min(b), a.max(b));
        match a == b {
            true => 0.0,
            false => self.pairs[a * self.places.len() - a * (a + 1) / 2 + b - a - 1],
        }
    }

    /// Reads them; `programs` has the program of every spectrum, −1 of those that are left out.
    fn read(path: &Path, story: &Story, k: usize, programs: &[f64]) -> Result<Option<Spectra>, ReportError> {
        let distances = story.inner("distances");
        let (places, pairs) = (distances.numbers("spectra"), distances.numbers("pairs"));
        if places.is_empty() || programs.is_empty() {
            return Ok(None);
        }
        if places.len() > MOST {
            return Err(damaged(path, "distances/spectra", "has more spectra than partwise writes"));
        }
        if pairs.len() != places.len() * (places.len() - 1) / 2 {
            return Err(damaged(path, "distances/pairs", "does not have a value for each pair of spectra"));
        }
        if pairs.iter().any(|distance| !(*distance >= 0.0 && distance.is_finite())) {
            return Err(damaged(path, "distances/pairs", "has a value that is no distance"));
        }
        let program_of = |&place: &f64| {
            let program = programs.get(place as usize).filter(|_| place >= 0.0);
            program.filter(|program| (0.0..k as f64).contains(*program)).map(|&program| program as usize)
        };
        let of_places: Option<Vec<usize>> = places.iter().map(program_of).collect();
        let of_places =
            of_places.ok_or_else(|| damaged(path, "distances/spectra", "has a spectrum without a program"))?;
        Ok(Some(Spectra {
            kept: programs.iter().filter(|program| **program >= 0.0).count(),
            places: places.into_iter().map(|place| place as usize).collect(),
            programs: of_places,
            pairs,
        }))
    }
}

impl Consensus {
    /// Whether a result with this `uns["nmf"]` is a consensus.
    pub(crate) fn is(story: &Story) -> bool {
        story.truth("consensus") == Some(true)
    }

    /// Reads what `story`, the `uns["nmf"]` of the file at `path`, tells about it. The file has `k` programs.
    pub(crate) fn read(path: &Path, story: &Story, k: usize) -> Result<Consensus, ReportError> {
        let whole = |name: &str| {
            let number = story.number(name).filter(|number| *number >= 1.0 && number.fract() == 0.0);
            number.map(|number| number as usize).ok_or_else(|| damaged(path, name, "is no count"))
        };
        let threshold = story.number("density").filter(|threshold| *threshold > 0.0);
        let densities = story.numbers("local_density");
        if densities.iter().any(|density| !(*density >= 0.0 && density.is_finite())) {
            return Err(damaged(path, "local_density", "has a value that is no distance"));
        }
        if whole("k")? != k {
            return Err(damaged(path, "k", "is not the number of programs in obsm/X_nmf"));
        }
        Ok(Consensus {
            k,
            replicates: whole("replicates")?,
            stability: story.number("stability").unwrap_or(f64::NAN),
            threshold: threshold.ok_or_else(|| damaged(path, "density", "is no distance"))?,
            densities,
            spectra: Spectra::read(path, story, k, &story.numbers("program_of_spectrum"))?,
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
