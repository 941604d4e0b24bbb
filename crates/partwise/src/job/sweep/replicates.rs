//! The finished replicates of a cohort as an AnnData file: `X` has their spectra, one row each over the selected
//! genes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use partwise_driver::sweep::{Cohort, Replicate};
use partwise_storage::anndata::{AnnDataWriter, Value, read_uns};
use partwise_storage::{Axis, Overwrite, RowChunk, Selection, StorageError, source};
use sha2::{Digest, Sha256};

/// Spectra that are read at once.
const ROWS: usize = 64;

/// What a file says of its replicates, beside their spectra.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::job) struct Told {
    pub(in crate::job) len: usize,
    /// ‖X̂ − W·H‖² / ‖X̂‖² of each.
    pub(in crate::job) errors: Vec<f64>,
    /// Passes of each.
    pub(in crate::job) passes: Vec<i64>,
    sha256: String,
}

impl Told {
    /// A hash of its spectra and of all of this.
    pub(super) fn sha256(&self) -> &str {
        &self.sha256
    }
}

/// The file of a cohort in the folder of all.
pub(super) fn path(folder: &Path, cohort: &Cohort) -> PathBuf {
    folder.join(format!("{}.h5ad", cohort.name()))
}

/// Writes the replicates of a cohort over genes of these names.
pub(super) fn write(path: &Path, k: usize, replicates: &[Replicate], genes: &[String]) -> Result<(), StorageError> {
    let rows = replicates.len() * k;
    let mut file = AnnDataWriter::create(path, Overwrite::Replace)?;
    let each = || replicates.iter().flat_map(|replicate| (0..k).map(move |component| (replicate.number, component)));
    let mut obs = file.dataframe(Axis::Cells, rows)?;
    obs.names(each().map(|(replicate, component)| format!("replicate {replicate}, component {component}")))?;
    obs.integers("replicate", each().map(|(replicate, _)| replicate as i64))?;
    obs.integers("component", each().map(|(_, component)| component as i64))?;
    obs.finish()?;
    let mut var = file.dataframe(Axis::Genes, genes.len())?;
    var.names(genes)?;
    var.finish()?;
    let mut x = file.x_dense(rows, genes.len())?;
    for (place, replicate) in replicates.iter().enumerate() {
        x.write_rows(place * k, &replicate.spectra)?;
    }
    drop(x);
    let errors: Vec<f64> = replicates.iter().map(|replicate| replicate.error).collect();
    let passes: Vec<i64> = replicates.iter().map(|replicate| replicate.passes as i64).collect();
    // Nobody is met by the number −1.
    let met: Vec<i64> = replicates.iter().map(|replicate| replicate.met.map_or(-1, |met| met as i64)).collect();
    let mut hash = Hash::of(k, &errors, &passes);
    replicates.iter().for_each(|replicate| hash.spectra(&replicate.spectra));
    let about = vec![
        ("k".into(), Value::Int(k as i64)),
        ("error".into(), Value::FloatArray(errors)),
        ("passes".into(), Value::IntArray(passes)),
        ("met".into(), Value::IntArray(met)),
        ("sha256".into(), Value::Str(hash.finish())),
    ];
    file.uns("sweep", &Value::Map(about))?;
    file.finish()
}

/// What the file says of its replicates; `None` if it is not there.
pub(super) fn told(path: &Path, k: usize) -> Result<Option<Told>, StorageError> {
    if !path.exists() {
        return Ok(None);
    }
    let Value::Map(members) = read_uns(path, "sweep")? else { return Err(damaged(path)) };
    let mut members: BTreeMap<String, Value> = members.into_iter().collect();
    let found = (members.remove("k"), members.remove("error"), members.remove("passes"), members.remove("sha256"));
    match found {
        (
            Some(Value::Int(of)),
            Some(Value::FloatArray(errors)),
            Some(Value::IntArray(passes)),
            Some(Value::Str(sha256)),
        ) if of == k as i64 && errors.len() == passes.len() && !errors.is_empty() => {
            Ok(Some(Told { len: errors.len(), errors, passes, sha256 }))
        }
        _ => Err(damaged(path)),
    }
}

/// Adds the spectra of the file, which said this of them, to `spectra`.
pub(super) fn read(
    path: &Path,
    (k, genes): (usize, usize),
    told: &Told,
    spectra: &mut Vec<f32>,
) -> Result<(), StorageError> {
    let mut source = source::open(path, &Selection::default())?;
    let rows = told.len * k;
    if (source.cells(), source.genes()) != (rows, genes) {
        return Err(damaged(path));
    }
    let (mut chunk, first) = (RowChunk::default(), spectra.len());
    for from in (0..rows).step_by(ROWS) {
        source.read_rows(from..(from + ROWS).min(rows), &mut chunk)?;
        match &chunk {
            RowChunk::Dense { values } => spectra.extend_from_slice(values),
            _ => return Err(damaged(path)),
        }
    }
    let mut hash = Hash::of(k, &told.errors, &told.passes);
    spectra[first..].chunks_exact(k * genes).for_each(|of_replicate| hash.spectra(of_replicate));
    match hash.finish() == told.sha256 {
        true => Ok(()),
        false => Err(damaged(path)),
    }
}

/// The error of a file that no sweep has written so.
fn damaged(path: &Path) -> StorageError {
    StorageError::InvalidDataset {
        path: path.into(),
        dataset: "uns/sweep".into(),
        problem: "does not fit the spectra in X".into(),
        remedy: "delete this file and run the same sweep again: it makes only what is missing".into(),
    }
}

/// A hash of all that a consensus takes from a file.
struct Hash(Sha256);

impl Hash {
    fn of(k: usize, errors: &[f64], passes: &[i64]) -> Self {
        let mut hash = Sha256::new();
        hash.update((k as u64).to_le_bytes());
        errors.iter().for_each(|error| hash.update(error.to_le_bytes()));
        passes.iter().for_each(|passes| hash.update(passes.to_le_bytes()));
        Hash(hash)
    }

    fn spectra(&mut self, values: &[f32]) {
        values.iter().for_each(|value| self.0.update(value.to_le_bytes()));
    }

    fn finish(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
