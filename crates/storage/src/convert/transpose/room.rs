//! Divides the budget between the steps of a transposition.

use super::super::ConvertSpec;
use super::super::plan::PROCESS;
use crate::StorageError;
use crate::source::Source;
use crate::tile::TILE_ROWS;

/// Bytes in memory for an entry that is collected: its three numbers in buffers that grow by doubling,
/// and its packed form while it is written.
const COLLECTED: u64 = 12 * 2 + 16;

/// Bytes in memory for an entry of a window: unpacked, sorted, and the scratch of unpacking.
pub(super) const IN_WINDOW: u64 = 12 + 8 + 12;

/// Bytes of the place of a piece in the temporary file.
const PLACE: u64 = 24;

/// The fewest bytes with which this work makes sense.
const LEAST: u64 = 8 << 20;

/// The fewest entries of a typical piece.
const PIECE: usize = 1 << 10;

/// The most entries that are collected before they are put aside, with any budget.
const MOST_COLLECTED: u64 = 1 << 26;

/// The most entries of a window, with any budget: sorting writes all over a window, which is slower in large ones.
/// With four million entries, converting 63 million by gene took 1.3 times as long.
const MOST_IN_WINDOW: u64 = 1 << 19;

/// The sizes of a transposition.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Entries collected before they are put aside.
    pub(super) collected: usize,
    /// Tiles of a strip.
    pub(super) strip_tiles: usize,
    /// Entries of a window, unless one tile has more.
    pub(super) window: usize,
}

impl Room {
    /// The sizes for at most `entries` entries of `source`.
    ///
    /// # Errors
    ///
    /// - the budget is too small; the error states the smallest one that works
    pub(super) fn of(source: &dyn Source, entries: u64, spec: &ConvertSpec) -> Result<Room, StorageError> {
        let fixed = (PROCESS + 160 * source.genes() as u64).saturating_add(source.resident_bytes());
        let tiles = source.cells().div_ceil(TILE_ROWS) as u64;
        let fixed = fixed.saturating_add(8 * tiles);
        if spec.memory < fixed.saturating_add(LEAST) {
            return Err(StorageError::MemoryBudget {
                path: source.path().into(),
                given: spec.memory,
                smallest: fixed.saturating_add(LEAST),
                condition: " to transpose it (to pack it may take more)".into(),
            });
        }
        Ok(Self::divide(spec.memory - fixed, entries, tiles))
    }

    /// The sizes for at most `entries` entries of `cells` cells, in `memory` bytes.
    #[cfg(feature = "hdf5")]
    pub(super) fn within(memory: u64, entries: u64, cells: usize) -> Room {
        Self::divide(memory.max(LEAST), entries, cells.div_ceil(TILE_ROWS) as u64)
    }

    fn divide(room: u64, entries: u64, tiles: u64) -> Room {
        // Most of it while entries are collected; while windows are read, the rest of the conversion
        // works beside them.
        let collected = (room * 3 / 4 / COLLECTED).clamp(1, MOST_COLLECTED.min(entries.max(1)));
        let window = (room / 8 / IN_WINDOW).clamp(1, MOST_IN_WINDOW);
        let per_tile = (entries / tiles.max(1)).max(1);
        let for_window = (window / per_tile).max(1);
        // Fewer strips than would make pieces tiny or their places many.
        let rounds = entries.div_ceil(collected).max(1);
        let most_strips = (collected / PIECE as u64).min(room / 8 / PLACE / rounds).max(1);
        let strip_tiles = for_window.max(tiles.div_ceil(most_strips)).clamp(1, tiles.max(1));
        Room { collected: collected as usize, strip_tiles: strip_tiles as usize, window: window as usize }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_stays_within_its_share() {
        for room in [8_u64 << 20, 30 << 20, 1 << 30, 1 << 36] {
            for (entries, tiles) in [(0, 1), (1, 1), (53_000_000, 200), (100_000_000_000, 400_000), (2_000, 40_000)] {
                let Room { collected, strip_tiles, window } = Room::divide(room, entries, tiles);
                assert!(collected as u64 * COLLECTED <= room && window as u64 * IN_WINDOW <= room / 8);
                let enough = [entries.max(1), MOST_COLLECTED].contains(&(collected as u64));
                assert!(enough || (collected as u64 + 1) * COLLECTED > room * 3 / 4, "{collected} in {room} bytes");
                let enough = window as u64 == MOST_IN_WINDOW;
                assert!(enough || (window as u64 + 1) * IN_WINDOW > room / 8, "{window} in {room} bytes");
                let strips = tiles.div_ceil(strip_tiles as u64);
                let pieces = strips * entries.div_ceil(collected as u64);
                assert!(strips == 1 || pieces * PLACE <= room / 4, "{pieces} pieces in {room} bytes");
            }
        }
    }
}
