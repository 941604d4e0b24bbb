//! The places of the sample's cells in an embedding of another file, matched by name.

use std::collections::HashMap;
use std::path::Path;

use partwise_storage::Axis;
use partwise_storage::anndata::{Table, members, visit_names};

use super::rows::Rows;
use super::{Sample, check_rows};
use crate::error::ReportError;

/// The tables that are taken if none is named, the first one that there is.
const USUAL: [&str; 3] = ["X_umap", "X_tsne", "X_pca"];

/// Places of cells in the plane.
#[derive(Debug)]
pub(crate) struct Embedding {
    /// The table.
    pub(crate) key: String,
    /// The place of each cell of the sample, if the file has the cell.
    pub(crate) places: Vec<Option<[f64; 2]>>,
    /// A cell that the file does not have.
    pub(crate) lost: Option<String>,
}

impl Embedding {
    /// Finds the cells of the sample, which are called `names`, of the result at `of` in the table `key` of the
    /// file at `path`. Of cells with the same name, the first is the first, and so on.
    pub(crate) fn read(
        path: &Path,
        key: Option<&str>,
        of: &Path,
        sample: &Sample,
        names: &[String],
    ) -> Result<Embedding, ReportError> {
        let keys = members(path, "obsm")?;
        let usual = || USUAL.iter().copied().find(|usual| keys.iter().any(|key| key == usual));
        let Some(key) = key.or_else(usual) else { return Err(ReportError::NoEmbedding { path: path.into(), keys }) };
        let table = Table::open(path, "obsm", key)?;
        if table.columns() < 2 {
            return Err(ReportError::OneColumn { path: path.into(), key: key.into() });
        }
        // For each name, the cells of the sample that have it: the count of cells before with that name, and the cell.
        let mut wanted: HashMap<&str, Vec<(usize, usize)>> =
            names.iter().map(|name| (name.as_str(), Vec::new())).collect();
        let (mut seen, mut row, mut sampled) =
            (HashMap::<&str, usize>::new(), 0, sample.rows().iter().enumerate().peekable());
        visit_names(of, Axis::Cells, |name| {
            let here = sampled.next_if(|&(_, &sampled)| sampled == row);
            row += 1;
            let Some(&name) = wanted.get_key_value(name).map(|(name, _)| name) else { return };
            let count = seen.entry(name).or_default();
            if let (Some((cell, _)), Some(cells)) = (here, wanted.get_mut(name)) {
                cells.push((*count, cell));
            }
            *count += 1;
        })?;
        seen.clear();
        let (mut row, mut found, mut first) = (0, Vec::new(), String::new());
        visit_names(path, Axis::Cells, |name| {
            if row == 0 {
                name.clone_into(&mut first);
            }
            if let Some((&name, cells)) = wanted.get_key_value(name) {
                let count = seen.entry(name).or_default();
                found.extend(cells.iter().filter(|(before, _)| before == count).map(|&(_, cell)| (row, cell)));
                *count += 1;
            }
            row += 1;
        })?;
        check_rows(path, &format!("obsm/{key}"), table.rows(), row)?;
        let mut rows = Rows::new(table, 2);
        let (mut places, mut at) = (vec![None; names.len()], 0);
        for (row, cell) in found {
            while at < row {
                rows.next()?;
                at += 1;
            }
            at += 1;
            if let Some(&[x, y]) = rows.next()?.map(|row| <&[f32; 2]>::try_from(row).expect("two numbers a row")) {
                places[cell] = (x.is_finite() && y.is_finite()).then(|| [f64::from(x), f64::from(y)]);
            }
        }
        let lost = places.iter().position(Option::is_none).map(|cell| names[cell].clone());
        match (places.iter().any(Option::is_some), lost) {
            (false, lost) => Err(ReportError::OtherCells {
                path: path.into(),
                looked_for: names.len(),
                example: lost.unwrap_or_default(),
                first,
            }),
            (true, lost) => Ok(Embedding { key: key.into(), places, lost }),
        }
    }
}
