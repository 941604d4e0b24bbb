//! Adds the tables of a result to a copy of another AnnData file, whose cells and genes are matched by
//! name.
//!
//! The other file is only read: a copy of its bytes gets the tables, so that everything else in it stays
//! as it is, in whatever encoding. Names are compared as hashes of 128 bits, and the names of the other
//! file are looked up in groups that the memory holds. The result's names are read once for each group.

use std::collections::HashMap;
use std::path::Path;

use fixedbitset::FixedBitSet;
use hdf5::Datatype;

use super::factors::{self, SPECTRA};
use super::names::{hash_of_name, visit_names};
use super::writer::AnnDataWriter;
use super::{USAGES, UsageTables, frame_name};
use crate::hdf::{self, problem, raw};
use crate::store::Overwrite;
use crate::{Axis, Monitor, StorageError, Unit};

/// Bytes of memory for a name that is looked up: its hash in a table that grows by doubling, and its
/// place.
const BYTES_PER_NAME: u64 = 96;
/// Names in a group, at least.
const FEWEST: usize = 1 << 12;
/// Bytes of a table that are read at a time.
const PIECE: usize = 1 << 18;
/// Names that a message gives as examples.
const EXAMPLES: usize = 3;

/// A kind of result, by its tables.
struct Kind {
    /// The table of cells; a result of this kind has it.
    cells: &'static str,
    /// The tables of genes; of these the first is always there.
    genes: &'static [&'static str],
    /// What a gene has that the result lacks.
    lacking: f32,
    /// Its dictionaries in `uns`.
    uns: &'static [&'static str],
}

const KINDS: [Kind; 2] = [
    Kind { cells: USAGES, genes: &["spectra", "gene_scores", "spectra_scaled"], lacking: f32::NAN, uns: &["nmf"] },
    // scanpy has zeros for genes that a PCA has left out.
    Kind { cells: "X_pca", genes: &["PCs"], lacking: 0.0, uns: &["pca", "partwise_pca"] },
];

/// What was matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Merged {
    /// Cells of the other file, all of which the result has.
    pub cells: usize,
    /// Genes of the other file.
    pub genes: usize,
    /// Genes of the other file that the result lacks.
    pub genes_missing: usize,
}

/// A result that is added to a copy of another AnnData file.
#[derive(Debug, Clone)]
pub struct Merge<'m> {
    result: &'m Path,
    whole: &'m Path,
    kept: [Option<&'m FixedBitSet>; 2],
    memory: u64,
    usages_in_obs: bool,
}

impl<'m> Merge<'m> {
    /// The result at `result` in a copy of `whole`.
    pub fn new(result: &'m Path, whole: &'m Path) -> Self {
        Merge { result, whole, kept: [None; 2], memory: 64 << 20, usages_in_obs: false }
    }

    /// The same with these cells and genes of `result` only; `None`: all. For [`check`](Self::check)
    /// before there is a result.
    pub fn with_kept(self, cells: Option<&'m FixedBitSet>, genes: Option<&'m FixedBitSet>) -> Self {
        Merge { kept: [cells, genes], ..self }
    }

    /// The same with about so many bytes of memory. The names of the result are read twice for each
    /// group of names of the other file that fits into them.
    pub fn with_memory(self, memory: u64) -> Self {
        Merge { memory, ..self }
    }

    /// The same, and whether the shares of programs become columns of `obs`, too.
    pub fn with_usages_in_obs(self, usages_in_obs: bool) -> Self {
        Merge { usages_in_obs, ..self }
    }

    /// Matches the names of `result`, which needs no tables yet, with those of the other file.
    ///
    /// # Errors
    ///
    /// - a cell of the other file is not in the result, no gene is, or a name that both have repeats
    /// - the names of one of the files cannot be read
    /// - `monitor` cancels
    pub fn check(&self, monitor: &dyn Monitor) -> Result<Merged, StorageError> {
        std::fs::metadata(self.whole).map_err(|e| StorageError::io("read", self.whole, e))?;
        let cells = self.matching(Axis::Cells).count(monitor)?;
        if cells.missing() > 0 {
            return Err(self.matching(Axis::Cells).not_in_result(&cells));
        }
        let genes = self.matching(Axis::Genes).count(monitor)?;
        if genes.missing() == genes.names() && genes.names() > 0 {
            return Err(self.matching(Axis::Genes).not_in_result(&genes));
        }
        Ok(Merged { cells: cells.names(), genes: genes.names(), genes_missing: genes.missing() })
    }

    /// Writes the copy of the other file, with the tables of the result added, to `dest`. Tables of the
    /// same names are replaced.
    ///
    /// # Errors
    ///
    /// - as [`check`](Self::check)
    /// - `result` is no result of a fit, a transformation or a PCA
    /// - one of the files cannot be read, or `dest` cannot be written: nothing is left there
    pub fn write(&self, dest: &Path, overwrite: Overwrite, monitor: &dyn Monitor) -> Result<Merged, StorageError> {
        let from = hdf::file::open(self.result)?;
        let kind = KINDS.iter().find(|kind| hdf::file::exists(&from, &format!("obsm/{}", kind.cells)));
        let Some(kind) = kind else { return Err(no_result(self.result)) };
        let merged = self.check(monitor)?;
        // Open until the end: the library may crash on a damaged file while its copy is changed.
        let other = hdf::file::open(self.whole)?;
        let mut writer = AnnDataWriter::extend(self.whole, dest, overwrite, monitor)?;
        monitor.start("merge", (merged.cells + merged.genes) as u64, Unit::Rows);
        if kind.cells == USAGES {
            self.add_usages(&mut writer, &from, merged.cells, monitor)?;
        } else {
            self.add(&mut writer, &from, (Axis::Cells, kind.cells, merged.cells), 0.0, monitor)?;
        }
        for name in kind.genes.iter().filter(|name| hdf::file::exists(&from, &format!("varm/{name}"))) {
            self.add(&mut writer, &from, (Axis::Genes, name, merged.genes), kind.lacking, monitor)?;
        }
        for name in kind.uns {
            writer.remove("uns", name)?;
            let about = from.group(&format!("uns/{name}"));
            let about = about.map_err(|e| problem::problem("read", self.result, &format!("uns/{name}"), &e))?;
            writer.copy_uns(&about, name)?;
        }
        writer.finish()?;
        monitor.finish();
        drop(other);
        Ok(merged)
    }

    fn matching(&self, axis: Axis) -> Matching<'m> {
        let group = usize::try_from(self.memory / BYTES_PER_NAME).unwrap_or(usize::MAX).max(FEWEST);
        let [cells, genes] = self.kept;
        let kept = if axis == Axis::Cells { cells } else { genes };
        Matching { result: self.result, whole: self.whole, axis, kept, group }
    }

    fn add_usages(
        &self,
        writer: &mut AnnDataWriter,
        from: &hdf5::File,
        cells: usize,
        monitor: &dyn Monitor,
    ) -> Result<(), StorageError> {
        let rows = Rows::open(from, self.result, format!("obsm/{USAGES}"))?;
        let spectra = Rows::open(from, self.result, SPECTRA.into())?;
        if spectra.columns != rows.columns {
            return Err(no_result(self.result));
        }
        let tables = UsageTables::new(spectra.column_sums()?, self.usages_in_obs);
        let mut made = tables.begin(writer, cells)?;
        self.matching(Axis::Cells).visit(monitor, |first, places| {
            rows.visit(places, 0.0, |at, values| {
                tables.put(values, |table, inside, part| made[table].write_rows(first + at + inside, part))
            })?;
            monitor.advance(places.len() as u64);
            Ok(())
        })
    }

    /// Adds a table whose rows are those of the result for the names of an axis.
    fn add(
        &self,
        writer: &mut AnnDataWriter,
        from: &hdf5::File,
        (axis, name, len): (Axis, &str, usize),
        lacking: f32,
        monitor: &dyn Monitor,
    ) -> Result<(), StorageError> {
        let group = if axis == Axis::Cells { "obsm" } else { "varm" };
        let rows = Rows::open(from, self.result, format!("{group}/{name}"))?;
        writer.remove(group, name)?;
        let mut table = writer.array2(group, name, len, rows.columns)?;
        self.matching(axis).visit(monitor, |first, places| {
            rows.visit(places, lacking, |at, values| table.write_rows(first + at, values))?;
            monitor.advance(places.len() as u64);
            Ok(())
        })
    }
}

pub(super) fn no_result(path: &Path) -> StorageError {
    let reason = "it is no result of a fit or a PCA (an AnnData file with obsm[\"X_nmf\"] or obsm[\"X_pca\"])";
    StorageError::UnknownFormat { path: path.into(), reason: reason.into() }
}

/// A table of the result.
struct Rows<'r> {
    dataset: hdf5::Dataset,
    memory: Datatype,
    columns: usize,
    path: &'r Path,
    name: String,
}

impl<'r> Rows<'r> {
    fn open(file: &hdf5::File, path: &'r Path, name: String) -> Result<Self, StorageError> {
        let (dataset, [_, columns]) = factors::table(file, path, &name)?;
        let memory = Datatype::from_type::<f32>().map_err(|e| problem::problem("read", path, &name, &e))?;
        Ok(Rows { dataset, memory, columns, path, name })
    }

    /// The sum of each column, without values that are missing.
    fn column_sums(&self) -> Result<Vec<f64>, StorageError> {
        let mut sums = vec![0.0; self.columns];
        let places: Vec<_> = (0..self.dataset.shape()[0]).map(Some).collect();
        self.visit(&places, 0.0, |_, values| {
            for row in values.chunks_exact(self.columns) {
                sums.iter_mut().zip(row).for_each(|(sum, &value)| {
                    if !value.is_nan() {
                        *sum += f64::from(value);
                    }
                });
            }
            Ok(())
        })?;
        Ok(sums)
    }

    /// Calls `each` with the rows at `places`, in pieces: the position of the first among `places`, and
    /// the values. A row without a place has `lacking` everywhere.
    fn visit(
        &self,
        places: &[Option<usize>],
        lacking: f32,
        mut each: impl FnMut(usize, &[f32]) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let width = self.columns;
        let rows = (PIECE / (4 * width)).max(1);
        let mut values = vec![0.0; rows.min(places.len()) * width];
        for (piece, places) in places.chunks(rows).enumerate() {
            let values = &mut values[..places.len() * width];
            let mut at = 0;
            // Rows that follow one another are read at once.
            let follow = |a: &Option<usize>, b: &Option<usize>| b.is_some_and(|b| b > 0 && *a == Some(b - 1));
            for run in places.chunk_by(follow) {
                let out = &mut values[at * width..(at + run.len()) * width];
                at += run.len();
                match run[0] {
                    None => out.fill(lacking),
                    Some(first) => raw::read(&self.dataset, &self.memory, &[first, 0], &[run.len(), width], out)
                        .map_err(|e| problem::problem("read", self.path, &self.name, &e))?,
                }
            }
            each(piece * rows, values)?;
        }
        Ok(())
    }
}

/// The names of an axis of one file, looked up in another.
struct Matching<'p> {
    result: &'p Path,
    whole: &'p Path,
    axis: Axis,
    /// The names of the result that count; `None`: all.
    kept: Option<&'p FixedBitSet>,
    /// Names that are looked up at a time.
    group: usize,
}

/// Which names the result has.
struct Found(FixedBitSet);

impl Found {
    fn names(&self) -> usize {
        self.0.len()
    }

    fn missing(&self) -> usize {
        self.0.len() - self.0.count_ones(..)
    }
}

impl Matching<'_> {
    /// Which names of the other file the result has.
    fn count(&self, monitor: &dyn Monitor) -> Result<Found, StorageError> {
        let mut found = FixedBitSet::new();
        self.visit(monitor, |first, places| {
            found.grow(first + places.len());
            for (name, _) in places.iter().enumerate().filter(|(_, place)| place.is_some()) {
                found.insert(first + name);
            }
            Ok(())
        })?;
        Ok(Found(found))
    }

    /// Calls `each` with groups of names of the other file: the first of the group, and for each name its
    /// place in the result.
    fn visit(
        &self,
        monitor: &dyn Monitor,
        mut each: impl FnMut(usize, &[Option<usize>]) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let (mut wanted, mut first, mut taken) = (Vec::new(), 0, FixedBitSet::new());
        let mut failed = Ok(());
        let mut end_group = |wanted: &mut Vec<u128>| {
            if monitor.cancelled() {
                return Err(StorageError::Cancelled);
            }
            let places = self.places(wanted, &mut taken)?;
            each(first, &places)?;
            first += places.len();
            wanted.clear();
            Ok(())
        };
        visit_names(self.whole, self.axis, |name| {
            if failed.is_err() {
                return;
            }
            wanted.push(hash_of_name(name));
            if wanted.len() == self.group {
                failed = end_group(&mut wanted);
            }
        })?;
        failed?;
        end_group(&mut wanted)
    }

    /// The places in the result of the names with these hashes. `taken` has the places of earlier groups.
    fn places(&self, wanted: &[u128], taken: &mut FixedBitSet) -> Result<Vec<Option<usize>>, StorageError> {
        let mut places = vec![None; wanted.len()];
        // By hash: the first position among `wanted`, and whether there are more.
        let mut positions: HashMap<u128, (usize, bool)> = HashMap::with_capacity(wanted.len());
        for (position, &hash) in wanted.iter().enumerate() {
            positions.entry(hash).and_modify(|(_, repeats)| *repeats = true).or_insert((position, false));
        }
        // A name that repeats matters only if both files have it.
        let (mut row, mut twice) = (0, None);
        visit_names(self.result, self.axis, |name| {
            let (hash, counts) = (hash_of_name(name), self.kept.is_none_or(|kept| kept.contains(row)));
            if let Some(&(position, repeats)) = positions.get(&hash).filter(|_| counts) {
                let in_result = places[position].replace(row).is_some();
                if in_result || taken.contains(row) || repeats {
                    twice.get_or_insert_with(|| (if in_result { self.result } else { self.whole }, name.to_owned()));
                }
                taken.grow(row + 1);
                taken.insert(row);
            }
            row += 1;
        })?;
        match twice {
            None => Ok(places),
            Some((path, name)) => Err(self.invalid(path, format!("has the name {name} more than once"))),
        }
    }

    /// The error of names that the result lacks.
    fn not_in_result(&self, found: &Found) -> StorageError {
        let (mut missing, mut place, mut first) = (Vec::new(), 0, None);
        let lacked = visit_names(self.whole, self.axis, |name| {
            if missing.len() < EXAMPLES && !found.0.contains(place) {
                missing.push(name.to_owned());
            }
            place += 1;
        });
        let known = visit_names(self.result, self.axis, |name| {
            first.get_or_insert_with(|| name.to_owned());
        });
        if let Err(error) = lacked.and(known) {
            return error;
        }
        let (count, of, noun) = (found.missing(), found.names(), self.noun());
        self.invalid(
            self.whole,
            format!(
                "has {count} of {of} {noun} that {} lacks, such as {}; a name there is {}",
                self.result.display(),
                missing.join(", "),
                first.unwrap_or_default(),
            ),
        )
    }

    fn noun(&self) -> &'static str {
        match self.axis {
            Axis::Cells => "cells",
            Axis::Genes => "genes",
        }
    }

    fn invalid(&self, path: &Path, problem: String) -> StorageError {
        let noun = self.noun();
        StorageError::InvalidDataset {
            path: path.into(),
            dataset: frame_name(self.axis).into(),
            problem,
            remedy: format!("cells and genes are matched by name; both files need the same, unique names of {noun}")
                .into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hdf::disk::WRITES_LEFT;
    use crate::{ErrorKind, Quiet};

    /// A result of `cells` cells whose names begin with `prefix`.
    fn result(path: &Path, cells: usize, prefix: &str) {
        let mut writer = AnnDataWriter::create(path, Overwrite::Refuse).unwrap();
        let mut frame = writer.dataframe(Axis::Cells, cells).unwrap();
        frame.names((0..cells).map(|cell| format!("{prefix}{cell}"))).unwrap();
        frame.finish().unwrap();
        let mut frame = writer.dataframe(Axis::Genes, 3).unwrap();
        frame.names(["x", "y", "z"]).unwrap();
        frame.finish().unwrap();
        let mut table = writer.array2("obsm", USAGES, cells, 2).unwrap();
        (0..cells).for_each(|cell| table.write_rows(cell, &[cell as f32, 1.0]).unwrap());
        drop(table);
        writer.array2("varm", SPECTRA.trim_start_matches("varm/"), 3, 2).unwrap().write_rows(0, &[1.0; 6]).unwrap();
        writer.uns("nmf", &super::super::Value::Map(vec![("k".into(), 2_i64.into())])).unwrap();
        writer.finish().unwrap();
    }

    #[test]
    fn a_disk_that_is_full_at_any_write_is_an_error_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let [of, into, dest] = ["r.h5ad", "x.h5ad", "y.h5ad"].map(|name| folder.path().join(name));
        result(&of, 5000, "c");
        result(&into, 3000, "c");
        let merge = Merge::new(&of, &into).with_memory(0).with_usages_in_obs(true);
        let mut full = 0;
        for writes in 0.. {
            WRITES_LEFT.set(writes);
            let written = merge.write(&dest, Overwrite::Refuse, &Quiet);
            WRITES_LEFT.set(usize::MAX);
            let Err(error) = written else { break };
            assert_eq!(error.kind(), ErrorKind::Io, "after {writes} writes: {error}");
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "after {writes} writes");
            full += 1;
        }
        assert!(full > 10, "{full} writes");
        assert!(dest.exists());
    }

    #[test]
    fn rows_come_from_the_places_of_their_names_and_only_from_kept_ones() {
        let folder = tempfile::tempdir().unwrap();
        let [of, into] = ["r.h5ad", "x.h5ad"].map(|name| folder.path().join(name));
        result(&of, 5000, "c");
        result(&into, 4999, "c");
        let merge = Merge::new(&of, &into).with_memory(0);
        assert_eq!(merge.check(&Quiet).unwrap(), Merged { cells: 4999, genes: 3, genes_missing: 0 });
        let mut kept = FixedBitSet::with_capacity(5000);
        kept.insert_range(..4500);
        let error = merge.with_kept(Some(&kept), None).check(&Quiet).unwrap_err().to_string();
        assert!(error.contains("499 of 4999 cells") && error.contains("c4500, c4501, c4502"), "{error}");
    }
}
