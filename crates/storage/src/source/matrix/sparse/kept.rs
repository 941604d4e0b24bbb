//! Reads some of the columns, and counts their entries.

use super::{PIECE, SpanFault, SparseReader};
use crate::StorageError;
use crate::source::subset::Subset;
use crate::tile::TILE_ROWS;

/// The columns that are read.
pub(super) struct Kept {
    subset: Subset,
    counted: Option<Counted>,
}

/// The entries of these columns.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counted {
    pub(super) entries: u64,
    pub(super) most_per_tile: usize,
}

impl Kept {
    pub(super) fn subset(&self) -> &Subset {
        &self.subset
    }

    /// The number of columns.
    pub(super) fn columns(&self) -> usize {
        self.subset.len()
    }

    pub(super) fn resident_bytes(&self) -> u64 {
        self.subset.resident_bytes() + (PIECE * size_of::<u32>()) as u64
    }
}

impl SparseReader {
    /// Reads these columns only, by rows.
    pub(in crate::source::matrix) fn keep(&mut self, subset: Subset) {
        self.kept = Some(Kept { subset, counted: None });
    }

    /// Validates the row pointers, and counts the entries of the columns that are kept. That costs one
    /// read of `indices` if some are not.
    pub(in crate::source::matrix) fn prepare(&mut self) -> Result<(), StorageError> {
        self.check()?;
        let Some(mut kept) = self.kept.take() else { return Ok(()) };
        let counted = match kept.counted {
            Some(counted) => Ok(counted),
            None => self.count(&kept.subset),
        };
        kept.counted = counted.as_ref().ok().copied();
        self.kept = Some(kept);
        counted.map(drop)
    }

    pub(super) fn counted(&self) -> Option<Counted> {
        self.kept.as_ref()?.counted
    }

    fn count(&mut self, subset: &Subset) -> Result<Counted, StorageError> {
        let mut counted = Counted::default();
        let mut columns = vec![0; PIECE];
        for first_row in (0..self.pointers.rows()).step_by(TILE_ROWS) {
            let rows = first_row..self.pointers.rows().min(first_row + TILE_ROWS);
            let pointers = self.pointers.of(rows.clone())?;
            let (mut at, end) = (pointers[0], pointers[rows.len()]);
            let mut in_tile = 0;
            while at < end {
                let piece = &mut columns[..usize::try_from(end - at).unwrap_or(PIECE).min(PIECE)];
                let read = self.indices.read(at as usize, piece, self.columns);
                let fault = match read {
                    Ok(None) => None,
                    Ok(Some((at, column))) => Some(SpanFault::Column { at, column }),
                    Err(error) => Some(SpanFault::Indices(error)),
                };
                if let Some(fault) = fault {
                    let pointers = self.pointers.of(rows.clone())?.to_vec();
                    let row_of = |in_piece: usize| {
                        first_row + pointers.partition_point(|&pointer| pointer <= at + in_piece as u64) - 1
                    };
                    return Err(self.error(fault, piece, row_of));
                }
                in_tile += piece.iter().filter(|&&column| subset.place(column).is_some()).count();
                at += piece.len() as u64;
            }
            counted.entries += in_tile as u64;
            counted.most_per_tile = counted.most_per_tile.max(in_tile);
        }
        Ok(counted)
    }
}
