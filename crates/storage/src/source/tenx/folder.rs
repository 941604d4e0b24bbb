//! Folders of a Matrix Market file with a list of features and one of cells.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::choice::{Chosen, GENES};
use super::locate::{Files, locate};
use super::names::{GENE_IDS, Names, Part};
use crate::remedy::Choice;
use crate::source::matrix_market::{DATASET, MarketReader};
use crate::source::unpacked::{self, Unpacked};
use crate::source::{Entries, Form, Rounding, RowChunk, Source, SourceStamp, stamp};
use crate::store::Selection;
use crate::{Axis, StorageError};
#[cfg(feature = "hdf5")]
use crate::{FrameWriter, Monitor};

/// Opens the matrix in the folder at `path`.
///
/// # Errors
///
/// - there are several, and none was chosen
/// - the matrix or its list of features cannot be read
pub(in crate::source) fn open(path: &Path, selection: &Selection) -> Result<Box<dyn Source>, StorageError> {
    selection.check(path, "a folder of Cell Ranger", &[Choice::Transpose, Choice::Features, Choice::Genome])?;
    let files = locate(path, selection)?;
    let mut matrix = MarketReader::open(&files.matrix, selection.transpose)?;
    let lists = Lists::open(&files)?;
    // The genome chose a folder.
    let selection_in_it = Selection { genome: None, ..selection.clone() };
    let chosen = Chosen::of(&lists, files.features.as_deref().unwrap_or(path), &selection_in_it)?;
    if let Some(subset) = &chosen.subset {
        matrix.keep(subset.clone());
    }
    let stamp = stamp(path, selection)?;
    Ok(Box::new(FolderSource { path: path.into(), files, matrix, lists, chosen, stamp }))
}

/// A matrix in a folder.
struct FolderSource {
    path: PathBuf,
    #[cfg_attr(not(feature = "hdf5"), expect(dead_code, reason = "no names are written without the library"))]
    files: Files,
    matrix: MarketReader,
    lists: Lists,
    #[cfg_attr(not(feature = "hdf5"), expect(dead_code, reason = "no names are written without the library"))]
    chosen: Chosen,
    stamp: SourceStamp,
}

impl Source for FolderSource {
    fn path(&self) -> &Path {
        &self.path
    }

    fn dataset(&self) -> &str {
        DATASET
    }

    fn cells(&self) -> usize {
        self.matrix.shape().0
    }

    fn genes(&self) -> usize {
        self.matrix.shape().1
    }

    fn form(&self) -> Form {
        self.matrix.form()
    }

    fn resident_bytes(&self) -> u64 {
        self.matrix.resident_bytes()
    }

    fn annotation_bytes(&self) -> u64 {
        unpacked::RESIDENT
    }

    /// Counts the names.
    fn prepare(&mut self) -> Result<(), StorageError> {
        let (cells, genes) = self.matrix.shape_in_file();
        for (part, expected, axis) in [(Part::Barcode, cells, Axis::Cells), (Part::Symbol, genes, Axis::Genes)] {
            let Some(path) = self.lists.path(part) else { continue };
            let mut found = 0;
            self.lists.visit(part, &mut |_| found += 1)?;
            if found != expected {
                return Err(StorageError::InvalidDataset {
                    path: path.into(),
                    dataset: if axis == Axis::Cells { "barcodes".into() } else { "features".into() },
                    problem: format!("has {found} lines, but the matrix beside it has {expected} {axis}"),
                    remedy: "matrix and names do not belong together; copy or create the folder again".into(),
                });
            }
        }
        Ok(())
    }

    fn read_rows(&mut self, _: Range<usize>, _: &mut RowChunk) -> Result<(), StorageError> {
        panic!("{} is read by entries", self.path.display());
    }

    fn read_entries(&mut self, most: usize, entries: &mut Entries) -> Result<(), StorageError> {
        self.matrix.read_entries(most, entries)
    }

    fn gene_ids(&self) -> Option<&'static str> {
        self.lists.has(Part::Id).then_some(GENE_IDS)
    }

    fn rounding(&self) -> Rounding {
        self.matrix.rounding()
    }

    #[cfg(feature = "hdf5")]
    fn write_table(&self, axis: Axis, table: &mut FrameWriter, monitor: &dyn Monitor) -> Result<(), StorageError> {
        if axis == Axis::Cells && !self.files.passed_over.is_empty() {
            let chosen = self.files.matrix.parent().and_then(Path::file_name).unwrap_or_default();
            let chosen = chosen.to_string_lossy().into_owned();
            monitor.warn(&crate::Warning::OtherMatrices { chosen, others: self.files.passed_over.clone() });
        }
        super::names::write(&self.lists, &self.chosen, axis, table, monitor)
    }

    fn stamp(&self) -> SourceStamp {
        self.stamp.clone()
    }
}

/// Columns that have a meaning: id, symbol and type. Others may be missing in some lines.
const NAMED: usize = 3;

/// The lists beside a matrix: `barcodes.tsv` with a name a line, and `features.tsv` (or `genes.tsv`)
/// with id, symbol and type.
struct Lists {
    features: Option<PathBuf>,
    barcodes: Option<PathBuf>,
    /// Columns of the first feature.
    columns: usize,
}

impl Lists {
    fn open(files: &Files) -> Result<Lists, StorageError> {
        let (mut columns, mut features, mut shorter) = (0, 0, None);
        if let Some(path) = &files.features {
            Unpacked::open(path)?.visit_lines(|line| {
                features += 1;
                let found = fields(line).count();
                if features == 1 {
                    columns = found;
                } else if found < columns.min(NAMED) {
                    shorter.get_or_insert((features, found));
                }
            })?;
            if let Some((feature, found)) = shorter {
                return Err(StorageError::InvalidDataset {
                    path: path.clone(),
                    dataset: "features".into(),
                    problem: format!("has {found} columns for feature {feature}, and {columns} for the first"),
                    remedy: "copy or download it again".into(),
                });
            }
        }
        Ok(Lists { features: files.features.clone(), barcodes: files.barcodes.clone(), columns })
    }

    /// The file of a list.
    fn path(&self, part: Part) -> Option<&Path> {
        if part == Part::Barcode { self.barcodes.as_deref() } else { self.features.as_deref() }
    }
}

fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|&byte| byte == b'\t')
}

impl Names for Lists {
    fn has(&self, part: Part) -> bool {
        let columns = match part {
            Part::Barcode => return self.barcodes.is_some(),
            Part::Symbol => 1,
            Part::Id => 2,
            Part::Type => 3,
            Part::Genome => return false,
        };
        self.columns >= columns
    }

    fn visit(&self, part: Part, each: &mut dyn FnMut(&[u8])) -> Result<(), StorageError> {
        let Some(path) = self.path(part) else { return Ok(()) };
        Unpacked::open(path)?.visit_lines(|line| {
            let mut fields = fields(line);
            let first = fields.next().unwrap_or_default();
            each(match part {
                Part::Symbol => fields.next().unwrap_or(first),
                Part::Type => fields.nth(1).unwrap_or(GENES.as_bytes()),
                Part::Barcode | Part::Id | Part::Genome => first,
            });
        })
    }
}
