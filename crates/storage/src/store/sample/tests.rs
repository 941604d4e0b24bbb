//! The sample of a store has the rows that the draw tells, as they are, however it was written.

use std::path::Path;

use super::*;
use crate::monitor::Quiet;
use crate::sampling::{Population, RowWeight, draw};
use crate::store::{EncodedTile, Overwrite, SourceStamp, StoreHeader, StoreWriter, reblock};
use crate::tile::{CsrRows, RunBatch, TileEncoder};

const GENES: usize = 40;

/// Counts, row-major: rows get heavier, and one in seven is empty.
fn matrix(cells: usize) -> Vec<f32> {
    let mut state = 5u64;
    let mut value = |place: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (row, luck) = (place / GENES, state >> 40);
        let there = !row.is_multiple_of(7) && luck % 3 == 0;
        if there { (luck / 3 % (2 + row as u64 / 100)) as f32 + 1.0 } else { 0.0 }
    };
    (0..cells * GENES).map(&mut value).collect()
}

fn build(path: &Path, values: &[f32], block_rows: usize, caps: Caps, threads: usize) -> Store {
    let cells = values.len() / GENES;
    let header = StoreHeader {
        cells,
        genes: GENES,
        layout: Layout::Sparse,
        block_rows,
        tile_rows: 256,
        source: SourceStamp::default(),
    };
    let mut writer = StoreWriter::create(path, header, Overwrite::Refuse).unwrap();
    // Several block files.
    writer.limit_block_files(1);
    for rows in values.chunks(256 * GENES) {
        let (mut indptr, mut indices, mut found) = (vec![0], Vec::new(), Vec::new());
        for row in rows.chunks(GENES) {
            let nonzeros = row.iter().enumerate().filter(|&(_, &value)| value > 0.0);
            nonzeros.for_each(|(gene, &value)| {
                indices.push(gene as u32);
                found.push(value);
            });
            indptr.push(indices.len());
        }
        let (mut bytes, rows) = (Vec::new(), rows.len() / GENES);
        let csr = CsrRows { indptr: &indptr, indices: &indices, values: &found };
        let moments = TileEncoder::new().encode(csr, GENES, &mut bytes);
        writer.push_tile(&EncodedTile { bytes, rows, nonzeros: found.len() as u64, moments }).unwrap();
    }
    writer.write_sample(caps, threads, &Quiet).unwrap();
    writer.finish().unwrap()
}

/// The rows of the sample, with all their values.
fn rows_of(sample: &KeptSample) -> Vec<Vec<f32>> {
    let mut rows = vec![vec![0.0; GENES]; sample.rows().len()];
    let (mut bytes, mut batch) = (Vec::new(), RunBatch::new());
    for tile in 0..sample.tiles() {
        let first = sample.rows_of(tile).start;
        let packed = sample.read(tile, &mut bytes).unwrap();
        let mut runs = packed.runs();
        while runs.next_batch(&mut batch).unwrap() {
            let mut start = 0;
            for (&gene, &end) in batch.genes.iter().zip(&batch.ends) {
                for at in start..end as usize {
                    rows[first + usize::from(batch.rows[at])][gene as usize] = batch.values[at];
                }
                start = end as usize;
            }
        }
    }
    rows
}

#[test]
fn it_has_the_rows_that_the_draw_tells() {
    let folder = tempfile::tempdir().unwrap();
    let values = matrix(3000);
    for caps in [Caps { entries: 9000, rows: 3000 }, Caps { entries: 1 << 30, rows: 500 }] {
        let path = folder.path().join(format!("{}.pw", caps.rows));
        let store = build(&path, &values, 512, caps, 3);
        let sample = store.sample().unwrap().unwrap();
        let mut moments = |rows| store.cell_moments(rows);
        let population =
            Population { cells: 3000, sq_norm: 1.0, moments: &mut moments, entries: &|moments| moments.nonzeros };
        let drawn = draw(population, RowWeight::SquaredNorm, caps, gather::SEED).unwrap();
        let rows = drawn.rows.len();
        assert!(sample.rows().len() == rows && (300..1000).contains(&rows) && sample.nonzeros() <= caps.entries);
        for (row, chance) in drawn.rows.iter().zip(drawn.chances(rows)) {
            let at = sample.rows().binary_search_by_key(&row.cell, |row| row.cell).unwrap();
            let found = sample.rows()[at];
            assert_eq!((found.chance, found.nonzeros), (chance, row.entries));
            assert_eq!(found.sum_sq, store.cell_moments(row.cell..row.cell + 1).unwrap()[0].sum_sq);
        }
        for (row, found) in sample.rows().iter().zip(rows_of(&sample)) {
            assert_eq!(found, values[row.cell * GENES..(row.cell + 1) * GENES], "row {}", row.cell);
        }
        store.verify(&Quiet).unwrap();
    }
}

#[test]
fn threads_and_blocks_do_not_show_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let (values, caps) = (matrix(2000), Caps { entries: 12_000, rows: 2000 });
    let mut files = Vec::new();
    for (i, (block_rows, threads)) in [(256, 1), (256, 2), (1024, 7), (512, 64)].into_iter().enumerate() {
        let path = folder.path().join(format!("{i}.pw"));
        build(&path, &values, block_rows, caps, threads);
        files.push(std::fs::read(path.join(names::SAMPLE)).unwrap());
    }
    assert!(files.iter().all(|file| *file == files[0]));
}

#[test]
fn a_small_store_keeps_none_and_neither_does_a_dense_one() {
    assert_eq!(kept_caps(Layout::Sparse, WORTH_A_SAMPLE - 1), None);
    assert_eq!(kept_caps(Layout::Dense, 1 << 40), None);
    let entries = |nonzeros| kept_caps(Layout::Sparse, nonzeros).unwrap().entries;
    assert_eq!([30_000_000, 160_000_000, 1 << 40].map(entries), [4_000_000, 10_000_000, 16_000_000]);
    // One of a writer that was told to is not copied either: the copy is as of a conversion.
    let folder = tempfile::tempdir().unwrap();
    let store = build(&folder.path().join("a.pw"), &matrix(600), 512, Caps { entries: 1000, rows: 100 }, 1);
    assert!(store.keeps_sample());
    let copy = reblock(&store, &folder.path().join("b.pw"), 256, Overwrite::Refuse, &Quiet).unwrap();
    assert!(!copy.keeps_sample() && copy.sample().unwrap().is_none());
}

#[test]
fn it_serves_samples_that_are_smaller_by_a_third() {
    let folder = tempfile::tempdir().unwrap();
    let store = build(&folder.path().join("a.pw"), &matrix(2000), 512, Caps { entries: 6000, rows: 2000 }, 1);
    let sample = store.sample().unwrap().unwrap();
    let (entries, rows) = (sample.nonzeros(), sample.rows().len());
    assert!(sample.suffices(Caps { entries: entries / 3 * 2, rows: usize::MAX }));
    assert!(!sample.suffices(Caps { entries: entries / 3 * 2 + 2, rows: usize::MAX }));
    assert!(sample.suffices(Caps { entries: u64::MAX, rows: rows / 3 * 2 }));
}

#[test]
fn a_row_that_cannot_be_is_refused_where_all_checksums_are_right() {
    let folder = tempfile::tempdir().unwrap();
    let store = build(&folder.path().join("a.pw"), &matrix(600), 512, Caps { entries: 1000, rows: 100 }, 1);
    let path = store.path().join(names::SAMPLE);
    let whole = std::fs::read(&path).unwrap();
    let sample = store.sample().unwrap().unwrap();
    let head = head_bytes(sample.rows().len(), sample.tiles()) as usize;
    // Chances of 0, 2 and NaN, and a sum of squares of 0, in the first record.
    for (place, value) in [(16, 0.0_f64), (16, 2.0), (16, f64::NAN), (8, 0.0)] {
        let mut bytes = whole.clone();
        bytes[HEADER + place..HEADER + place + 8].copy_from_slice(&value.to_le_bytes());
        std::fs::write(&path, &bytes).unwrap();
        let stamp = FileStamp { bytes: bytes.len() as u64, crc32c: crc32c::crc32c(&bytes[..head]) };
        let error = KeptSample::open(store.path(), &store.cut, stamp).unwrap_err().to_string();
        assert!(error.contains("sample.bin") && error.contains("records of its rows"), "{error}");
    }
}

#[test]
fn a_matrix_of_zeros_has_a_sample_without_rows() {
    let folder = tempfile::tempdir().unwrap();
    let store = build(&folder.path().join("a.pw"), &vec![0.0; 300 * GENES], 256, Caps { entries: 10, rows: 10 }, 2);
    let sample = store.sample().unwrap().unwrap();
    assert_eq!((sample.rows().len(), sample.tiles()), (0, 0));
    store.verify(&Quiet).unwrap();
}
