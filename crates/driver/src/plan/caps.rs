//! The size of a sample.

use partwise_storage::sampling::Caps;
use partwise_storage::store::Layout;

use crate::shape::DataShape;

/// Most rows of a sample.
const ROWS: usize = 32_768;
/// Entries that a sample may hold, or more if H is large.
const ENTRIES: u64 = 2_000_000;
/// Entries for each entry of H: of a sparse sample, and of a dense one. Dense rows tell less for their entries.
const SPARSE: u64 = 5;
const DENSE: u64 = 10;
/// An input with no more entries is its own sample (if it has no more than [`ROWS`] rows).
const WHOLE_ENTRIES: u64 = 2_500_000;

/// A sample has a few times as many entries as H, and at least two million; small inputs are taken
/// whole. Nothing of the machine changes it. The more entries, the fewer passes over X are left to make, and
/// the more memory they take before the first pass, for any budget. On 50,000 × 20,000 counts of a law with programs
/// that are alike, k = 20, five times the entries of H leave four or five passes, and seven and a half times four.
pub(super) fn sample_caps(k: usize, shape: &DataShape) -> Caps {
    let parameters = (k * shape.genes) as u64;
    let entries = match shape.layout {
        Layout::Sparse => ENTRIES.max(SPARSE * parameters),
        Layout::Dense => ENTRIES.max(DENSE * parameters),
    };
    let whole = shape.entries() <= WHOLE_ENTRIES;
    Caps { entries: if whole { entries.max(WHOLE_ENTRIES) } else { entries }, rows: ROWS }
}
