//! A store returns the tiles that were pushed, however it is read, and replaces nothing but a
//! store.

use std::path::Path;

use super::*;
use crate::error::ErrorKind;
use crate::monitor::Quiet;
use crate::tile::{CsrRows, RunBatch, Tile, TileEncoder, encode_dense};

/// rows × genes values, row-major, about one in four above zero; each third row holds fractions.
fn matrix(cells: usize, genes: usize) -> Vec<f32> {
    let mut state = 1u64;
    (0..cells * genes)
        .map(|place| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (row, draw) = (place / genes, state >> 40);
            let value = if draw % 4 == 0 { (draw / 4 % 9 + 1) as f32 } else { 0.0 };
            if row / 256 % 3 == 1 { value * 0.3 } else { value }
        })
        .collect()
}

fn header(cells: usize, genes: usize, layout: Layout, block_rows: usize, tile_rows: usize) -> StoreHeader {
    StoreHeader { cells, genes, layout, block_rows, tile_rows, source: SourceStamp::default() }
}

fn push_all(writer: &mut StoreWriter, header: &StoreHeader, values: &[f32]) -> Result<(), StorageError> {
    let mut encoder = TileEncoder::new();
    for rows in values.chunks(header.genes * header.tile_rows) {
        let mut bytes = Vec::new();
        let height = rows.len() / header.genes;
        let nonzeros = rows.iter().filter(|&&value| value > 0.0).count() as u64;
        let moments = match header.layout {
            Layout::Dense => encode_dense(rows, header.genes, &mut bytes),
            Layout::Sparse => {
                let (mut indptr, mut indices, mut packed) = (vec![0], Vec::new(), Vec::new());
                for row in rows.chunks(header.genes) {
                    for (gene, &value) in row.iter().enumerate().filter(|&(_, &value)| value > 0.0) {
                        indices.push(gene as u32);
                        packed.push(value);
                    }
                    indptr.push(indices.len());
                }
                let rows = CsrRows { indptr: &indptr, indices: &indices, values: &packed };
                encoder.encode(rows, header.genes, &mut bytes)
            }
        };
        writer.push_tile(&EncodedTile { bytes, rows: height, nonzeros, moments })?;
    }
    Ok(())
}

fn build(path: &Path, header: StoreHeader, values: &[f32]) -> Store {
    let mut writer = StoreWriter::create(path, header.clone(), Overwrite::Replace).unwrap();
    push_all(&mut writer, &header, values).unwrap();
    writer.finish().unwrap()
}

/// The matrix of a store, read in segments of `tiles` tiles.
fn read_all(store: &Store, tiles: usize) -> Vec<f32> {
    let genes = store.genes();
    let mut values = vec![0.0; store.cells() * genes];
    let (mut buf, mut batch) = (SegmentBuf::new(), RunBatch::new());
    for number in 0..store.blocks() {
        let block = store.block(number);
        for first in (0..block.tiles).step_by(tiles) {
            let last = (first + tiles).min(block.tiles);
            let segment = store.read(number, first..last, &mut buf).unwrap();
            for tile in first..last {
                let row = block.first_row + tile * store.tile_rows();
                match segment.tile(tile).unwrap() {
                    Tile::Dense(dense) => {
                        values[row * genes..][..dense.values.len()].copy_from_slice(dense.values);
                    }
                    Tile::Sparse(sparse) => {
                        let mut runs = sparse.runs();
                        while runs.next_batch(&mut batch).unwrap() {
                            let mut start = 0;
                            for (&gene, &end) in batch.genes.iter().zip(&batch.ends) {
                                for place in start..end as usize {
                                    let row = row + usize::from(batch.rows[place]);
                                    values[row * genes + gene as usize] = batch.values[place];
                                }
                                start = end as usize;
                            }
                        }
                    }
                }
            }
        }
    }
    values
}

fn cuts() -> Vec<StoreHeader> {
    vec![
        header(1, 1, Layout::Sparse, 256, 256),
        header(700, 40, Layout::Sparse, 512, 256),
        header(256, 65, Layout::Sparse, 256, 256),
        header(90, 40, Layout::Sparse, 30, 10),
        header(1, 1, Layout::Dense, 256, 256),
        header(301, 17, Layout::Dense, 64, 16),
    ]
}

#[test]
fn values_come_back_however_they_are_read() {
    let folder = tempfile::tempdir().unwrap();
    for header in cuts() {
        let values = matrix(header.cells, header.genes);
        let mut store = build(&folder.path().join("a.pw"), header.clone(), &values);
        for tiles in [1, 2, 100] {
            assert!(read_all(&store, tiles) == values, "{header:?} in segments of {tiles}");
        }
        // SAFETY: the files are this test's own.
        unsafe { store.map() }.unwrap();
        assert!(read_all(&store, 2) == values, "{header:?} mapped");
    }
}

#[test]
fn numbers_of_a_store_are_those_of_its_matrix() {
    let folder = tempfile::tempdir().unwrap();
    for header in cuts() {
        let values = matrix(header.cells, header.genes);
        let store = build(&folder.path().join("a.pw"), header.clone(), &values);
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-12 * b.abs();
        let count = values.iter().filter(|&&value| value > 0.0).count() as u64;
        let squares = |values: &mut dyn Iterator<Item = f32>| values.map(|value| f64::from(value).powi(2)).sum::<f64>();
        let summary = store.summary();
        assert_eq!((summary.cells, summary.genes, summary.nonzeros), (header.cells, header.genes, count));
        assert_eq!(summary.integer, header.cells <= 256);
        assert_eq!(summary.max, values.iter().copied().fold(0.0, f32::max));
        assert!(close(summary.sum, values.iter().map(|&value| f64::from(value)).sum()));
        assert!(close(store.sq_norm(), squares(&mut values.iter().copied())));
        let on_disk: u64 =
            std::fs::read_dir(store.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
        assert_eq!(summary.bytes, on_disk);
        for (gene, moments) in store.gene_moments().iter().enumerate() {
            let column = || values[gene..].iter().step_by(header.genes).copied();
            assert_eq!(moments.nonzeros, column().filter(|&value| value > 0.0).count() as u64);
            assert!(close(moments.sum_sq, squares(&mut column())));
        }
        let cells = store.cell_moments(0..header.cells).unwrap();
        for (cell, row) in cells.iter().zip(values.chunks(header.genes)) {
            assert!(close(cell.sum, row.iter().map(|&value| f64::from(value)).sum()));
        }
        let report = store.verify(&Quiet).unwrap();
        assert_eq!((report.nonzeros, report.bytes, report.blocks), (count, on_disk, store.blocks()));
    }
}

#[test]
fn a_store_is_shared_between_threads_and_buffers_go_from_one_to_another() {
    fn shared<T: Send + Sync>() {}
    shared::<Store>();
    shared::<Segment<'static>>();
    shared::<SegmentBuf>();
    shared::<RunBatch>();
}

#[test]
fn a_store_of_no_rows_is_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = build(&folder.path().join("a.pw"), header(0, 7, Layout::Sparse, 256, 256), &[]);
    assert_eq!((store.blocks(), store.nonzeros(), store.max_tile_bytes()), (0, 0, 0));
    assert_eq!(store.gene_moments().len(), 7);
    store.verify(&Quiet).unwrap();
}

#[test]
fn blocks_go_to_a_new_file_when_one_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let header = header(700, 40, Layout::Sparse, 256, 256);
    let values = matrix(header.cells, header.genes);
    let mut writer = StoreWriter::create(&folder.path().join("a.pw"), header.clone(), Overwrite::Refuse).unwrap();
    writer.limit_block_files(5000);
    push_all(&mut writer, &header, &values).unwrap();
    let store = writer.finish().unwrap();
    assert_eq!(store.block_files.len(), 2);
    assert!(read_all(&store, 1) == values);
    store.verify(&Quiet).unwrap();
}

#[test]
fn nothing_is_at_the_destination_before_the_end_or_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pw");
    let header = header(700, 40, Layout::Sparse, 256, 256);
    let values = matrix(header.cells, header.genes);
    let mut writer = StoreWriter::create(&path, header.clone(), Overwrite::Refuse).unwrap();
    push_all(&mut writer, &header, &values[..256 * 40]).unwrap();
    assert_eq!(Store::open(&path).unwrap_err().kind(), ErrorKind::NotFound);
    drop(writer);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_store_takes_the_place_of_another_only_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pw");
    let small = header(1, 1, Layout::Sparse, 256, 256);
    build(&path, small.clone(), &matrix(1, 1));
    let error = StoreWriter::create(&path, small, Overwrite::Refuse).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Exists);
    let header = header(90, 40, Layout::Sparse, 30, 10);
    let store = build(&path, header, &matrix(90, 40));
    assert_eq!(store.cells(), 90);
    assert_eq!(Store::open(&path).unwrap().cells(), 90);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn what_is_no_store_is_called_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str| Store::open(&folder.path().join(name)).unwrap_err();
    assert_eq!(open("none").kind(), ErrorKind::NotFound);
    std::fs::write(folder.path().join("file"), "x").unwrap();
    assert!(open("file").to_string().contains("it is a file"), "{}", open("file"));
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    assert!(matches!(open("empty"), StorageError::NotAStore { .. }));
    std::fs::create_dir(folder.path().join("half")).unwrap();
    std::fs::write(folder.path().join("half/table.bin"), "x").unwrap();
    assert!(matches!(open("half"), StorageError::Unfinished { .. }));
}

#[test]
fn annotations_are_kept_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pw");
    let header = header(1, 1, Layout::Sparse, 256, 256);
    let mut writer = StoreWriter::create(&path, header.clone(), Overwrite::Refuse).unwrap();
    std::fs::write(writer.annotations_path(), "names").unwrap();
    push_all(&mut writer, &header, &[2.0]).unwrap();
    let store = writer.finish().unwrap();
    assert_eq!(std::fs::read(store.annotations().unwrap()).unwrap(), b"names");
    std::fs::write(path.join("annotations.h5ad"), "nameS").unwrap();
    assert_eq!(store.annotations().unwrap_err().kind(), ErrorKind::BadData);
}

#[test]
fn the_fingerprint_is_that_of_the_content() {
    let folder = tempfile::tempdir().unwrap();
    let mut values = matrix(700, 40);
    let at = |name: &str, block_rows, values: &[f32]| {
        build(&folder.path().join(name), header(700, 40, Layout::Sparse, block_rows, 256), values).fingerprint()
    };
    let first = at("a.pw", 256, &values);
    assert_eq!(at("b.pw", 256, &values), first);
    assert_ne!(at("c.pw", 512, &values), first);
    values[123] += 1.0;
    assert_ne!(at("d.pw", 256, &values), first);
}

#[test]
fn a_damaged_tile_is_named_by_file_block_and_rows() {
    let folder = tempfile::tempdir().unwrap();
    let store = build(&folder.path().join("a.pw"), header(700, 40, Layout::Sparse, 512, 256), &matrix(700, 40));
    let path = folder.path().join("a.pw/blocks-00000.bin");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[store.tile_place(0, 1).start as usize + 100] ^= 4;
    std::fs::write(&path, bytes).unwrap();
    let mut buf = SegmentBuf::new();
    let segment = store.read(0, 0..2, &mut buf).unwrap();
    segment.tile(0).unwrap();
    let text = segment.tile(1).unwrap_err().to_string();
    assert!(text.contains("blocks-00000.bin: block 0 is damaged at rows 256 to 511: its checksum should be"), "{text}");
}

#[test]
fn selected_genes_are_the_columns_of_the_matrix_and_their_sums() {
    let folder = tempfile::tempdir().unwrap();
    for header in cuts() {
        let values = matrix(header.cells, header.genes);
        let store = build(&folder.path().join("a.pw"), header.clone(), &values);
        let mut genes = fixedbitset::FixedBitSet::with_capacity(header.genes);
        (0..header.genes).filter(|gene| gene % 3 != 1).for_each(|gene| genes.insert(gene));
        let dest = folder.path().join("b.pw");
        let mut files = Vec::new();
        for threads in [1, 3] {
            let copy = select_genes(&store, &genes, (&dest, Overwrite::Replace), threads, &Quiet).unwrap();
            let expected: Vec<f32> =
                values.chunks(header.genes).flat_map(|row| genes.ones().map(|gene| row[gene])).collect();
            assert!(read_all(&copy, 2) == expected, "{header:?}");
            let sums: Vec<_> = genes.ones().map(|gene| store.gene_moments()[gene]).collect();
            assert_eq!(copy.gene_moments(), sums);
            assert!(copy.annotations().is_err());
            let bytes = std::fs::read(dest.join(names::block_file(0))).unwrap();
            files.push((bytes, std::fs::read(dest.join(names::GENES)).unwrap()));
        }
        assert!(files[0] == files[1], "{header:?}: the same bytes on any number of threads");
    }
}

#[test]
fn selecting_from_a_damaged_store_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let cut = header(700, 40, Layout::Sparse, 512, 256);
    let store = build(&folder.path().join("a.pw"), cut, &matrix(700, 40));
    let path = folder.path().join("a.pw").join(names::block_file(0));
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let mut genes = fixedbitset::FixedBitSet::with_capacity(40);
    genes.insert_range(..20);
    let dest = folder.path().join("b.pw");
    let error = select_genes(&store, &genes, (&dest, Overwrite::Refuse), 2, &Quiet).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadData);
    assert!(!dest.exists());
}
