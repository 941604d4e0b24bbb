//! How large a sample may be.

use partwise_storage::store::Layout;

use crate::sample::Caps;
use crate::shape::DataShape;

/// Most rows of a sample.
const ROWS: usize = 32_768;
/// Entries that a sample may hold, if not more because H is large.
const ENTRIES: u64 = 2_000_000;
/// Bytes, gathered and packed, up to which a sparse sample has ten times as many entries as H; beyond, four times as many
/// are enough.
const AMPLE_BYTES: f64 = 36e6;
/// Up to so many entries an input is its own sample (where it has no more than [`ROWS`] rows).
const WHOLE_ENTRIES: u64 = 2_500_000;

/// A sample has a few times as many entries as H has, and at least two million; small inputs are taken whole. It
/// depends on nothing that the machine has or lacks. Dense rows tell less for their entries, so there are more of them.
/// The more entries, the fewer passes over X are left to make: on 50,000 × 20,000 counts of 20 programs with k = 30,
/// four times the entries of H left six, ten times four. They take memory before the first pass, whatever the budget.
pub(super) fn sample_caps(k: usize, shape: &DataShape) -> Caps {
    let parameters = (k * shape.genes) as u64;
    let entries = match shape.layout {
        Layout::Sparse => {
            let packed = shape.packed_bytes as f64 / shape.entries().max(1) as f64;
            let ample = (AMPLE_BYTES / (8.0 + 1.3 * packed)) as u64;
            ENTRIES.max(4 * parameters).max(ample.min(10 * parameters))
        }
        Layout::Dense => ENTRIES.max(10 * parameters),
    };
    let whole = shape.entries() <= WHOLE_ENTRIES;
    Caps { entries: if whole { entries.max(WHOLE_ENTRIES) } else { entries }, rows: ROWS }
}
