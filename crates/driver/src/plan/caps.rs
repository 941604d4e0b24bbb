//! How large a sample may be.

use partwise_storage::store::Layout;

use super::shape::DataShape;
use crate::sample::Caps;

/// Most rows of a sample.
const ROWS: usize = 32_768;
/// Entries that a sample may hold, if not more because H is large.
const ENTRIES: u64 = 2_000_000;
/// Up to so many entries an input is its own sample (where it has no more than [`ROWS`] rows).
const WHOLE_ENTRIES: u64 = 2_500_000;

/// A sample has a few times as many entries as H has, and at least two million; small inputs are taken whole. It
/// depends on nothing that the machine has or lacks. Dense rows tell less for their entries, so there are more of them.
pub(super) fn sample_caps(k: usize, shape: &DataShape) -> Caps {
    let parameters = (k * shape.genes) as u64;
    let entries = match shape.layout {
        Layout::Sparse => ENTRIES.max(4 * parameters),
        Layout::Dense => ENTRIES.max(10 * parameters),
    };
    let whole = shape.entries() <= WHOLE_ENTRIES;
    Caps { entries: if whole { entries.max(WHOLE_ENTRIES) } else { entries }, rows: ROWS }
}
