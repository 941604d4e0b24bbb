//! Principal components as an AnnData file, with the keys of scanpy: `obsm["X_pca"]`, `varm["PCs"]` and
//! `uns["pca"]`; settings and digests are in `uns["partwise_pca"]`.
//!
//! The file holds no time, host or path: equal runs give equal files, byte for byte.

use std::path::Path;

use partwise_storage::StorageError;
use partwise_storage::anndata::{AnnDataWriter, RowsInPlace, Value, read_uns};
use partwise_storage::store::{Overwrite, Store};

use super::{Axes, Method, Scores};
use crate::error::DriverError;
use crate::result::{RowsOf, of_subset, recorded, write_rows};
use crate::subset::Subset;

/// Takes the scores of `axes`, found in `store`, and writes all to `dest`: whole or not at all. `notes`
/// go to the settings. All processes call it; each writes the scores of its cells to their place in the
/// file of process 0.
///
/// # Errors
///
/// As [`Axes::scores`], and:
///
/// - [`DriverError::Storage`]: `dest` exists and `overwrite` forbids it, the disk is full, or the
///   store's annotations are damaged.
/// - [`DriverError::Elsewhere`]: another process has failed.
pub fn write(
    axes: &Axes<'_>,
    store: &Store,
    notes: Vec<(String, Value)>,
    dest: &Path,
    overwrite: Overwrite,
) -> Result<Scores, DriverError> {
    let subset = axes.subset();
    let kept = (subset.and_then(Subset::cells), subset.and_then(Subset::genes));
    let begin = |file: &mut AnnDataWriter| {
        Ok(vec![file.array2("obsm", "X_pca", axes.cells(), axes.model.config.components)?])
    };
    let rows = |file: &RowsInPlace| axes.scores(&|first, rows| Ok(file.write(0, first, rows)?));
    let finish = |file: &mut AnnDataWriter, scores: &Scores| {
        let of_genes = axes.axes();
        let mut table = file.array2("varm", "PCs", of_genes.genes(), of_genes.k())?;
        table.write_rows(0, &of_genes.to_rows())?;
        drop(table);
        file.uns("pca", &Value::Map(of_scanpy(scores)))?;
        Ok(file.uns("partwise_pca", &Value::Map(about(axes, scores, store, notes)))?)
    };
    write_rows(RowsOf { store, kept, dest, overwrite }, axes.comm(), begin, rows, finish)
}

/// What [`write()`] has recorded of the scores in the file at `path`; `None` if it is no such file. The
/// file does not know how many rows each process had.
///
/// # Errors
///
/// [`StorageError::Io`]: the file cannot be read.
pub fn read(path: &Path) -> Result<Option<Scores>, StorageError> {
    let members = |name: &str| match read_uns(path, name) {
        Ok(Value::Map(members)) => Ok(Some(members)),
        Err(error @ StorageError::Io { .. }) => Err(error),
        _ => Ok(None),
    };
    let (Some(scanpy), Some(about)) = (members("pca")?, members("partwise_pca")?) else { return Ok(None) };
    Ok(scores(&scanpy, &about))
}

fn scores(scanpy: &[(String, Value)], about: &[(String, Value)]) -> Option<Scores> {
    let find = |members: &'_ [(String, Value)], name: &str| {
        members.iter().find(|(of, _)| of == name).map(|(_, value)| value.clone())
    };
    let numbers = |name: &str| match find(scanpy, name)? {
        Value::FloatArray(numbers) => Some(numbers),
        _ => None,
    };
    let text = |name: &str| match find(about, name)? {
        Value::Str(text) => Some(text),
        _ => None,
    };
    let (Value::Int(passes), Value::Float(total_variance)) = (find(about, "passes")?, find(about, "total_variance")?)
    else {
        return None;
    };
    Some(Scores {
        variance: numbers("variance")?,
        variance_ratio: numbers("variance_ratio")?,
        total_variance,
        method: Method::of_word(&text("method")?)?,
        passes: usize::try_from(passes).ok()?,
        resumed_from_pass: 0,
        digest: text("digest")?,
        rows_per_rank: Vec::new(),
    })
}

fn of_scanpy(scores: &Scores) -> Vec<(String, Value)> {
    let params = vec![("zero_center".to_owned(), true.into()), ("use_highly_variable".to_owned(), false.into())];
    vec![
        ("params".into(), params.into()),
        ("variance".into(), scores.variance.clone().into()),
        ("variance_ratio".into(), scores.variance_ratio.clone().into()),
    ]
}

fn about(axes: &Axes<'_>, scores: &Scores, store: &Store, notes: Vec<(String, Value)>) -> Vec<(String, Value)> {
    let selection = &store.source().selection;
    let mut about: Vec<(String, Value)> = vec![("version".into(), env!("CARGO_PKG_VERSION").into())];
    about.extend(recorded(&axes.model.settings()));
    about.extend(axes.target_sum().map(|sum| ("target_sum".into(), sum.into())));
    about.extend([
        ("method".into(), axes.method.word().into()),
        ("passes".into(), Value::Int(scores.passes as i64)),
        ("total_variance".into(), scores.total_variance.into()),
        ("digest".into(), scores.digest.as_str().into()),
        ("data_fingerprint".into(), store.fingerprint().into()),
        ("block_rows".into(), Value::Int(store.block_rows() as i64)),
        ("tile_rows".into(), Value::Int(store.tile_rows() as i64)),
        ("layer".into(), selection.layer.clone().unwrap_or_default().into()),
        ("raw".into(), selection.raw.into()),
        ("transpose".into(), selection.transpose.into()),
    ]);
    about.extend(axes.subset().into_iter().flat_map(of_subset));
    about.extend(notes);
    about
}
