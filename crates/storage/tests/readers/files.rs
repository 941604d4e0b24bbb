//! Files that tests write, and the folder of the shared real ones.

use std::path::{Path, PathBuf};

use hdf5::types::VarLenUnicode;
use hdf5::{File, Group, H5Type};
use partwise_storage::source::{Entries, Form, RowChunk, Source};
use partwise_storage::store::Selection;
use partwise_storage::{ErrorKind, Monitor, StorageError, Warning, source};

/// A sparse matrix in parts that a test may alter.
#[derive(Clone)]
pub(crate) struct Csr<T, I, P> {
    pub(crate) shape: Vec<i64>,
    pub(crate) data: Vec<T>,
    pub(crate) indices: Vec<I>,
    pub(crate) indptr: Vec<P>,
}

/// 4 × 6, with an empty row.
pub(crate) fn csr() -> Csr<f32, i32, i32> {
    Csr {
        shape: vec![4, 6],
        data: vec![1.0, 2.5, 3.0, 4.0, 5.0, 6.0],
        indices: vec![0, 3, 5, 1, 2, 5],
        indptr: vec![0, 3, 3, 4, 6],
    }
}

impl<T: H5Type, I: H5Type, P: H5Type> Csr<T, I, P> {
    /// Writes it as `name` of an AnnData file, with names c0… and g0….
    pub(crate) fn write(&self, path: &Path) -> File {
        let genes = self.shape.get(1).copied().unwrap_or(6);
        let file = anndata(path, self.shape[0] as usize, genes as usize);
        self.write_as(&file, "X", "csr_matrix");
        file
    }

    pub(crate) fn write_as(&self, file: &Group, name: &str, encoding: &str) -> Group {
        let group = file.create_group(name).unwrap();
        text(&group, "encoding-type", encoding);
        text(&group, "encoding-version", "0.1.0");
        group.new_attr::<i64>().shape(self.shape.len()).create("shape").unwrap().write_raw(&self.shape).unwrap();
        group.new_dataset_builder().with_data(&self.data).create("data").unwrap();
        group.new_dataset_builder().with_data(&self.indices).create("indices").unwrap();
        group.new_dataset_builder().with_data(&self.indptr).create("indptr").unwrap();
        group
    }
}

/// An AnnData file without a matrix.
pub(crate) fn anndata(path: &Path, cells: usize, genes: usize) -> File {
    let file = File::create(path).unwrap();
    text(&file, "encoding-type", "anndata");
    text(&file, "encoding-version", "0.1.0");
    frames(&file, cells, genes);
    file
}

/// The tables `obs` and `var` with names c0… and g0….
pub(crate) fn frames(at: &Group, cells: usize, genes: usize) {
    for (name, letter, len) in [("obs", 'c', cells), ("var", 'g', genes)] {
        let group = at.create_group(name).unwrap();
        text(&group, "encoding-type", "dataframe");
        text(&group, "encoding-version", "0.2.0");
        text(&group, "_index", "_index");
        strings(&group, "_index", &(0..len).map(|i| format!("{letter}{i}")).collect::<Vec<_>>());
    }
}

pub(crate) fn text(at: &hdf5::Location, name: &str, value: &str) {
    let value: VarLenUnicode = value.parse().unwrap();
    at.new_attr::<VarLenUnicode>().create(name).unwrap().write_scalar(&value).unwrap();
}

pub(crate) fn strings(at: &Group, name: &str, values: &[String]) {
    let values: Vec<VarLenUnicode> = values.iter().map(|v| v.parse().unwrap()).collect();
    let dataset = at.new_dataset_builder().with_data(&values).create(name).unwrap();
    text(&dataset, "encoding-type", "string-array");
    text(&dataset, "encoding-version", "0.2.0");
}

pub(crate) fn selection(what: &str) -> Selection {
    Selection {
        layer: what.strip_prefix("layers/").map(str::to_owned),
        raw: what == "raw/X",
        transpose: what == "transpose",
        ..Selection::default()
    }
}

/// All values, row-major, read `step` rows at a time: zero where no entry is stored, the sum of
/// duplicates.
pub(crate) fn read_all(source: &mut dyn Source, step: usize) -> Result<Vec<f32>, StorageError> {
    let genes = source.genes();
    let mut all = vec![0.0; source.cells() * genes];
    if let Form::Entries { .. } = source.form() {
        let mut entries = Entries::default();
        loop {
            source.read_entries(step, &mut entries)?;
            if entries.is_empty() {
                return Ok(all);
            }
            for at in 0..entries.len() {
                all[entries.cells[at] as usize * genes + entries.genes[at] as usize] += entries.values[at];
            }
        }
    }
    let mut chunk = RowChunk::default();
    for first in (0..source.cells()).step_by(step) {
        let rows = first..(first + step).min(source.cells());
        source.read_rows(rows.clone(), &mut chunk)?;
        match &chunk {
            RowChunk::Dense { values } => all[first * genes..rows.end * genes].copy_from_slice(values),
            RowChunk::Sparse { indptr, indices, values } => {
                assert_eq!(indptr.len(), rows.len() + 1);
                for (i, row) in rows.enumerate() {
                    for at in indptr[i]..indptr[i + 1] {
                        all[row * genes + indices[at] as usize] += values[at];
                    }
                }
            }
        }
    }
    Ok(all)
}

impl<T: Clone, I: TryFrom<usize> + TryInto<usize> + Copy, P: TryFrom<usize> + TryInto<usize> + Copy> Csr<T, I, P> {
    /// The same matrix by columns.
    pub(crate) fn by_column(&self) -> Csr<T, I, P> {
        let number = |at: usize| I::try_from(at).ok().expect("a column");
        let (mut data, mut indices, mut indptr) = (Vec::new(), Vec::new(), vec![P::try_from(0).ok().expect("zero")]);
        for column in 0..self.shape[1] as usize {
            for row in 0..self.indptr.len() - 1 {
                let [first, last] = [row, row + 1].map(|at| self.indptr[at].try_into().ok().expect("a pointer"));
                for at in first..last {
                    if self.indices[at].try_into().ok() == Some(column) {
                        data.push(self.data[at].clone());
                        indices.push(number(row));
                    }
                }
            }
            indptr.push(P::try_from(data.len()).ok().expect("a pointer"));
        }
        Csr { shape: self.shape.clone(), data, indices, indptr }
    }
}

/// Opens and reads everything. Returns kind and message of the error that it gives.
pub(crate) fn refusal(path: &Path, what: &str) -> (ErrorKind, String) {
    let read = source::open(path, &selection(what)).and_then(|mut s| read_all(&mut *s, 256));
    let error = read.expect_err("a refusal");
    let said = error.to_string();
    assert!(!said.contains('\n'), "one line: {said}");
    (error.kind(), said)
}

/// The folder of shared real files. Prints a notice and returns `None` if it does not exist.
pub(crate) fn shared() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = match std::env::var_os("PARTWISE_DATA") {
        Some(folder) => PathBuf::from(folder),
        None => root.join("../shared/data"),
    };
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIPPED: no real files at {}; set PARTWISE_DATA to test with them", folder.display());
    None
}

/// Remembers warnings.
#[derive(Default)]
pub(crate) struct Listener(std::sync::Mutex<Vec<String>>);

impl Listener {
    pub(crate) fn heard(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Monitor for Listener {
    fn warn(&self, warning: &Warning) {
        self.0.lock().unwrap().push(warning.to_string());
    }
}
