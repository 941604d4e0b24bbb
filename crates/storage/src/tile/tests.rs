//! A tile preserves its rows, at every level of instructions, and damaged tiles are detected or
//! harmless.

use proptest::prelude::*;

use super::batch::{BATCH_NONZEROS, RunBatch};
use super::decode::RunDecoder;
use super::encode::{CsrRows, TileEncoder};
use super::header::{Header, Mode};
use super::row_code::RowCode;
use super::rows::Rows as UnpackedRows;
use super::sheet::SHEET_NONZEROS;
use super::simd::Level;
use super::sparse::SparseTile;
use super::{GeneSums, LISTED_ROWS, TILE_ROWS, TileMoments};

/// The naive twin of a tile: its nonzeros in gene order.
type Triples = Vec<(u32, u8, u32)>;

/// A few rows, as sorted (column, value) pairs.
type Rows = Vec<Vec<(u32, f32)>>;

fn naive(rows: &Rows) -> Triples {
    let mut triples: Triples = rows
        .iter()
        .enumerate()
        .flat_map(|(row, entries)| entries.iter().map(move |&(gene, value)| (gene, row as u8, value.to_bits())))
        .collect();
    triples.sort_unstable();
    triples
}

fn encode(rows: &Rows, genes: usize) -> (Vec<u8>, TileMoments) {
    let mut indptr = vec![1000];
    indptr.extend(rows.iter().scan(1000, |end, row| {
        *end += row.len();
        Some(*end)
    }));
    let (indices, values): (Vec<u32>, Vec<f32>) = rows.iter().flatten().copied().unzip();
    let mut out = vec![7; 3];
    let rows = CsrRows { indptr: &indptr, indices: &indices, values: &values };
    let moments = TileEncoder::new().encode(rows, genes, &mut out);
    (out, moments)
}

/// Decodes everything and checks the promises of a batch.
fn decode(tile: &SparseTile<'_>, level: Level) -> Triples {
    let mut triples = Triples::new();
    let mut runs = RunDecoder::with_level(tile, level);
    let mut batch = RunBatch::new();
    while runs.next_batch(&mut batch).unwrap() {
        assert!(batch.rows.len() <= BATCH_NONZEROS);
        assert_eq!(batch.rows.len(), batch.values.len());
        assert_eq!(batch.genes.len(), batch.ends.len());
        let mut start = 0;
        for (&gene, &end) in batch.genes.iter().zip(&batch.ends) {
            let run = start..end as usize;
            assert!(!run.is_empty());
            let entries = batch.rows[run.clone()].iter().zip(&batch.values[run]);
            triples.extend(entries.map(|(&row, &value)| (gene, row, value.to_bits())));
            start = end as usize;
        }
        assert_eq!(start, batch.rows.len());
    }
    assert!(batch.is_empty());
    triples
}

/// Decodes everything by sheets and checks the promises of a sheet. Returns the runs in gene order,
/// and the number of sheets.
fn decode_sheets(tile: &SparseTile<'_>, level: Level) -> (Triples, usize) {
    let (mut triples, mut sheets) = (Triples::new(), 0);
    let mut runs = RunDecoder::with_level(tile, level);
    let mut sheet = RunBatch::new();
    while runs.next_sheet(&mut sheet).unwrap() {
        assert!(sheet.rows.len() <= SHEET_NONZEROS && sheet.rows.len() == sheet.values.len());
        assert_eq!(sheet.genes.len(), sheet.ends.len());
        let (mut start, mut last) = (0, (0, 0));
        for (i, (&gene, &end)) in sheet.genes.iter().zip(&sheet.ends).enumerate() {
            let run = start..end as usize;
            let order = (run.len().min(LISTED_ROWS + 1), gene);
            assert!(!run.is_empty() && (i == 0 || last < order), "shorter runs first, then in gene order");
            let entries = sheet.rows[run.clone()].iter().zip(&sheet.values[run]);
            triples.extend(entries.map(|(&row, &value)| (gene, row, value.to_bits())));
            (start, last) = (end as usize, order);
        }
        assert_eq!(start, sheet.rows.len());
        sheets += 1;
    }
    assert!(sheet.is_empty());
    triples.sort_by_key(|&(gene, row, _)| (gene, row));
    (triples, sheets)
}

#[track_caller]
fn assert_round_trip(rows: &Rows, genes: usize) -> Mode {
    let (bytes, moments) = encode(rows, genes);
    let expected = naive(rows);
    let tile = SparseTile::parse(&bytes, rows.len(), genes, expected.len() as u64).unwrap();
    assert!(matches!(Level::all(), [Level::Plain, ..]), "every CPU has a level");
    for &level in Level::all() {
        assert!(decode(&tile, level) == expected, "{level:?} differs");
        assert!(decode_sheets(&tile, level).0 == expected, "sheets of {level:?} differ");
    }
    assert_rows(&tile, rows);
    assert_moments(&moments, rows, &expected);
    tile.header.mode
}

fn assert_rows(tile: &SparseTile<'_>, rows: &Rows) {
    let mut unpacked = UnpackedRows::default();
    let unpacked = unpacked.of(tile).unwrap();
    assert_eq!(unpacked.len(), rows.len());
    for (at, row) in rows.iter().enumerate() {
        let entries = unpacked.indptr[at]..unpacked.indptr[at + 1];
        let found = unpacked.indices[entries.clone()].iter().zip(&unpacked.values[entries]);
        assert!(found.map(|(&gene, &value)| (gene, value)).eq(row.iter().copied()), "row {at} differs");
    }
}

fn assert_moments(moments: &TileMoments, rows: &Rows, triples: &Triples) {
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-12 * b.abs();
    assert_eq!(moments.cells.len(), rows.len());
    for (cell, row) in moments.cells.iter().zip(rows) {
        assert_eq!(cell.nonzeros as usize, row.len());
        assert!(close(cell.sum, row.iter().map(|&(_, value)| f64::from(value)).sum()));
        assert!(close(cell.sum_sq, row.iter().map(|&(_, value)| f64::from(value).powi(2)).sum()));
    }
    let mut shares = moments.genes.iter();
    for run in triples.chunk_by(|a, b| a.0 == b.0) {
        let values: Vec<f64> = run.iter().map(|&(_, _, bits)| f64::from(f32::from_bits(bits))).collect();
        let share = shares.next().unwrap();
        assert_eq!((share.gene, share.nonzeros as usize), (run[0].0, run.len()));
        assert_eq!(f64::from(share.max), values.iter().copied().fold(0.0, f64::max));
        let (sum, sum_sq) = match share.sums {
            GeneSums::Exact { sum, sum_sq } => (sum as f64, sum_sq as f64),
            GeneSums::Float { sum, sum_sq } => (sum, sum_sq),
        };
        assert!(close(sum, values.iter().sum()) && close(sum_sq, values.iter().map(|value| value * value).sum()));
    }
    assert!(shares.next().is_none());
}

/// A row of `values`, one in each of the columns 0, 1, 2, …
fn row_of(values: &[f32]) -> Vec<(u32, f32)> {
    (0..).zip(values.iter().copied()).collect()
}

#[test]
fn empty_tiles() {
    assert_round_trip(&vec![], 0);
    assert_round_trip(&vec![], 100);
    assert_round_trip(&vec![vec![]], 1);
    assert_round_trip(&vec![vec![]; 256], 64);
}

#[test]
fn single_nonzeros() {
    for value in [1.0, 2.0, 255.0, 256.0, 257.0, 65_536.0, 16_777_216.0, 16_777_218.0, 0.5, f32::MIN_POSITIVE, f32::MAX]
    {
        for gene in [0, 63, 64, 999] {
            let mut rows = vec![vec![]; 256];
            rows[200] = vec![(gene, value)];
            assert_round_trip(&rows, 1000);
        }
    }
}

#[test]
fn runs_of_every_length_and_tiles_of_every_height() {
    for height in [1, 2, 31, 32, 33, 64, 65, 255, 256] {
        let rows: Rows = (0..height)
            .map(|row| (0..height as u32).filter(|&gene| gene as usize >= row).map(|gene| (gene, 1.0)).collect())
            .collect();
        assert_eq!(assert_round_trip(&rows, height), Mode::Counts);
    }
}

#[test]
fn full_tiles_take_several_sheets() {
    let genes = 12_000;
    let present = |row: usize| (0..genes as u32).filter(move |gene| row >= (gene % 251) as usize);
    for unit in [1.0, 0.37] {
        let rows: Rows = (0..256)
            .map(|row| present(row).map(|gene| (gene, ((row as u32 + gene) % 5 + 1) as f32 * unit)).collect())
            .collect();
        let (bytes, _) = encode(&rows, genes);
        let expected = naive(&rows);
        let tile = SparseTile::parse(&bytes, rows.len(), genes, expected.len() as u64).unwrap();
        for &level in Level::all() {
            assert!(decode_sheets(&tile, level) == (expected.clone(), 2), "{level:?} differs");
        }
    }
}

#[test]
fn widths_of_every_kind_with_and_without_outliers() {
    for bits in 0..=24 {
        let high = ((1u64 << bits) as f32).min(super::MAX_COUNT);
        for length in [1, 7, 8, 9, 16, 40, 256] {
            let even: Rows = (0..length).map(|row| row_of(&[high, high - (row % 2) as f32 + 1.0, 1.0])).collect();
            let even: Rows =
                even.into_iter().map(|r| r.into_iter().map(|(g, v)| (g, v.min(super::MAX_COUNT))).collect()).collect();
            assert_round_trip(&even, 3);
            let outlier: Rows = (0..length)
                .map(|row| row_of(&[1.0, if row == length / 2 { high } else { 1.0 + (row % 3) as f32 }]))
                .collect();
            assert_eq!(assert_round_trip(&outlier, 2), Mode::Counts);
        }
    }
}

#[test]
fn rows_with_few_distinct_values_get_a_dictionary_others_stay_raw() {
    let scaled: Rows = (0..256)
        .map(|row| (0..500).map(|gene| (gene, ((row * 7 + gene) % 9 + 1) as f32 * 0.37 / (row + 1) as f32)).collect())
        .collect();
    assert_eq!(assert_round_trip(&scaled, 500), Mode::Dictionary);
    let distinct: Rows =
        (0..256).map(|row| (0..500).map(|gene| (gene, 0.1 + (row * 500 + gene) as f32)).collect()).collect();
    assert_eq!(assert_round_trip(&distinct, 500), Mode::Raw);
    // The dictionary alone would be smaller than the values, but the codes need bytes too.
    let many: Rows = (0..8).map(|row| (0..500).map(|gene| (gene, (gene % 450 + row) as f32 + 0.5)).collect()).collect();
    assert_eq!(assert_round_trip(&many, 500), Mode::Raw);
    let large: Rows = (0..40).map(|row| row_of(&[16_777_218.0, 3.0e38, 1.0 + row as f32])).collect();
    assert_ne!(assert_round_trip(&large, 3), Mode::Counts);
}

#[test]
fn a_large_dictionary_reaches_wide_codes() {
    let rows: Rows = (0..20)
        .map(|row| (0..4000u32).map(|gene| (gene, ((gene * 31 + row) % 1500) as f32 * 0.25 + 0.125)).collect())
        .collect();
    assert_eq!(assert_round_trip(&rows, 4000), Mode::Dictionary);
}

/// The error with which a tile of one gene is refused, parsed or decoded in either way.
fn refusal(bytes: &[u8], rows: usize, nonzeros: u64, by_sheets: bool) -> Option<String> {
    let decoded = SparseTile::parse(bytes, rows, 1, nonzeros).and_then(|tile| {
        let (mut runs, mut batch) = (tile.runs(), RunBatch::new());
        while if by_sheets { runs.next_sheet(&mut batch)? } else { runs.next_batch(&mut batch)? } {}
        Ok(())
    });
    decoded.err().map(|error| error.to_string())
}

#[test]
fn sections_that_the_runs_do_not_use_up_are_refused() {
    for unit in [1.0, 0.37] {
        let rows: Rows =
            (0..100).map(|row| vec![(0, if row == 50 { 70_000.0 } else { 1.0 + (row % 3) as f32 } * unit)]).collect();
        let (bytes, _) = encode(&rows, 1);
        let header = Header::parse(&bytes).unwrap();
        let sections = header.sections(1).unwrap();
        let longer = [
            (Header { row_bytes: header.row_bytes + 1, ..header }, sections.rows.end, "row section"),
            (Header { patch_bytes: header.patch_bytes + 1, ..header }, sections.patches.end, "patch"),
            (Header { value_bytes: header.value_bytes + 1, ..header }, sections.values.end, "value"),
        ];
        for by_sheets in [false, true] {
            assert_eq!(refusal(&bytes, 100, 100, by_sheets), None);
            for (header, end, word) in &longer {
                let mut longer = bytes.clone();
                longer[..header.to_bytes().len()].copy_from_slice(&header.to_bytes());
                longer.insert(*end, 0);
                let error = refusal(&longer, 100, 100, by_sheets).expect("a byte too many");
                assert!(error.contains(word), "expected {word:?} in {error:?}");
            }
        }
    }
}

/// Rows in which gene g has the rows `runs[g]`, and so many more genes have one nonzero that the mean run
/// is short.
fn with_short_runs(runs: &[Vec<u8>]) -> (Rows, usize) {
    let mut rows: Rows = vec![vec![]; TILE_ROWS];
    for (gene, run) in (0..).zip(runs) {
        run.iter().for_each(|&row| rows[usize::from(row)].push((gene, 1.0 + f32::from(row % 3))));
    }
    let nonzeros: usize = runs.iter().map(Vec::len).sum();
    let genes = runs.len() + nonzeros / 8 + 1;
    (runs.len()..genes).for_each(|gene| rows[gene % TILE_ROWS].push((gene as u32, 1.0)));
    (rows, genes)
}

#[test]
fn rows_of_short_runs_are_packed_and_those_of_long_runs_are_not() {
    let runs: Vec<Vec<u8>> = (1..=TILE_ROWS).map(|length| (0..=255).take(length).collect()).collect();
    let code = |rows: &Rows, genes| Header::parse(&encode(rows, genes).0).unwrap().row_code;
    let (rows, genes) = with_short_runs(&runs);
    assert_eq!(code(&rows, genes), RowCode::Packed);
    assert_round_trip(&rows, genes);
    let long: Rows = rows.iter().map(|row| row.iter().copied().filter(|(gene, _)| *gene < 256).collect()).collect();
    assert_eq!(code(&long, genes), RowCode::Plain);
    assert_eq!(code(&vec![], 0), RowCode::Plain);
    // Runs of 16 in a whole tile, and of five in the last one.
    let row = |row: u32| (0..320).filter(|gene| (row + gene).is_multiple_of(16)).map(|gene| (gene, 1.0)).collect();
    let even: Rows = (0..256).map(row).collect();
    assert_eq!(code(&even, 320), RowCode::Plain);
    assert_eq!(code(&even[..80].to_vec(), 320), RowCode::Plain, "a last tile has the code of the others");
}

#[test]
fn a_bitmap_with_another_number_of_ones_is_refused() {
    for length in [9, 16, 17, 32, 33, 61, 62] {
        let run: Vec<u8> = (0..length).map(|row| 4 * row).collect();
        let (rows, genes) = with_short_runs(&[run]);
        let (bytes, _) = encode(&rows, genes);
        let nonzeros = naive(&rows).len() as u64;
        let start = Header::parse(&bytes).unwrap().sections(genes).unwrap().rows.start;
        for bit in [0, 8, 15] {
            let mut damaged = bytes.clone();
            damaged[start + bit / 8] ^= 1 << (bit % 8);
            let tile = SparseTile::parse(&damaged, rows.len(), genes, nonzeros).unwrap();
            for &level in Level::all() {
                let mut batch = RunBatch::new();
                let error = RunDecoder::with_level(&tile, level).next_batch(&mut batch).unwrap_err();
                assert!(error.to_string().contains("bitmap of a run"), "{error}");
                let error = RunDecoder::with_level(&tile, level).next_sheet(&mut batch).unwrap_err();
                assert!(error.to_string().contains("bitmap of a run"), "{error}");
            }
        }
    }
}

/// Runs whose lengths are where the code of their rows changes, and any others.
fn any_runs() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let length = prop_oneof![
        3 => 1..=70_usize,
        1 => proptest::sample::select(vec![8, 9, 16, 17, 32, 33, 61, 62, 255, 256]),
    ];
    let run = length.prop_flat_map(|length| proptest::sample::subsequence((0..=255).collect::<Vec<u8>>(), length));
    proptest::collection::vec(run, 1..20)
}

fn any_rows() -> impl Strategy<Value = (Rows, usize)> {
    let height = prop_oneof![Just(0usize), Just(1), Just(255), Just(256), 2..255usize];
    let value = prop_oneof![
        4 => (0u32..5000).prop_map(|power| (power as f32 / 1e3).exp().floor()).boxed(),
        1 => Just(1.0f32).boxed(),
        1 => (1u32..=1 << 24).prop_map(|value| value as f32).boxed(),
    ];
    let float = prop_oneof![
        (1u32..40).prop_map(|value| value as f32 * 0.1),
        (-30i32..30).prop_flat_map(|power| (1u32..1 << 24).prop_map(move |v| v as f32 * 10f32.powi(power)))
    ];
    (height, 0usize..200, 0..4u8).prop_flat_map(move |(height, genes, kind)| {
        let value = if kind == 3 { float.clone().boxed() } else { value.clone().boxed() };
        let row = proptest::collection::btree_map(0..genes.max(1) as u32, value, 0..=genes.min(60))
            .prop_map(|row| row.into_iter().collect::<Vec<_>>());
        (proptest::collection::vec(row, height), Just(genes))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn any_tile_comes_back((rows, genes) in any_rows()) {
        assert_round_trip(&rows, genes);
    }

    #[test]
    fn packed_rows_come_back(runs in any_runs()) {
        let (rows, genes) = with_short_runs(&runs);
        prop_assert_eq!(Header::parse(&encode(&rows, genes).0).unwrap().row_code, RowCode::Packed);
        assert_round_trip(&rows, genes);
    }

    /// Without the checksum that the store adds: no panic, nothing outside the tile, and never more
    /// than it says.
    #[test]
    fn damaged_tiles_are_noticed_or_harmless(
        (rows, genes) in prop_oneof![any_rows(), any_runs().prop_map(|runs| with_short_runs(&runs))],
        hits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let nonzeros = naive(&rows).len() as u64;
        let (mut bytes, _) = encode(&rows, genes);
        for (place, byte) in hits {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        // Its own allocation, so that a memory checker detects reads beyond the end.
        let bytes = bytes.into_boxed_slice();
        if let Ok(tile) = SparseTile::parse(&bytes, rows.len(), genes, nonzeros) {
            for &level in Level::all() {
                let mut runs = RunDecoder::with_level(&tile, level);
                let mut batch = RunBatch::new();
                let mut seen = 0;
                while let Ok(true) = runs.next_batch(&mut batch) {
                    prop_assert!(batch.genes.iter().all(|&gene| (gene as usize) < genes));
                    seen += batch.rows.len() as u64;
                }
                prop_assert!(seen <= nonzeros);
                let (mut runs, mut seen) = (RunDecoder::with_level(&tile, level), 0);
                while let Ok(true) = runs.next_sheet(&mut batch) {
                    prop_assert!(batch.genes.iter().all(|&gene| (gene as usize) < genes));
                    seen += batch.rows.len() as u64;
                }
                prop_assert!(seen <= nonzeros);
            }
        }
    }
}
