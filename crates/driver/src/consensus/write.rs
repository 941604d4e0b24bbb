//! Programs as AnnData files, with the final usages of one pass.

use std::ops::Range;
use std::path::PathBuf;

use fixedbitset::FixedBitSet;
use partwise_storage::StorageError;
use partwise_storage::anndata::{AnnDataWriter, RowsInPlace, UsageTables, Value};
use partwise_storage::store::{GeneMoments, Overwrite, PerMillion, Store};
use partwise_storage::tile::CellMoments;

use super::refit::inverse_deviation;
use super::{Medians, Programs};
use crate::blocks::{Blocks, FitData, StoreBlocks};
use crate::comm::Comm;
use crate::compute::row_table::Sink;
use crate::engine::Engine;
use crate::error::DriverError;
use crate::monitor::FitMonitor;
use crate::plan::RowsPlan;
use crate::result::{RowsOf, write_rows};
use crate::transform::{CellScale, KnownSpectra, Transformed, Wanted, usages};

/// One result to write.
#[derive(Debug, Clone, Copy)]
pub struct Written<'a> {
    /// The medians that it comes from.
    pub medians: &'a Medians,
    /// The threshold of the density filter.
    pub density: f64,
    /// The programs.
    pub programs: &'a Programs,
}

/// The data of the programs.
#[derive(Debug, Clone, Copy)]
pub struct Stores<'s> {
    /// All genes.
    pub all: &'s Store,
    /// The same cells with the selected genes alone, if there is a store of them.
    pub selected: Option<&'s Store>,
}

/// Writes `results` to the files `paths`, in one read of the selected genes, or of all of X, for all of them. `notes` go into `uns["nmf"]`. All
/// processes of `comm` call it. Returns a digest for each.
///
/// # Errors
///
/// As [`result::write_among`](crate::result::write_among), and as a pass of a fit.
pub fn write(
    stores: Stores<'_>,
    results: &[Written<'_>],
    (paths, overwrite): (&[PathBuf], Overwrite),
    notes: &[(String, Value)],
    plan: &RowsPlan,
    (comm, monitor): (&dyn Comm, &dyn FitMonitor),
) -> Result<Vec<String>, DriverError> {
    let engine = Engine::new(plan.segment_bytes as usize, monitor).among(comm);
    let known: Vec<KnownSpectra> =
        results.iter().map(|result| final_spectra(result.programs, stores.all.cells())).collect();
    let job = Job { stores, results, paths, overwrite, notes, known: &known, engine: &engine, threads: plan.threads };
    let found = job.write_from(0, &[])?;
    Ok(found.into_iter().map(|found| found.digest).collect())
}

/// The files of one read.
struct Job<'j> {
    stores: Stores<'j>,
    results: &'j [Written<'j>],
    paths: &'j [PathBuf],
    overwrite: Overwrite,
    notes: &'j [(String, Value)],
    known: &'j [KnownSpectra],
    engine: &'j Engine<'j>,
    threads: usize,
}

impl Job<'_> {
    /// Begins the files from the one `at` this place on, fills them and the files `before`, and ends them.
    fn write_from(&self, at: usize, before: &[&RowsInPlace]) -> Result<Vec<Transformed>, DriverError> {
        let Some(result) = self.results.get(at) else { return self.fill(before) };
        let (programs, store) = (result.programs, self.stores.all);
        let (genes, k) = (programs.tpm.genes(), programs.tpm.k());
        let begin = |file: &mut AnnDataWriter| Ok(self.known[at].tables(false).begin(file, store.cells())?);
        let rows = |file: &RowsInPlace| {
            let files: Vec<&RowsInPlace> = before.iter().copied().chain([file]).collect();
            self.write_from(at + 1, &files)
        };
        let finish = |file: &mut AnnDataWriter, found: &Vec<Transformed>| {
            let selected: Vec<bool> = (0..genes).map(|gene| programs.genes.contains(gene)).collect();
            file.gene_flags("highly_variable", &selected)?;
            // What the genes were divided by; others were not.
            let scale = self.known[at].factors.iter().map(|&factor| 1.0 / f64::from(factor));
            let scale: Vec<f64> = scale.map(|scale| if scale.is_finite() { scale } else { f64::NAN }).collect();
            file.gene_column("scale", &scale)?;
            for (name, table) in
                [("spectra", &programs.medians), ("spectra_tpm", &programs.tpm), ("gene_scores", &programs.scores)]
            {
                file.array2("varm", name, genes, k)?.write_rows(0, &table.to_rows())?;
            }
            let mut about = about(result);
            about.push(("digest".into(), found[at].digest.as_str().into()));
            about.push(("data_fingerprint".into(), store.fingerprint().into()));
            about.extend(self.notes.iter().cloned());
            Ok(file.uns("nmf", &Value::Map(about))?)
        };
        let of = RowsOf { store, kept: (None, None), dest: &self.paths[at], overwrite: self.overwrite };
        write_rows(of, self.engine.comm(), begin, rows, finish)
    }

    /// Writes the usages of all cells to the files.
    fn fill(&self, files: &[&RowsInPlace]) -> Result<Vec<Transformed>, DriverError> {
        let tables: Vec<UsageTables> = self.known.iter().map(|known| known.tables(false)).collect();
        let sinks: Vec<Box<Sink<'_>>> = tables
            .iter()
            .zip(files)
            .map(|(tables, file)| -> Box<Sink<'_>> {
                Box::new(move |first: usize, rows: &[f32]| {
                    Ok(tables.put(rows, |table, at, part| file.write(table, first + at, part))?)
                })
            })
            .collect();
        let whole = StoreBlocks::new(self.stores.all);
        let find = |data: &dyn FitData, known: &[KnownSpectra]| {
            let wanted = known.iter().zip(&sinks).map(|(known, sink)| Wanted { known, sink });
            let wanted: Vec<Wanted<'_>> = wanted.collect();
            usages(data, &wanted, self.engine, self.threads)
        };
        let Some(selected) = self.stores.selected else { return find(&whole, self.known) };
        let genes = self.results.iter().map(|result| &result.programs.genes);
        let known: Vec<KnownSpectra> =
            self.known.iter().zip(genes).map(|(known, genes)| of_selected(known, genes)).collect();
        find(&SelectedGenes { selected: StoreBlocks::new(selected), whole }, &known)
    }
}

/// The spectra under which usages are found: S of the selected genes, in the units of the data that
/// [`usages`] divides by their standard deviation.
fn final_spectra(programs: &Programs, cells: usize) -> KnownSpectra {
    let mut spectra = programs.tpm.clone();
    let ks = spectra.ks();
    // S is divided by the deviation with n, the data by that with n − 1.
    let ratio = if cells > 1 { (cells as f64 / (cells as f64 - 1.0)).sqrt() } else { 1.0 };
    let mut factors = vec![0.0_f32; spectra.genes()];
    for (gene, row) in spectra.ht_mut().chunks_exact_mut(ks).enumerate() {
        if programs.genes.contains(gene) {
            let sums = programs.sums[gene];
            factors[gene] = inverse_deviation(sums.sum, sums.sum_sq, cells);
            row.iter_mut().for_each(|value| *value = (f64::from(*value) * ratio) as f32);
        } else {
            row.fill(0.0);
        }
    }
    let cells = if programs.per_million { CellScale::PerMillion } else { CellScale::None };
    KnownSpectra { spectra, factors, cells }
}

/// The columns of the selected genes.
fn of_selected(known: &KnownSpectra, genes: &FixedBitSet) -> KnownSpectra {
    let factors = genes.ones().map(|gene| known.factors[gene]).collect();
    KnownSpectra { spectra: known.spectra.of_genes(genes), factors, cells: known.cells }
}

/// The selected genes of all cells, whose sums are those over all genes.
struct SelectedGenes<'s> {
    selected: StoreBlocks<'s>,
    whole: StoreBlocks<'s>,
}

impl FitData for SelectedGenes<'_> {
    fn blocks(&self) -> &dyn Blocks {
        &self.selected
    }
    fn nonzeros(&self) -> u64 {
        self.selected.nonzeros()
    }
    fn sq_norm(&self) -> f64 {
        self.selected.sq_norm()
    }
    fn gene_moments(&self) -> &[GeneMoments] {
        self.selected.gene_moments()
    }
    fn holds_counts(&self) -> bool {
        self.whole.holds_counts()
    }
    fn per_million(&self) -> Result<Option<Vec<PerMillion>>, StorageError> {
        Ok(None)
    }
    fn cell_moments(&self, cells: Range<usize>) -> Result<Vec<CellMoments>, StorageError> {
        self.whole.cell_moments(cells)
    }
    fn fingerprint(&self) -> String {
        self.whole.fingerprint()
    }
}

fn about(result: &Written<'_>) -> Vec<(String, Value)> {
    let Written { medians, density, programs } = result;
    let mut program_of = vec![0; programs.clusters.len()];
    programs.clusters.iter().enumerate().for_each(|(program, &cluster)| program_of[cluster] = program as i64);
    let of_spectra = medians.clusters.iter().map(|cluster| cluster.map_or(-1, |cluster| program_of[cluster]));
    let distances = vec![
        (
            "spectra".into(),
            medians.distances.spectra.iter().map(|&spectrum| spectrum as i64).collect::<Vec<_>>().into(),
        ),
        (
            "pairs".into(),
            medians.distances.pairs.iter().map(|&distance| f64::from(distance)).collect::<Vec<_>>().into(),
        ),
    ];
    vec![
        ("version".into(), env!("CARGO_PKG_VERSION").into()),
        ("consensus".into(), true.into()),
        ("k".into(), Value::Int(programs.tpm.k() as i64)),
        ("replicates".into(), Value::Int(medians.replicates as i64)),
        ("density".into(), (*density).into()),
        ("kept".into(), medians.kept.into()),
        ("stability".into(), medians.stability.into()),
        ("local_density".into(), Value::FloatArray(medians.densities.clone())),
        ("program_of_spectrum".into(), of_spectra.collect::<Vec<_>>().into()),
        ("distances".into(), Value::Map(distances)),
        ("error".into(), programs.error.into()),
        ("relative_error".into(), programs.relative_error.into()),
        ("explained".into(), (1.0 - programs.relative_error.powi(2)).into()),
        ("selected_genes".into(), Value::Int(programs.genes.count_ones(..) as i64)),
        ("unused_cells".into(), Value::Int(programs.unused_cells as i64)),
        ("scale".into(), "std".into()),
        ("scores_of_tpm".into(), programs.per_million.into()),
        ("programs".into(), Value::Map(vec![("usage".into(), Value::FloatArray(programs.usage.clone()))])),
    ]
}
