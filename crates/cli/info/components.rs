//! The report on a result of `pca`.

use std::fmt;
use std::path::Path;

use partwise::storage::anndata::Table;

use super::members::{Members, bar};
use crate::wording::cells_by_genes;

/// Components whose variance the text lists.
const LISTED: usize = 20;

/// The keys of `info --json` for principal components: their shape, the variances, and everything under
/// `uns["partwise_pca"]`.
#[derive(serde::Serialize)]
#[serde(transparent)]
pub(super) struct ComponentsReport {
    members: Members,
}

impl ComponentsReport {
    /// Reads the result at `path`; `None` if the file has no components of ours.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let mut members = Members::read(path, "partwise_pca")?;
        let scanpy = Members::read(path, "pca")?;
        let (scores, axes) = (Table::open(path, "obsm", "X_pca").ok()?, Table::open(path, "varm", "PCs").ok()?);
        members.add("path", path.to_string_lossy());
        members.add("cells", scores.rows());
        members.add("genes", axes.rows());
        members.add("components", scores.columns());
        for name in ["variance", "variance_ratio"] {
            members.add(name, scanpy.numbers(name));
        }
        Some(ComponentsReport { members })
    }
}

impl fmt::Display for ComponentsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = &self.members;
        let shape = cells_by_genes(told.count("cells") as usize, told.count("genes") as usize);
        let ratios = told.numbers("variance_ratio");
        writeln!(f, "{}: {} principal components of {shape}", told.text("path"), told.count("components"))?;
        writeln!(
            f,
            "{:.2} % of the variance after {} reads of the data, by the method {}",
            100.0 * ratios.iter().sum::<f64>(),
            told.count("passes"),
            told.text("method")
        )?;
        let values = match told.is("log1p") {
            true => format!("log1p of cells scaled to {}", told.number("target_sum")),
            false => "as they are".into(),
        };
        writeln!(f, "settings  values {values}, scale {}, seed {}", told.text("scale"), told.text("seed"))?;
        writeln!(f, "written by partwise {}", told.text("version"))?;
        writeln!(
            f,
            "inside    obsm[\"X_pca\"] = scores, varm[\"PCs\"] = axes, uns[\"pca\"] = variances, \
             uns[\"partwise_pca\"] = all settings"
        )?;
        write!(f, "\ncomponent  of the variance")?;
        let most = ratios.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        for (number, ratio) in (1..).zip(ratios.iter().take(LISTED)) {
            write!(f, "\n{number:>9}  {:>6.2} %  {}", 100.0 * ratio, bar(ratio / most))?;
        }
        match ratios.len().checked_sub(LISTED) {
            Some(more @ 1..) => write!(f, "\nand {more} more"),
            _ => Ok(()),
        }
    }
}
