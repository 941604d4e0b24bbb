//! Finds the selected matrix in an archive.

use std::io::Read;
use std::path::Path;

use super::archive::Member;
use super::compressed::Compressed;
use super::coordinates::Coordinates;
use super::list::List;
use super::places::Places;
use super::{Matrix, SPARSE};
use crate::remedy::{Choice, Remedy};
use crate::source::npy::header::Array;
use crate::store::Selection;
use crate::{Axis, StorageError};

/// The name, the shape (cells and genes) and the matrix itself.
pub(super) type Opened = (String, (usize, usize), Matrix);

/// A sparse matrix as `scipy.sparse.save_npz` writes it.
pub(super) fn sparse(
    path: &Path,
    members: &[Member],
    format: &Member,
    transpose: bool,
) -> Result<Opened, StorageError> {
    let member = |name: &str| {
        members.iter().find(|member| member.name == name).ok_or_else(|| {
            let remedy = "save it again with scipy.sparse.save_npz".into();
            StorageError::MissingDataset { path: path.into(), dataset: name.into(), remedy }
        })
    };
    let mut shape = Vec::new();
    let mut sides = List::open_flat(member("shape")?, true)?;
    if sides.len() == 2 {
        sides.read_integers(0, 2, &mut shape)?;
    }
    let [rows, columns] = shape[..] else {
        return Err(sides.member.invalid(format!("has {} sides, expected 2", sides.len())));
    };
    let (Ok(rows), Ok(columns)) = (usize::try_from(rows), usize::try_from(columns)) else {
        return Err(sides.member.invalid(format!("is {rows} × {columns}, expected cells and genes")));
    };
    let shape = if transpose { (columns, rows) } else { (rows, columns) };
    let places = Places { path: path.into(), shape };
    let list = |name: &str, integers| List::open_flat(member(name)?, integers);
    let word = word(format)?;
    let matrix = match word.as_str() {
        "csr" | "csc" => {
            let lists = [list("data", false)?, list("indices", true)?, list("indptr", true)?];
            match (word == "csr") != transpose {
                true => Matrix::ByCell(Compressed::open(places, lists, Axis::Cells, shape)?),
                false => Matrix::ByGene(Compressed::open(places, lists, Axis::Genes, shape)?),
            }
        }
        "coo" => {
            let (rows, columns) = (list("row", true)?, list("col", true)?);
            let (cells, genes) = if transpose { (columns, rows) } else { (rows, columns) };
            Matrix::Coordinates(Coordinates::open(places, [list("data", false)?, cells, genes])?)
        }
        other => {
            let problem = format!("is \"{other}\", expected csr, csc or coo");
            let remedy = "save it again with scipy.sparse.save_npz(path, x.tocsr())".into();
            let dataset = format.name.clone();
            return Err(StorageError::InvalidDataset { path: path.into(), dataset, problem, remedy });
        }
    };
    Ok((SPARSE.into(), shape, matrix))
}

/// The word in `format`: bytes, or characters of four bytes.
fn word(format: &Member) -> Result<String, StorageError> {
    let mut content = Vec::new();
    format.stream().take(1 << 12).read_to_end(&mut content).map_err(|e| format.fault(e))?;
    let array = Array::read(&content[..]).map_err(|problem| format.invalid(problem))?;
    let word = content.get(array.data_start as usize..).unwrap_or_default();
    Ok(word.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(|&byte| char::from(byte)).collect())
}

/// The named table, or the only one.
pub(super) fn table(path: &Path, members: &[Member], selection: &Selection) -> Result<Opened, StorageError> {
    let mut tables = Vec::new();
    for member in members {
        // Arrays of texts and records are no tables.
        if let Ok(array) = Array::read(member.stream())
            && array.shape.len() == 2
            && array.element().is_ok()
        {
            tables.push((member, array));
        }
    }
    let list = || {
        let shown =
            |(member, array): &(&Member, Array)| format!("{} ({} × {})", member.name, array.shape[0], array.shape[1]);
        let names = tables.iter().map(shown).collect();
        Box::new(Remedy::ChooseOne { choice: Choice::Dataset, names })
    };
    let chosen = match (&selection.dataset, &tables[..]) {
        (_, []) => {
            let reason = "it is a zip archive without a sparse matrix of scipy and without a table of NumPy; save one \
                          with scipy.sparse.save_npz or numpy.savez";
            return Err(StorageError::UnknownFormat { path: path.into(), reason: reason.into() });
        }
        (None, [only]) => only,
        (None, several) => {
            let problem = format!("holds {} tables", several.len());
            let dataset = "archive".to_owned();
            return Err(StorageError::InvalidDataset { path: path.into(), dataset, problem, remedy: list() });
        }
        (Some(name), tables) => match tables.iter().find(|(member, _)| member.name == *name) {
            Some(named) => named,
            None => {
                let (dataset, remedy) = (name.clone(), list());
                return Err(StorageError::MissingDataset { path: path.into(), dataset, remedy });
            }
        },
    };
    let (member, array) = chosen;
    let list = List::open(member)?;
    let shape = (array.shape[0], array.shape[1]);
    let shape = if selection.transpose { (shape.1, shape.0) } else { shape };
    let matrix = match array.by_column != selection.transpose {
        true => Matrix::Transposed(list, 0),
        false => Matrix::Table(list),
    };
    Ok((member.name.clone(), shape, matrix))
}
