//! Sparse products have the bits of the twin on every set of instructions, and the values of the
//! formula.

use partwise_kernels::{CsrBuf, FactorBuf, Isa, naive, sparse, stride};
use proptest::prelude::*;

use crate::shapes::{SparseTile, bits, components, factor, padding_is_zero, sparse_tile, view, view_mut};

/// A tile, k, spectra (m × k) and usages (rows × k), which also serve as initial outputs.
fn case() -> impl Strategy<Value = (SparseTile, usize, FactorBuf, FactorBuf)> {
    (sparse_tile(), components()).prop_flat_map(|(tile, k)| {
        let (h, w) = (factor(tile.m, k), factor(tile.rows, k));
        (Just(tile), Just(k), h, w)
    })
}

proptest! {
    #[test]
    fn products_have_the_bits_of_their_twins((tile, k, ht, w) in case()) {
        let (mut xht, mut wtx) = (w.clone(), ht.clone()); // the products add to these
        naive::sparse::xht(view_mut(&mut xht, k), tile.runs(), view(&ht, k));
        naive::sparse::wtx(view_mut(&mut wtx, k), tile.runs(), view(&w, k));
        prop_assert!(padding_is_zero(&xht, k) && padding_is_zero(&wtx, k));
        for isa in Isa::available() {
            let mut out = w.clone();
            sparse::xht_with(isa, view_mut(&mut out, k), tile.runs(), view(&ht, k));
            prop_assert_eq!(bits(&out), bits(&xht), "xht with {:?}", isa);
            let mut out = ht.clone();
            sparse::wtx_with(isa, view_mut(&mut out, k), tile.runs(), view(&w, k));
            prop_assert_eq!(bits(&out), bits(&wtx), "wtx with {:?}", isa);
        }
    }

    #[test]
    fn products_are_those_of_the_matrix((tile, k, ht, w) in case()) {
        let (ks, x) = (stride(k), tile.to_dense());
        let mut out = FactorBuf::zeros(tile.rows, k);
        sparse::xht(view_mut(&mut out, k), tile.runs(), view(&ht, k));
        close(&out, &naive::product::xht(&x, &ht, tile.rows, tile.m, ks), tile.m)?;
        let mut out = FactorBuf::zeros(tile.m, k);
        sparse::wtx(view_mut(&mut out, k), tile.runs(), view(&w, k));
        close(&out, &naive::product::wtx(&x, &w, tile.rows, tile.m, ks), tile.rows)?;
    }

    #[test]
    fn compressed_rows_have_the_products_of_their_twin_and_of_the_matrix((tile, k, ht, w) in case(), cut in 0..256usize) {
        let (ks, x) = (stride(k), tile.to_dense());
        for by_gene in [false, true] {
            let (rows, columns, factor) = if by_gene { (tile.m, tile.rows, &w) } else { (tile.rows, tile.m, &ht) };
            let at = |row: usize, column: usize| if by_gene { x[column * tile.m + row] } else { x[row * tile.m + column] };
            let (mut ends, mut indices, mut values) = (Vec::new(), Vec::new(), Vec::new());
            for row in 0..rows {
                for column in (0..columns).filter(|&column| at(row, column) != 0.0) {
                    indices.push(column as u32);
                    values.push(at(row, column));
                }
                ends.push(values.len());
            }
            let matrix = CsrBuf::new(ends, indices, values, columns);
            let csr = matrix.view();
            let mut twin = FactorBuf::zeros(rows, k);
            naive::sparse::csr(view_mut(&mut twin, k), csr, view(factor, k));
            prop_assert!(padding_is_zero(&twin, k));
            let product = match by_gene {
                true => naive::product::wtx(&x, factor, tile.rows, tile.m, ks),
                false => naive::product::xht(&x, factor, tile.rows, tile.m, ks),
            };
            close(&twin, &product, columns)?;
            for isa in Isa::available() {
                // Overwritten, in two parts.
                let mut out = twin.clone();
                out.fill(1.0);
                let cut = cut.min(rows);
                for part in [0..cut, cut..rows].into_iter().filter(|part| !part.is_empty()) {
                    let (len, out) = (part.len(), &mut out[part.start * ks..part.end * ks]);
                    let out = partwise_kernels::FactorMut::new(out, len, k, ks);
                    sparse::csr_with(isa, out, csr.rows(part), view(factor, k));
                }
                prop_assert_eq!(bits(&out), bits(&twin), "csr with {:?}", isa);
            }
        }
    }
}

/// Compares products with the formula. All terms are non-negative, so the error of a sum of `terms`
/// of them is at most `(terms + 1)·u` of the sum, plus one underflow per term (docs/numerics.md,
/// Products).
pub(crate) fn close(got: &[f32], expected: &[f64], terms: usize) -> Result<(), TestCaseError> {
    let bound = (terms + 1) as f64 * f64::from(f32::EPSILON) / 2.0 * 1.01;
    for (i, (&got, &expected)) in got.iter().zip(expected).enumerate() {
        let off = (f64::from(got) - expected).abs();
        prop_assert!(off <= bound * expected + terms as f64 * 1e-45, "{got} for {expected} at {i}");
    }
    Ok(())
}
