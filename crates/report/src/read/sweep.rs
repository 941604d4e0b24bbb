//! The folder of a sweep: its description, its table, and what each replicate came to. Spectra are not read.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use partwise_storage::{StorageError, sealed};
use serde_json::Value;

use super::Story;
use crate::error::ReportError;

/// The description and the table, in the folder.
const DESCRIPTION: &str = "sweep.json";
const TABLE: &str = "stability.csv";
/// A larger description, or a larger table, is none.
const MOST_BYTES: u64 = 1 << 20;
/// The most files of replicates that are read.
const MOST_FILES: usize = 100_000;

const AGAIN: &str = "run the same sweep again, which makes only what is missing";

/// A sweep.
#[derive(Debug)]
pub(crate) struct Sweep {
    pub(crate) version: String,
    /// Genes that the replicates see.
    pub(crate) genes: usize,
    /// All settings, names and values.
    pub(crate) settings: Vec<(String, String)>,
    /// Every k, the smallest one first.
    pub(crate) ks: Vec<OfK>,
}

/// A line of the table, and the replicates.
#[derive(Debug, Clone, Default)]
pub(crate) struct OfK {
    pub(crate) k: usize,
    pub(crate) replicates: usize,
    /// The mean silhouette of the clusters of all spectra; NaN if it is not known.
    pub(crate) stability: f64,
    /// Of the medians of the clusters.
    pub(crate) relative_error: f64,
    pub(crate) explained: f64,
    /// Mean passes of a replicate.
    pub(crate) passes: f64,
    /// What the files say of each replicate; fewer than there are if the folder has changed since the table was written.
    pub(crate) each: Vec<Replicate>,
}

/// A replicate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Replicate {
    pub(crate) relative_error: f64,
    pub(crate) passes: f64,
}

impl Sweep {
    /// Whether the folder is that of a sweep. Two of its files identify one, because others may have one of them too.
    pub(crate) fn is_at(path: &Path) -> bool {
        [DESCRIPTION, "genes.txt"].iter().all(|name| path.join(name).is_file())
    }

    /// Reads the sweep in the folder `path`.
    pub(crate) fn read(path: &Path) -> Result<Sweep, ReportError> {
        let description = path.join(DESCRIPTION);
        let bad = |problem: &str| bad(&description, problem, "make the sweep anew");
        let content = bounded(&description)?;
        sealed::check(content.as_bytes(), &description).map_err(|_| bad("has changed since it was written"))?;
        let described: Value = serde_json::from_str(&content).map_err(|_| bad("is no JSON"))?;
        if described["format"] != "partwise sweep" || described["version"] != 1 {
            return Err(bad("is no description of a sweep in a version that is known"));
        }
        let text = |name: &str| described[name].as_str().unwrap_or("?").to_owned();
        let genes = described["selected_genes"].as_u64().ok_or_else(|| bad("does not say how many genes it has"))?;
        // The place of the store is left out: a page holds no folder.
        let mut settings = vec![
            ("version".into(), text("writer")),
            ("data_fingerprint".into(), text("fingerprint")),
            ("selected_genes".into(), genes.to_string()),
        ];
        for (name, value) in described["settings"].as_object().into_iter().flatten() {
            settings.push((name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
        }
        let mut ks = table(&path.join(TABLE))?;
        replicates(&path.join("replicates"), &mut ks)?;
        Ok(Sweep { version: text("writer"), genes: genes as usize, settings, ks })
    }

    /// The value of a setting.
    pub(crate) fn setting(&self, name: &str) -> Option<&str> {
        self.settings.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

fn bad(path: &Path, problem: impl Into<String>, remedy: &'static str) -> ReportError {
    ReportError::Sweep { path: path.into(), problem: problem.into(), remedy }
}

/// The text of a small file.
fn bounded(path: &Path) -> Result<String, ReportError> {
    let failed = |error| StorageError::io("read", path, error);
    let mut content = Vec::new();
    std::fs::File::open(path).map_err(failed)?.take(MOST_BYTES + 1).read_to_end(&mut content).map_err(failed)?;
    if content.len() as u64 > MOST_BYTES {
        return Err(bad(path, format!("has more than {MOST_BYTES} bytes, and such a file is small"), AGAIN));
    }
    String::from_utf8(content).map_err(|_| bad(path, "is no text in UTF-8", AGAIN))
}

/// The lines of the table, by k.
fn table(path: &Path) -> Result<Vec<OfK>, ReportError> {
    if !path.is_file() {
        return Err(bad(path, "is not there, so the sweep is not finished", AGAIN));
    }
    let content = bounded(path)?;
    let mut lines = content.lines();
    let head: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let column = |name: &str| {
        let place = head.iter().position(|other| *other == name);
        place.ok_or_else(|| bad(path, format!("has no column {name}"), AGAIN))
    };
    let [k, replicates] = [column("k")?, column("replicates")?];
    let [stability, relative_error, explained, passes] =
        [column("stability")?, column("relative_error")?, column("explained")?, column("passes")?];
    let mut ks = BTreeMap::new();
    for (at, line) in lines.enumerate() {
        let cells: Vec<&str> = line.split(',').collect();
        let wrong = |column: usize| {
            let problem = format!("has no number of the column {} in line {}", head[column], at + 2);
            bad(path, problem, AGAIN)
        };
        let number = |column: usize| -> Result<f64, ReportError> {
            cells.get(column).and_then(|cell| cell.parse().ok()).ok_or_else(|| wrong(column))
        };
        let whole = |column: usize| -> Result<usize, ReportError> {
            let found: Option<u32> = cells.get(column).and_then(|cell| cell.parse().ok());
            found.filter(|&found| found > 0).map(|found| found as usize).ok_or_else(|| wrong(column))
        };
        let of_k = OfK {
            k: whole(k)?,
            replicates: whole(replicates)?,
            stability: number(stability)?,
            relative_error: number(relative_error)?,
            explained: number(explained)?,
            passes: number(passes)?,
            each: Vec::new(),
        };
        if let Some(twice) = ks.insert(of_k.k, of_k) {
            return Err(bad(path, format!("has two lines of k = {}", twice.k), AGAIN));
        }
    }
    match ks.is_empty() {
        true => Err(bad(path, "has no line but its head", AGAIN)),
        false => Ok(ks.into_values().collect()),
    }
}

/// Adds the replicates of the files in `folder` to each k, in their order.
fn replicates(folder: &Path, ks: &mut [OfK]) -> Result<(), ReportError> {
    let failed = |error| StorageError::io("read", folder, error);
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed)?,
    };
    let mut files: Vec<(usize, usize, PathBuf)> = Vec::new();
    for entry in entries.take(MOST_FILES) {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let numbers = name.and_then(|name| name.strip_prefix('k')?.strip_suffix(".h5ad")?.split_once(".from"));
        if let Some((Ok(k), Ok(first))) = numbers.map(|(k, first)| (k.parse(), first.parse())) {
            files.push((k, first, path));
        }
    }
    files.sort_unstable();
    for (k, _, path) in files {
        let Some(of_k) = ks.iter_mut().find(|of_k| of_k.k == k) else { continue };
        let story = Story::read(&path, "sweep")?;
        let found = story.map(|story| (story.numbers("error"), story.numbers("passes")));
        let Some((errors, passes)) = found.filter(|(errors, passes)| errors.len() == passes.len()) else {
            let problem = "does not say the error and the passes of each of its replicates";
            return Err(bad(&path, problem, "delete this file and run the same sweep again"));
        };
        // The table may be older than the files.
        let room = of_k.replicates - of_k.each.len();
        let each = errors.into_iter().zip(passes).take(room);
        of_k.each.extend(each.map(|(error, passes)| Replicate { relative_error: error.max(0.0).sqrt(), passes }));
    }
    Ok(())
}
