//! XᵀX has the bits of its twin, whether a tile is nearly empty or full, sorted by gene or by row.

use partwise_kernels::xtx::{Entries, Triangle, add_with};
use partwise_kernels::{Isa, naive};
use proptest::prelude::*;

/// Genes, and tiles of up to 256 rows.
fn tiles() -> impl Strategy<Value = (usize, Vec<Vec<f32>>)> {
    let value = |zeros: u32| prop_oneof![zeros => Just(0.0f32), 1 => 0.01f32..40.0];
    let tile = move |m: usize| {
        (0..=70usize, prop_oneof![Just(0u32), Just(1), Just(30)])
            .prop_flat_map(move |(rows, zeros)| prop::collection::vec(value(zeros), rows * m))
    };
    (1..=40usize).prop_flat_map(move |m| (Just(m), prop::collection::vec(tile(m), 0..3)))
}

proptest! {
    #[test]
    fn xtx_has_the_bits_of_its_twin((m, tiles) in tiles(), by_gene in any::<bool>()) {
        let mut expected = vec![0.0; m * m];
        tiles.iter().for_each(|tile| naive::xtx::add(&mut expected, tile, m));
        let triangle = Triangle::new(m);
        for isa in Isa::available() {
            let (mut share, mut entries) = (vec![0.0; triangle.values()], Entries::new());
            for tile in &tiles {
                // Some tiles are taken together.
                if entries.rows() > 60 {
                    add_with(isa, &mut share, triangle, &mut entries);
                }
                let before = entries.rows();
                entries.extend(tile.len() / m, tile.len());
                let mut places: Vec<usize> = (0..tile.len()).filter(|&at| tile[at] != 0.0).collect();
                if by_gene {
                    places.sort_by_key(|at| (at % m, at / m));
                }
                places.iter().for_each(|&at| entries.push(before + at / m, (at % m) as u32, tile[at]));
            }
            add_with(isa, &mut share, triangle, &mut entries);
            for j in 0..m {
                let (place, first, width) = triangle.row(j);
                let row = &share[place..place + width][j - first..][..m - j];
                prop_assert_eq!(row, &expected[j * m + j..(j + 1) * m], "{:?}, gene {}", isa, j);
            }
        }
    }
}
