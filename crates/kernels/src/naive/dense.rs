//! Twin of the WᵀX of [`crate::dense`], with the same bits.

use super::sparse::add_in_groups;
use crate::{FactorMut, FactorRef};

/// `share += xᵀ · w`, gene-major: `share` is m × k, `x` rows × m and `w` rows × k.
pub fn wtx(mut share: FactorMut<'_>, x: &[f32], w: FactorRef<'_>) {
    let m = share.rows();
    for j in 0..m {
        for c in 0..w.lanes() {
            let terms: Vec<(f32, f32)> = (0..w.rows()).map(|i| (x[i * m + j], w.row(i)[c])).collect();
            add_in_groups(&mut share.row_mut(j)[c], &terms);
        }
    }
}
