//! Sparse matrices of coordinates (COO): `row`, `col`, `data`.

use super::list::{Fault, List};
use super::places::Places;
use crate::StorageError;
use crate::source::Entries;

/// The most entries read at a time.
const MOST: usize = 1 << 16;

/// A matrix whose entries have a row and a column each.
pub(super) struct Coordinates {
    places: Places,
    pub(super) values: List,
    cells: List,
    genes: List,
    next: u64,
    scratch: Vec<i128>,
}

impl Coordinates {
    /// Checks that the lists have the same length.
    pub(super) fn open(places: Places, [values, cells, genes]: [List; 3]) -> Result<Coordinates, StorageError> {
        for list in [&cells, &genes] {
            if list.len() != values.len() {
                let problem = format!("has {} entries, but data has {}", list.len(), values.len());
                return Err(list.member.invalid(problem));
            }
        }
        Ok(Coordinates { places, values, cells, genes, next: 0, scratch: Vec::new() })
    }

    pub(super) fn resident_bytes(&self) -> u64 {
        [&self.values, &self.cells, &self.genes].map(List::resident_bytes).iter().sum::<u64>()
            + (2 * MOST * size_of::<i128>()) as u64
    }

    /// Reads the next entries.
    pub(super) fn read_entries(&mut self, most: usize, entries: &mut Entries) -> Result<(), StorageError> {
        // After an error, reading begins again.
        let first = std::mem::take(&mut self.next);
        entries.clear();
        let count = usize::try_from(self.values.len() - first).unwrap_or(usize::MAX).min(most).min(MOST);
        self.scratch.clear();
        self.cells.read_integers(first, count, &mut self.scratch)?;
        self.genes.read_integers(first, count, &mut self.scratch)?;
        let (cells, genes) = self.scratch.split_at(count);
        let (most_cells, most_genes) = self.places.shape;
        for (&cell, &gene) in cells.iter().zip(genes) {
            if !(0..most_cells as i128).contains(&cell) || !(0..most_genes as i128).contains(&gene) {
                return Err(self.places.outside((cell, gene)));
            }
            entries.push(cell as u32, gene as u32, 0.0);
        }
        self.values.read(first, &mut entries.values).map_err(|fault| match fault {
            Fault::Archive(error) => error,
            Fault::Value { at, value } => self.places.value((cells[at], genes[at]), value),
        })?;
        // After the last entry, reading begins again.
        self.next = if count == 0 { 0 } else { first + count as u64 };
        Ok(())
    }
}
