//! Reads W and H of an earlier result, to start a fit from them.

use std::ops::Range;
use std::path::{Path, PathBuf};

use hdf5::{Dataset, Datatype, File};

use crate::detect::{self, Format};
use crate::hdf::number::{NumberType, type_name};
use crate::hdf::{self, claim, problem, raw};
use crate::{Remedy, StorageError};

const USAGES: &str = "obsm/X_nmf";
pub(super) const SPECTRA: &str = "varm/spectra";

/// The reason why another file is refused.
const NO_RESULT: &str = "is not a result of fit (an AnnData file with obsm[\"X_nmf\"] and varm[\"spectra\"])";

/// The factors in a result file, read by rows.
pub struct Factors {
    path: PathBuf,
    usages: Dataset,
    spectra: Dataset,
    memory: Datatype,
    cells: usize,
    genes: usize,
    components: usize,
    _file: hdf::file::Reading,
}

/// Opens the factors of the result at `path`. Reads no values: the sizes are what the file claims.
///
/// # Errors
///
/// - nothing is at `path`, or it is not an HDF5 file with factors
/// - W and H have different numbers of components
/// - a table has chunks that a file of its size cannot hold
pub fn read_factors(path: &Path) -> Result<Factors, StorageError> {
    let unknown = |reason: String| StorageError::UnknownFormat { path: path.into(), reason };
    match detect::format_of(path) {
        Ok(Format::Hdf5) => {}
        Ok(_) => return Err(unknown(format!("it {NO_RESULT}"))),
        Err(StorageError::UnknownFormat { reason, .. }) if reason == detect::NOT_REGULAR => {
            return Err(unknown(reason));
        }
        Err(StorageError::UnknownFormat { .. }) => return Err(unknown(format!("it {NO_RESULT}"))),
        Err(other) => return Err(other),
    }
    let file = hdf::file::open(path)?;
    let (usages, [cells, components]) = table(&file, path, USAGES)?;
    let (spectra, [genes, width]) = table(&file, path, SPECTRA)?;
    if width != components {
        return Err(StorageError::InvalidDataset {
            path: path.into(),
            dataset: SPECTRA.into(),
            problem: format!("has {width} components, but {USAGES} has {components}"),
            remedy: "they are of two fits; use a result as partwise wrote it".into(),
        });
    }
    let memory = Datatype::from_type::<f32>().map_err(|e| problem::problem("read", path, SPECTRA, &e))?;
    Ok(Factors { path: path.into(), usages, spectra, memory, cells, genes, components, _file: file })
}

impl Factors {
    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Rows n of W.
    pub fn cells(&self) -> usize {
        self.cells
    }

    /// Columns m of H.
    pub fn genes(&self) -> usize {
        self.genes
    }

    /// The number of components k.
    pub fn components(&self) -> usize {
        self.components
    }

    /// Reads rows of Hᵀ (genes), the file's `varm["spectra"]`, into `out`, rows × k, row-major.
    ///
    /// # Errors
    ///
    /// - the file cannot be read, a value is negative or not finite
    ///
    /// # Panics
    ///
    /// When `rows` reaches beyond Hᵀ or `out` has another size.
    #[track_caller]
    pub fn read_spectra(&self, rows: Range<usize>, out: &mut [f32]) -> Result<(), StorageError> {
        assert!(rows.start <= rows.end && rows.end <= self.genes, "rows {rows:?} are inside H transposed");
        assert_eq!(out.len(), rows.len() * self.components, "one row of out for each row");
        self.read(&self.spectra, SPECTRA, rows.start, out)
    }

    /// Reads rows of W into `out`, rows × k, row-major.
    ///
    /// # Errors
    ///
    /// - the file cannot be read, a value is negative or not finite
    ///
    /// # Panics
    ///
    /// When `rows` reaches beyond W or `out` has another size.
    #[track_caller]
    pub fn read_usages(&self, rows: Range<usize>, out: &mut [f32]) -> Result<(), StorageError> {
        assert!(rows.start <= rows.end && rows.end <= self.cells, "rows {rows:?} are inside W");
        assert_eq!(out.len(), rows.len() * self.components, "one row of out for each row");
        self.read(&self.usages, USAGES, rows.start, out)
    }

    fn read(&self, dataset: &Dataset, name: &str, first: usize, out: &mut [f32]) -> Result<(), StorageError> {
        let width = self.components;
        raw::read(dataset, &self.memory, &[first, 0], &[out.len() / width, width], out)
            .map_err(|e| problem::problem("read", &self.path, name, &e))?;
        match out.iter().position(|v| !(*v >= 0.0 && *v < f32::INFINITY)) {
            None => Ok(()),
            Some(at) => Err(StorageError::InvalidValue {
                path: self.path.clone(),
                dataset: name.into(),
                row: (first + at / width) as u64,
                column: (at % width) as u64,
                value: f64::from(out[at]),
                remedy: "factors are finite and at least 0; use a result as partwise wrote it".into(),
            }),
        }
    }
}

/// Opens a table of numbers that is not empty.
pub(super) fn table(file: &File, path: &Path, name: &str) -> Result<(Dataset, [usize; 2]), StorageError> {
    let missing = Remedy::ChooseStart { reason: format!("it {NO_RESULT}") };
    table_or(file, path, name, missing, "use a result as partwise wrote it")
}

/// As [`table`], with the remedies for one that is missing and for one that is no such table.
pub(super) fn table_or(
    file: &File,
    path: &Path,
    name: &str,
    missing: Remedy,
    wrong: &str,
) -> Result<(Dataset, [usize; 2]), StorageError> {
    let dataset = file.dataset(name).map_err(|_| StorageError::MissingDataset {
        path: path.into(),
        dataset: name.into(),
        remedy: missing.into(),
    })?;
    let numbers = dataset.dtype().and_then(|t| NumberType::of(&t)).ok().flatten().is_some();
    if let Some(problem) = claim::wrong(&dataset) {
        return Err(StorageError::InvalidDataset {
            path: path.into(),
            dataset: name.into(),
            problem,
            remedy: wrong.into(),
        });
    }
    match dataset.shape()[..] {
        [rows, columns] if rows > 0 && columns > 0 && numbers => Ok((dataset, [rows, columns])),
        ref shape => Err(StorageError::InvalidDataset {
            path: path.into(),
            dataset: name.into(),
            problem: format!("is {} of shape {shape:?}, expected a table of numbers", type_name(&dataset)),
            remedy: wrong.into(),
        }),
    }
}
