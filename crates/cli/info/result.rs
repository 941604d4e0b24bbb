//! The report on a result of `fit`, `consensus` or `transform`.

use std::fmt;
use std::path::Path;

use partwise::storage::anndata::{TopGenes, Value, read_factors, read_top_genes, read_uns};
use serde_json::{Map, Value as Json, json};

use crate::failure::Failure;
use crate::wording::{cells_by_genes, relative_error};

/// Genes that are shown of each program.
const TOP: usize = 8;
/// Genes that are looked through.
const MOST_GENES: usize = 1 << 22;
/// Characters of the longest bar.
const BAR: f64 = 12.0;

/// The keys of `info --json` for a result: its shape, the first genes of each program, and everything
/// under `uns["nmf"]`.
#[derive(serde::Serialize)]
#[serde(transparent)]
pub(super) struct ResultReport {
    members: Map<String, Json>,
    #[serde(skip)]
    top: Option<TopGenes>,
}

impl ResultReport {
    /// Reads the result at `path`; `None` if the file is not a result.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, Failure> {
        let (Ok(story), Ok(factors)) = (read_uns(path, "nmf"), read_factors(path)) else { return Ok(None) };
        let mut members = match json(&story) {
            Json::Object(members) => members,
            _ => return Ok(None),
        };
        members.insert("path".into(), json!(path.to_string_lossy()));
        members.insert("cells".into(), json!(factors.cells()));
        members.insert("genes".into(), json!(factors.genes()));
        members.insert("k".into(), json!(factors.components()));
        // A damaged table of genes does not hide the rest, and neither does a claim of endless ones.
        let top = if factors.genes() <= MOST_GENES { read_top_genes(path, TOP).ok() } else { None };
        members.insert("top_genes".into(), json!(top.as_ref().map(|top| &top.genes)));
        Ok(Some(ResultReport { members, top }))
    }

    fn is(&self, name: &str) -> bool {
        self.members.get(name).and_then(Json::as_bool) == Some(true)
    }

    fn text(&self, name: &str) -> &str {
        self.members.get(name).and_then(Json::as_str).unwrap_or("?")
    }

    fn number(&self, name: &str) -> f64 {
        self.members.get(name).and_then(Json::as_f64).unwrap_or(f64::NAN)
    }

    /// The share of each program in an average cell, if the result has it.
    fn usage(&self) -> Vec<f64> {
        let programs = self.members.get("programs").and_then(|programs| programs.get("usage"));
        programs.and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_f64).collect()
    }

    fn count(&self, name: &str) -> u64 {
        self.members.get(name).and_then(Json::as_u64).unwrap_or(0)
    }
}

impl fmt::Display for ResultReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape = cells_by_genes(self.count("cells") as usize, self.count("genes") as usize);
        let error =
            self.members.get("relative_error").and_then(Json::as_f64).map_or_else(|| "?".into(), relative_error);
        let (path, k) = (self.text("path"), self.count("k"));
        if self.is("consensus") {
            writeln!(f, "{path}: a consensus of {} replicates, {shape}, k = {k}", self.count("replicates"))?;
            writeln!(
                f,
                "stability {:.3}; {:.0} % of the spectra are below the density {}; relative error {error} of the {} genes \
                 that were selected",
                self.number("stability"),
                100.0 * self.number("kept"),
                self.number("density"),
                self.count("selected_genes"),
            )?;
            writeln!(f, "written by partwise {}", self.text("version"))?;
            write!(
                f,
                "inside    obsm[\"X_nmf\"] = usages, varm[\"gene_scores\"], varm[\"spectra_tpm\"], varm[\"spectra\"] = \
                 medians, uns[\"nmf\"] = all settings"
            )?;
        } else if self.is("transformed") {
            writeln!(f, "{path}: usages of {shape} under {k} programs of another result")?;
            write!(f, "relative error {error}")?;
            let fitted = self.number("fitted_relative_error");
            if fitted.is_finite() {
                write!(f, " ({} where the spectra were fitted)", relative_error(fitted))?;
            }
            let (matched, missing) = (self.count("genes_matched"), self.count("genes_missing"));
            writeln!(f, "; {matched} genes matched, {missing} of the result are not in the data")?;
            writeln!(f, "written by partwise {}", self.text("version"))?;
            write!(
                f,
                "inside    obsm[\"X_nmf\"] = usages, varm[\"spectra\"] = spectra of the result, uns[\"nmf\"] = all \
                 settings"
            )?;
        } else {
            writeln!(f, "{path}: a factorization of {shape}, k = {k}")?;
            writeln!(f, "relative error {error} after {} passes ({})", self.count("passes"), self.text("stop"))?;
            let (solver, scale, init, seed) =
                (self.text("solver"), self.text("scale"), self.text("init"), self.text("seed"));
            writeln!(f, "settings  solver {solver}, scale {scale}, start {init}, seed {seed}")?;
            writeln!(f, "written by partwise {}", self.text("version"))?;
            write!(
                f,
                "inside    obsm[\"X_nmf\"] = W, varm[\"spectra\"] = H transposed, uns[\"nmf\"] = all settings and the \
                 trace"
            )?;
        }
        let Some(top) = &self.top else { return Ok(()) };
        let (usage, largest) = (self.usage(), if top.by_score { "score" } else { "weight" });
        let most = usage.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let shares = if usage.is_empty() { "" } else { "  of a cell          " };
        write!(f, "\n\nprogram{shares}  genes of the largest {largest}")?;
        for (program, genes) in top.genes.iter().enumerate() {
            write!(f, "\n{program:>7}")?;
            if let Some(share) = usage.get(program) {
                let bar = "#".repeat((BAR * share / most).round() as usize);
                write!(f, "  {:>5.1} %  {bar:<12}", 100.0 * share)?;
            }
            write!(f, "  {}", genes.join(" "))?;
        }
        Ok(())
    }
}

fn json(value: &Value) -> Json {
    match value {
        Value::Str(text) => json!(text),
        Value::Int(number) => json!(number),
        Value::Float(number) => json!(number),
        Value::Bool(truth) => json!(truth),
        Value::FloatArray(numbers) => json!(numbers),
        Value::IntArray(numbers) => json!(numbers),
        Value::StrArray(texts) => json!(texts),
        Value::Map(members) => members.iter().map(|(name, value)| (name.clone(), json(value))).collect(),
        _ => Json::Null,
    }
}
