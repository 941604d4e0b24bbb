//! The report on a result of `fit`, `consensus` or `transform`.

use std::fmt;
use std::path::Path;

use partwise::storage::anndata::{TopGenes, read_factors, read_top_genes};

use super::members::{BAR, Members, bar};
use crate::wording::{cells_by_genes, relative_error};

/// Genes that are shown of each program.
const TOP: usize = 8;
/// Genes that are looked through.
const MOST_GENES: usize = 1 << 22;

/// The keys of `info --json` for a result: its shape, the first genes of each program, and everything
/// under `uns["nmf"]`.
#[derive(serde::Serialize)]
#[serde(transparent)]
pub(super) struct FactorsReport {
    members: Members,
    #[serde(skip)]
    top: Option<TopGenes>,
}

impl FactorsReport {
    /// Reads the result at `path`; `None` if the file has no factors of ours.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let mut members = Members::read(path, "nmf")?;
        let factors = read_factors(path).ok()?;
        members.add("path", path.to_string_lossy());
        members.add("cells", factors.cells());
        members.add("genes", factors.genes());
        members.add("k", factors.components());
        // A damaged table of genes does not hide the rest, and neither does a claim of endless ones.
        let top = if factors.genes() <= MOST_GENES { read_top_genes(path, TOP).ok() } else { None };
        members.add("top_genes", top.as_ref().map(|top| &top.genes));
        Some(FactorsReport { members, top })
    }
}

impl fmt::Display for FactorsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = &self.members;
        let shape = cells_by_genes(told.count("cells") as usize, told.count("genes") as usize);
        let error = Some(told.number("relative_error")).filter(|error| error.is_finite());
        let error = error.map_or_else(|| "?".into(), relative_error);
        let (path, k) = (told.text("path"), told.count("k"));
        if told.is("consensus") {
            writeln!(f, "{path}: a consensus of {} replicates, {shape}, k = {k}", told.count("replicates"))?;
            writeln!(
                f,
                "stability {:.3}; {:.0} % of the spectra are below the density {}; relative error {error} of the {} genes \
                 that were selected",
                told.number("stability"),
                100.0 * told.number("kept"),
                told.number("density"),
                told.count("selected_genes"),
            )?;
            writeln!(f, "written by partwise {}", told.text("version"))?;
            write!(
                f,
                "inside    obsm[\"X_nmf\"] = usages, varm[\"gene_scores\"], varm[\"spectra_tpm\"], varm[\"spectra\"] = \
                 medians, uns[\"nmf\"] = all settings"
            )?;
        } else if told.is("transformed") {
            writeln!(f, "{path}: usages of {shape} under {k} programs of another result")?;
            write!(f, "relative error {error}")?;
            let fitted = told.number("fitted_relative_error");
            if fitted.is_finite() {
                write!(f, " ({} where the spectra were fitted)", relative_error(fitted))?;
            }
            let (matched, missing) = (told.count("genes_matched"), told.count("genes_missing"));
            writeln!(f, "; {matched} genes matched, {missing} of the result are not in the data")?;
            writeln!(f, "written by partwise {}", told.text("version"))?;
            write!(
                f,
                "inside    obsm[\"X_nmf\"] = usages, varm[\"spectra\"] = spectra of the result, uns[\"nmf\"] = all \
                 settings"
            )?;
        } else {
            writeln!(f, "{path}: a factorization of {shape}, k = {k}")?;
            writeln!(f, "relative error {error} after {} passes ({})", told.count("passes"), told.text("stop"))?;
            let (solver, scale, init, seed) =
                (told.text("solver"), told.text("scale"), told.text("init"), told.text("seed"));
            writeln!(f, "settings  solver {solver}, scale {scale}, start {init}, seed {seed}")?;
            writeln!(f, "written by partwise {}", told.text("version"))?;
            write!(
                f,
                "inside    obsm[\"X_nmf\"] = W, varm[\"spectra\"] = H transposed, uns[\"nmf\"] = all settings and the \
                 trace"
            )?;
        }
        let Some(top) = &self.top else { return Ok(()) };
        let (usage, largest) = (told.numbers_in("programs", "usage"), if top.by_score { "score" } else { "weight" });
        let most = usage.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let shares = if usage.is_empty() { "" } else { "  of a cell          " };
        write!(f, "\n\nprogram{shares}  genes of the largest {largest}")?;
        for (program, genes) in top.genes.iter().enumerate() {
            write!(f, "\n{program:>7}")?;
            if let Some(share) = usage.get(program) {
                write!(f, "  {:>5.1} %  {:<BAR$}", 100.0 * share, bar(share / most))?;
            }
            write!(f, "  {}", genes.join(" "))?;
        }
        Ok(())
    }
}
