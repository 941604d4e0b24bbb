//! The size of a sample.

use partwise_storage::store::Layout;

use crate::sample::Caps;
use crate::shape::DataShape;

/// Most rows of a sample.
const ROWS: usize = 32_768;
/// Entries that a sample may hold, or more if H is large.
const ENTRIES: u64 = 2_000_000;
/// Bytes, gathered and packed, up to which a sparse sample has ten times as many entries as H.
/// Beyond, four times as many are enough.
const AMPLE_BYTES: f64 = 36e6;
/// An input with no more entries is its own sample (if it has no more than [`ROWS`] rows).
const WHOLE_ENTRIES: u64 = 2_500_000;

/// A sample has a few times as many entries as H, and at least two million; small inputs are taken
/// whole. Nothing of the machine changes it. Dense rows tell less for their entries, so there are
/// more of them. The more entries, the fewer passes over X are left to make: on 50,000 × 20,000
/// counts of 20 programs with k = 30, four times the entries of H left six, ten times four. They
/// take memory before the first pass, for any budget.
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
