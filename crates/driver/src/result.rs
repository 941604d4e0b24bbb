//! A fit as an AnnData file.
//!
//! | element | holds |
//! |---------|-------|
//! | `obs`, `var` | names and columns of what was fitted of the input |
//! | `obsm["X_nmf"]` | W |
//! | `obsm["X_nmf_norm"]` | the share of every program in each cell; the columns `nmf_0`, `nmf_1`, … of `obs` have the same, on request |
//! | `varm["spectra"]` | Hᵀ in the units of the input |
//! | `varm["gene_scores"]` | the scores of genes, if they were taken |
//! | `var["scale"]`, `varm["spectra_scaled"]` | what every gene was divided by, and Hᵀ of the scaled matrix, if genes were scaled |
//! | `uns["nmf"]` | everything about the fit |
//!
//! The file holds no time, host or path: equal fits give equal files, byte for byte.

use std::path::Path;

use fixedbitset::FixedBitSet;
use partwise_storage::anndata::{
    AnnDataWriter, ArrayWriter, Placed, RowsInPlace, UsageTables, Value, check_destination,
};
use partwise_storage::store::{Overwrite, Store};
use rayon::prelude::*;
use tracing::info_span;

use crate::comm::{Comm, Solo, agree};
use crate::error::DriverError;
use crate::fit::Fit;
use crate::hvg::HvgSpec;
use crate::model::{Named, Setting};
use crate::subset::Subset;
use crate::trace::{COLUMNS, Cell, Nature, TraceRow};

/// Where a result goes, and what it has besides.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Destination<'a> {
    /// The file.
    pub path: &'a Path,
    /// Whether it may be replaced.
    pub overwrite: Overwrite,
    /// Whether the shares of programs are columns of `obs`, too.
    pub usages_in_obs: bool,
    /// What goes into `uns["nmf"]` beside the settings.
    pub notes: Vec<(String, Value)>,
    /// Threads that write the rows of W, one at least.
    pub threads: usize,
}

impl<'a> Destination<'a> {
    /// A file that does not exist yet, without anything besides, written by one thread.
    pub fn new(path: &'a Path) -> Self {
        Destination { path, overwrite: Overwrite::Refuse, usages_in_obs: false, notes: Vec::new(), threads: 1 }
    }

    /// The same file, and whether it may be replaced.
    pub fn with_overwrite(self, overwrite: Overwrite) -> Self {
        Destination { overwrite, ..self }
    }

    /// The same file, and whether the shares of programs are columns of `obs`, too.
    pub fn with_usages_in_obs(self, usages_in_obs: bool) -> Self {
        Destination { usages_in_obs, ..self }
    }

    /// The same file, with the rows of W written by so many threads.
    pub fn with_threads(self, threads: usize) -> Self {
        Destination { threads, ..self }
    }

    /// The same file with these notes.
    pub fn with_notes(self, notes: Vec<(String, Value)>) -> Self {
        Destination { notes, ..self }
    }
}

/// Writes `fit`, made from `store`, to `dest`: whole or not at all.
///
/// # Errors
///
/// As [`write_among`].
pub fn write(fit: &Fit, store: &Store, dest: Destination<'_>) -> Result<(), DriverError> {
    write_among(fit, store, dest, &Solo)
}

/// [`write()`], for a fit that several processes have made. All of them call it. Process 0 makes
/// the file, each process writes its rows of W to their place in it, and process 0 renames it to
/// `dest`, which all must be able to reach.
///
/// # Errors
///
/// - [`DriverError::Storage`]: `dest` exists and `overwrite` forbids it, the disk is full, or the
///   store's annotations are damaged.
/// - [`DriverError::Scratch`]: W cannot be read back from its scratch file.
/// - [`DriverError::Threads`]: the system starts no threads.
/// - [`DriverError::Elsewhere`], [`DriverError::Comm`]: another process has failed or is lost.
pub fn write_among(fit: &Fit, store: &Store, dest: Destination<'_>, comm: &dyn Comm) -> Result<(), DriverError> {
    let _span = info_span!("result").entered();
    let Destination { path, overwrite, usages_in_obs, notes, threads } = dest;
    let subset = fit.subset();
    let kept = (subset.and_then(Subset::cells), subset.and_then(Subset::genes));
    let tables = UsageTables::new(fit.spectra().sums(), usages_in_obs);
    let begin = |file: &mut AnnDataWriter| Ok(tables.begin(file, fit.cells())?);
    let rows = |file: &RowsInPlace| {
        let write = |(block, first): (usize, usize)| {
            let rows = fit.usage_rows(block, first)?;
            Ok(tables.put(&rows.values, |table, at, part| file.write(table, rows.first + at, part))?)
        };
        let write_all = || {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.max(1)).build();
            let pool = pool.map_err(|error| DriverError::Threads { message: error.to_string() })?;
            let blocks = fit.own_blocks();
            let _span = info_span!("rows of W", tasks = blocks.len()).entered();
            pool.install(|| blocks.into_par_iter().try_for_each(write))
        };
        agree(comm, write_all())
    };
    let finish = |file: &mut AnnDataWriter, &(): &()| {
        let mut spectra = file.array2("varm", "spectra", fit.genes(), fit.k())?;
        spectra.write_rows(0, &fit.spectra().to_rows())?;
        drop(spectra);
        if let Some(scores) = &fit.scores {
            file.array2("varm", "gene_scores", fit.genes(), fit.k())?.write_rows(0, &scores.genes.to_rows())?;
        }
        if let Some(deviations) = &fit.deviations {
            file.gene_column("scale", deviations)?;
            let mut scaled = fit.spectra().to_rows();
            for (gene, deviation) in scaled.chunks_exact_mut(fit.k()).zip(deviations) {
                gene.iter_mut().for_each(|value| *value = (f64::from(*value) / deviation) as f32);
            }
            file.array2("varm", "spectra_scaled", fit.genes(), fit.k())?.write_rows(0, &scaled)?;
        }

        let mut about = settings(fit);
        about.extend(outcome(fit, store));
        about.push(("trace".into(), trace(&fit.trace)));
        about.extend(notes);
        Ok(file.uns("nmf", &Value::Map(about))?)
    };
    write_rows(RowsOf { store, kept, dest: path, overwrite }, comm, begin, rows, finish)
}

/// A file about the cells and genes of a store that are kept; `None`: all.
#[derive(Clone, Copy)]
pub(crate) struct RowsOf<'a> {
    pub(crate) store: &'a Store,
    pub(crate) kept: (Option<&'a FixedBitSet>, Option<&'a FixedBitSet>),
    pub(crate) dest: &'a Path,
    pub(crate) overwrite: Overwrite,
}

/// Writes an AnnData file with tables that several processes fill. Process 0 makes the file with the names and
/// columns of the store, and begins the tables with `begin`; all of them write their rows with `rows`, and process 0
/// ends it with `finish`.
///
/// `rows` is called in all processes and fails in all of them, or ends the job. Returns what it has.
pub(crate) fn write_rows<T>(
    RowsOf { store, kept, dest, overwrite }: RowsOf<'_>,
    comm: &dyn Comm,
    begin: impl FnOnce(&mut AnnDataWriter) -> Result<Vec<ArrayWriter>, DriverError>,
    rows: impl FnOnce(&RowsInPlace) -> Result<T, DriverError>,
    finish: impl FnOnce(&mut AnnDataWriter, &T) -> Result<(), DriverError>,
) -> Result<T, DriverError> {
    let begin = || {
        let _span = info_span!("annotations").entered();
        check_destination(dest, overwrite)?;
        let mut file = AnnDataWriter::with_annotations(&store.annotations()?, kept, dest, overwrite)?;
        let tables = begin(&mut file)?;
        let placed = tables.iter().map(ArrayWriter::placed).collect::<Result<Vec<_>, _>>()?;
        Ok::<_, DriverError>((file, placed))
    };
    let begun = if comm.rank() == 0 { Some(agree(comm, begin())?) } else { agree(comm, Ok::<_, DriverError>(None))? };
    // The other processes learn of the tables that process 0 has begun.
    let own: &[Placed] = begun.as_ref().map_or(&[], |(_, placed)| placed);
    let mut count = [own.len() as i64];
    comm.all_reduce_sum(&mut [&mut count])?;
    let mut numbers: Vec<i64> = own.iter().flat_map(|table| [table.place as i64, table.columns as i64]).collect();
    numbers.resize(2 * count[0] as usize, 0);
    comm.all_reduce_sum(&mut [&mut numbers])?;
    let placed = numbers.chunks_exact(2).map(|table| Placed { place: table[0] as u64, columns: table[1] as usize });

    let open = || Ok::<_, DriverError>(RowsInPlace::open(dest, placed.collect())?);
    let file = agree(comm, open())?;
    let made = rows(&file)?;
    // Alone, the end of the file has it on the disk.
    let synced = if comm.size() > 1 { file.sync() } else { Ok(()) };
    agree(comm, synced.map_err(DriverError::from))?;
    let end = |(mut file, _): (AnnDataWriter, Vec<Placed>)| {
        finish(&mut file, &made)?;
        let _span = info_span!("sync").entered();
        Ok::<_, DriverError>(file.finish()?)
    };
    agree(comm, begun.map_or(Ok(()), end))?;
    Ok(made)
}

/// Settings as a result records them; equal fits have equal ones.
pub fn recorded(settings: &[Named]) -> impl Iterator<Item = (String, Value)> + '_ {
    settings.iter().map(|(name, setting)| {
        let value = match setting {
            Setting::Int(value) => Value::Int(*value),
            Setting::Real(value) => (*value).into(),
            Setting::Flag(value) => (*value).into(),
            Setting::Text(value) => value.as_str().into(),
        };
        ((*name).to_owned(), value)
    })
}

fn settings(fit: &Fit) -> Vec<(String, Value)> {
    let (model, limits) = (fit.model.settings(), fit.model.limits());
    let mut settings = vec![("version".into(), env!("CARGO_PKG_VERSION").into())];
    settings.extend(recorded(&model).chain(recorded(&limits)));
    settings.extend(fit.start.as_deref().map(|digest| ("start".into(), digest.into())));
    settings
}

fn outcome(fit: &Fit, store: &Store) -> Vec<(String, Value)> {
    let selection = &store.source().selection;
    let mut outcome: Vec<(String, Value)> = vec![
        ("stop".into(), fit.stop.to_string().into()),
        ("passes".into(), Value::Int(fit.passes as i64)),
        ("sample_passes".into(), fit.sample_passes.into()),
        ("relative_error".into(), fit.relative_error.into()),
        ("explained".into(), fit.explained().into()),
        ("digest".into(), fit.digest.as_str().into()),
        ("data_fingerprint".into(), store.fingerprint().into()),
        ("block_rows".into(), Value::Int(store.block_rows() as i64)),
        ("tile_rows".into(), Value::Int(store.tile_rows() as i64)),
        ("layer".into(), selection.layer.clone().unwrap_or_default().into()),
        ("raw".into(), selection.raw.into()),
        ("transpose".into(), selection.transpose.into()),
    ];
    outcome.push(("score_passes".into(), Value::Int(i64::from(fit.scores.is_some()))));
    outcome.extend(fit.scores.as_ref().map(|scores| {
        let of = |name: &str, values: &[f64]| (name.to_owned(), Value::FloatArray(values.to_vec()));
        let parts = [("variance", &scores.variance), ("counts", &scores.counts), ("usage", &scores.usage)];
        ("programs".into(), Value::Map(parts.iter().map(|(name, values)| of(name, values)).collect()))
    }));
    outcome.extend(fit.scores.as_ref().map(|scores| ("scores_of_tpm".into(), scores.per_million.into())));
    outcome.extend(fit.subset().into_iter().flat_map(of_subset));
    outcome
}

/// What a result keeps of the genes and cells that were asked for.
pub(crate) fn of_subset(subset: &Subset) -> Vec<(String, Value)> {
    let mut kept = vec![("subset".into(), subset.key().into())];
    kept.extend(subset.hvg().into_iter().flat_map(of_hvg));
    kept
}

/// What a result keeps of how its genes were selected.
pub fn of_hvg(hvg: HvgSpec) -> [(String, Value); 2] {
    [("hvg".into(), Value::Int(hvg.count.get() as i64)), ("hvg_method".into(), hvg.method.word().into())]
}

/// The columns that repeat.
fn trace(rows: &[TraceRow]) -> Value {
    let cells: Vec<_> = rows.iter().map(TraceRow::cells).collect();
    let columns = COLUMNS.iter().enumerate().filter(|(_, column)| column.nature == Nature::Model);
    let array = |i: usize| {
        let real = |cell: &Cell| match *cell {
            Cell::Real(value) => value,
            Cell::Count(count) => count as f64,
            Cell::Flag(flag) => f64::from(u8::from(flag)),
        };
        let integer = |cell: &Cell| match *cell {
            Cell::Count(count) => Some(count as i64),
            Cell::Flag(flag) => Some(i64::from(flag)),
            Cell::Real(_) => None,
        };
        let integers: Option<Vec<i64>> = cells.iter().map(|row| integer(&row[i])).collect();
        integers.map_or_else(|| Value::FloatArray(cells.iter().map(|row| real(&row[i])).collect()), Value::IntArray)
    };
    Value::Map(columns.map(|(i, column)| (column.name.to_owned(), array(i))).collect())
}
