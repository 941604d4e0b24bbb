//! The texts beside the result of a consensus: a table of top genes, and on request the files that cNMF writes.

use std::path::{Path, PathBuf};

use partwise_driver::Spectra;
use partwise_driver::consensus::Programs;
use partwise_storage::anndata::{
    GeneColumns, PROGRAMS_BEGIN, TOP_GENES_BEGIN, write_programs, write_top_genes, write_usages,
};
use partwise_storage::{Monitor, Overwrite, StorageError, Store};

use super::JobError;
use super::paths::{Output, OutputKind, Paths, Role, same};

/// Genes of each program in the table.
const TOP: usize = 50;
const TOP_GENES: OutputKind = OutputKind::Text { what: "a table of top genes", begins: TOP_GENES_BEGIN };
const PROGRAMS: OutputKind = OutputKind::Text { what: "a table of programs", begins: PROGRAMS_BEGIN };
/// It begins with the name of the index of the cells, which can be any text.
const USAGES: OutputKind = OutputKind::Text { what: "a table of usages", begins: &[""] };

/// The texts of one result.
#[derive(Debug, Clone)]
pub(super) struct Texts {
    pub(super) top_genes: PathBuf,
    pub(super) cnmf: Option<CnmfFiles>,
}

/// What the texts of one result are made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Content<'c> {
    pub(super) store: &'c Store,
    /// The result.
    pub(super) result: &'c Path,
    pub(super) programs: &'c Programs,
    /// The genes that were selected: their names, and their places in the data.
    pub(super) selected: (&'c [String], &'c [usize]),
}

impl Texts {
    /// Those of `result`, which has `k` programs; those of cNMF in the folder `DIR/NAME`, if there is one.
    pub(super) fn of(result: &Path, folder: Option<&Path>, k: usize, density: f64) -> Self {
        let mut name = match result.extension() {
            Some(ending) if ending == "h5ad" => result.file_stem(),
            _ => result.file_name(),
        }
        .unwrap_or_default()
        .to_owned();
        name.push(".top_genes.tsv");
        let cnmf = folder.map(|folder| CnmfFiles::of(folder, k, density));
        Texts { top_genes: result.with_file_name(name), cnmf }
    }

    /// Adds what is written to `paths`, apart from the folder `made`, which they have already.
    pub(super) fn announce(all: &[Texts], mut paths: Paths, made: Option<&Path>, overwrite: Overwrite) -> Paths {
        // All have the same folder.
        let folder = all.first().and_then(|texts| Some(texts.cnmf.as_ref()?.folder.as_path()));
        if let Some(folder) = folder.filter(|folder| !made.is_some_and(|made| same(made, folder))) {
            let (role, kind) = (Role::CnmfFiles, OutputKind::Folder);
            paths = paths.writing(Output { role, path: folder.into(), kind, overwrite: Overwrite::Replace });
        }
        for texts in all {
            let (role, path) = (Role::TopGenes, texts.top_genes.clone());
            paths = paths.writing(Output { role, path, kind: TOP_GENES, overwrite });
            for (path, kind) in texts.cnmf.iter().flat_map(CnmfFiles::outputs) {
                paths = paths.writing(Output { role: Role::CnmfFiles, path: path.into(), kind, overwrite });
            }
        }
        paths
    }

    /// Writes them. The result is finished.
    pub(super) fn write(
        &self,
        content: &Content<'_>,
        overwrite: Overwrite,
        monitor: &dyn Monitor,
    ) -> Result<(), JobError> {
        write_top_genes(content.result, TOP, &self.top_genes, overwrite)?;
        match &self.cnmf {
            Some(files) => Ok(files.write(content, overwrite, monitor)?),
            None => Ok(()),
        }
    }
}

/// The files of one k and threshold in the folder of a cNMF run, named as cNMF names them.
#[derive(Debug, Clone)]
pub(super) struct CnmfFiles {
    folder: PathBuf,
    usages: PathBuf,
    medians: PathBuf,
    scores: PathBuf,
    tpm: PathBuf,
    reference: PathBuf,
}

impl CnmfFiles {
    fn of(folder: &Path, k: usize, density: f64) -> Self {
        // Without a slash at the end, so that the folder has a name; `.` has one as a whole path.
        let folder: PathBuf = folder.components().collect();
        let folder = if folder.file_name().is_some() { folder } else { folder.canonicalize().unwrap_or(folder) };
        let name = folder.file_name().unwrap_or_default().to_owned();
        let of_k = format!("k_{k}.dt_{}", threshold(density));
        let path = |what: &str, ending: &str| {
            let mut file = name.clone();
            file.push(format!(".{what}.{of_k}.{ending}"));
            folder.join(file)
        };
        CnmfFiles {
            usages: path("usages", "consensus.txt"),
            medians: path("spectra", "consensus.txt"),
            scores: path("gene_spectra_score", "txt"),
            tpm: path("gene_spectra_tpm", "txt"),
            reference: path("starcat_spectra", "txt"),
            folder,
        }
    }

    /// The files in the order in which they are written.
    pub(super) fn paths(&self) -> [&Path; 5] {
        [&self.scores, &self.tpm, &self.medians, &self.reference, &self.usages].map(PathBuf::as_path)
    }

    fn outputs(&self) -> impl Iterator<Item = (&Path, OutputKind)> {
        self.paths().into_iter().map(|path| (path, if path == self.usages { USAGES } else { PROGRAMS }))
    }

    fn write(&self, content: &Content<'_>, overwrite: Overwrite, monitor: &dyn Monitor) -> Result<(), StorageError> {
        let Content { store, result, programs, selected: (names, places) } = *content;
        std::fs::create_dir_all(&self.folder).map_err(|error| StorageError::io("create", &self.folder, error))?;
        let genes = store.annotations()?;
        let all = GeneColumns::All(&genes);
        for (table, path) in [(&programs.scores, &self.scores), (&programs.tpm, &self.tpm)] {
            write_programs(all, rows(table, |table, c| table.component(c).collect()), path, overwrite)?;
        }
        let of_selected = |table: &Spectra, c| places.iter().map(|&gene| table.get(c, gene)).collect();
        let selected = GeneColumns::Listed(names);
        write_programs(selected, rows(&programs.medians, of_selected), &self.medians, overwrite)?;
        let reference =
            (0..programs.tpm.k()).map(|c| (format!("GEP{}", c + 1), programs.reference(c, places, store.cells())));
        write_programs(selected, reference, &self.reference, overwrite)?;
        write_usages(result, &self.usages, overwrite, monitor)
    }
}

/// The rows of a table, one a program, numbered from 1.
fn rows<'t>(
    table: &'t Spectra,
    values: impl Fn(&Spectra, usize) -> Vec<f32> + 't,
) -> impl Iterator<Item = (String, Vec<f32>)> + 't {
    (0..table.k()).map(move |c| ((c + 1).to_string(), values(table, c)))
}

/// The threshold in the name of a file: as Python shows it, with `_` for the point.
fn threshold(density: f64) -> String {
    let text = format!("{density:?}");
    let text = match text.split_once("e-") {
        Some((digits, exponent)) => format!("{digits}e-{exponent:0>2}"),
        None => text,
    };
    text.replace('.', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_in_names_are_those_of_python() {
        for (density, name) in
            [(0.5, "0_5"), (2.0, "2_0"), (0.05, "0_05"), (10.0, "10_0"), (0.0001, "0_0001"), (2.5e-5, "2_5e-05")]
        {
            assert_eq!(threshold(density), name);
        }
    }

    #[test]
    fn the_table_of_top_genes_lies_beside_its_result_and_no_two_share_one() {
        for (result, table) in
            [("a/k8.h5ad", "a/k8.top_genes.tsv"), ("r", "r.top_genes.tsv"), ("r.v2", "r.v2.top_genes.tsv")]
        {
            assert_eq!(Texts::of(Path::new(result), None, 8, 0.5).top_genes, Path::new(table));
        }
    }

    #[test]
    fn files_of_cnmf_are_named_after_their_folder() {
        for folder in ["runs/mine", "runs/mine/", "./runs/mine"] {
            let files = CnmfFiles::of(Path::new(folder), 8, 0.5);
            let names: Vec<_> = files.paths().iter().map(|path| path.file_name().unwrap().to_owned()).collect();
            assert_eq!(
                names,
                [
                    "mine.gene_spectra_score.k_8.dt_0_5.txt",
                    "mine.gene_spectra_tpm.k_8.dt_0_5.txt",
                    "mine.spectra.k_8.dt_0_5.consensus.txt",
                    "mine.starcat_spectra.k_8.dt_0_5.txt",
                    "mine.usages.k_8.dt_0_5.consensus.txt",
                ]
            );
        }
    }
}
