//! Small matrices with all cases of a store, and their stores.
//!
//! The sparse one has 110 rows × 70 columns in tiles of 40 rows and blocks of 80: counts with
//! outliers and with mapped and listed runs in the first tile, row-scaled values (a dictionary) in
//! the second, plain floats in the third. Column 66 is empty and so is row 5. The dense one has 21
//! rows × 9 columns in tiles of 8 rows and blocks of 16. The shallow one has 150 rows × 250 columns
//! in a tile of 128 rows and a lower one. Half of its runs have one nonzero, so that rows are packed;
//! the first have 128 and fewer.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use partwise_storage::sampling::{Caps, SampledRow};
use partwise_storage::{
    CsrRows, EncodedTile, Layout, Overwrite, Quiet, RunBatch, SegmentBuf, Selection, SourceStamp, StorageError, Store,
    StoreHeader, StoreWriter, Tile, TileEncoder, encode_dense,
};

/// The sample that the sparse store keeps: less than its rows, more than a tile.
const SAMPLE: Caps = Caps { entries: 400, rows: 60 };

/// A matrix and its cut.
pub(crate) struct Planted {
    pub(crate) name: &'static str,
    pub(crate) header: StoreHeader,
    /// Row-major.
    pub(crate) values: Vec<f32>,
}

fn source(name: &str) -> SourceStamp {
    let selection = Selection { layer: Some("counts".into()), ..Selection::default() };
    SourceStamp {
        path: Path::new("/planted").join(name),
        bytes: 12_345,
        modified_ns: 1_700_000_000_123_456_789,
        selection,
        joined: None,
    }
}

/// The sparse matrix.
pub(crate) fn sparse() -> Planted {
    let (cells, genes) = (110, 70);
    let value = |row: usize, gene: usize| -> f32 {
        // Frequent columns first: the first is in nearly every row.
        let there = gene != 66 && row != 5 && (row * 31 + gene * 17) % (gene + 2) < 2;
        match (there, row / 40) {
            (false, _) => 0.0,
            (true, 0) if row * genes + gene == 13 * genes + 1 => 70_000.0,
            (true, 0) if gene == 69 => 16_777_216.0,
            (true, 0) => ((row * gene) % 5 / 2 + 1) as f32,
            (true, 1) => ((row + gene) % 4 + 1) as f32 * 0.37 / (row + 1) as f32,
            (true, _) => (row * genes + gene) as f32 * 0.001 + 1e-20,
        }
    };
    let values = (0..cells * genes).map(|place| value(place / genes, place % genes)).collect();
    let header =
        StoreHeader { cells, genes, layout: Layout::Sparse, block_rows: 80, tile_rows: 40, source: source("sparse") };
    Planted { name: "sparse", header, values }
}

/// The shallow matrix.
pub(crate) fn shallow() -> Planted {
    let (cells, genes) = (150, 250);
    // One gene after the other has fewer rows, 128 down to one.
    let value = |row: usize, gene: usize| -> f32 {
        let there = (row * 61 + gene * 17) % 128 < 128 / (gene + 1) + 1;
        if there { ((row * gene) % 7 / 3 + 1) as f32 } else { 0.0 }
    };
    let values = (0..cells * genes).map(|place| value(place / genes, place % genes)).collect();
    let source = source("shallow");
    let header = StoreHeader { cells, genes, layout: Layout::Sparse, block_rows: 128, tile_rows: 128, source };
    Planted { name: "shallow", header, values }
}

/// The dense matrix.
pub(crate) fn dense() -> Planted {
    let (cells, genes) = (21, 9);
    let values = (0..cells * genes).map(|place| if place % 7 == 0 { 0.0 } else { place as f32 * 0.125 }).collect();
    let header =
        StoreHeader { cells, genes, layout: Layout::Dense, block_rows: 16, tile_rows: 8, source: source("dense") };
    Planted { name: "dense", header, values }
}

impl Planted {
    /// Writes the store `folder`/`name`.
    pub(crate) fn store(&self, folder: &Path) -> PathBuf {
        let path = folder.join(self.name);
        let mut writer = StoreWriter::create(&path, self.header.clone(), Overwrite::Refuse).unwrap();
        let mut encoder = TileEncoder::new();
        for rows in self.values.chunks(self.header.tile_rows * self.header.genes) {
            let mut bytes = Vec::new();
            let moments = match self.header.layout {
                Layout::Dense => encode_dense(rows, self.header.genes, &mut bytes),
                Layout::Sparse => {
                    let (mut indptr, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
                    for row in rows.chunks(self.header.genes) {
                        for (gene, &value) in row.iter().enumerate().filter(|&(_, &value)| value > 0.0) {
                            indices.push(gene as u32);
                            values.push(value);
                        }
                        indptr.push(indices.len());
                    }
                    let rows = CsrRows { indptr: &indptr, indices: &indices, values: &values };
                    encoder.encode(rows, self.header.genes, &mut bytes)
                }
            };
            let nonzeros = rows.iter().filter(|&&value| value > 0.0).count() as u64;
            writer.push_tile(&EncodedTile { bytes, rows: rows.len() / self.header.genes, nonzeros, moments }).unwrap();
        }
        if self.header.layout == Layout::Sparse {
            writer.write_sample(SAMPLE, 2, &Quiet).unwrap();
        }
        std::fs::write(writer.annotations_path(), "names and columns").unwrap();
        writer.finish().unwrap();
        path
    }
}

/// The rows of the sample that a store keeps, with all their values.
pub(crate) fn sample(store: &Store) -> Result<Vec<(SampledRow, Vec<f32>)>, StorageError> {
    let Some(sample) = store.sample()? else { return Ok(Vec::new()) };
    let mut rows: Vec<(SampledRow, Vec<f32>)> =
        sample.rows().iter().map(|&row| (row, vec![0.0; store.genes()])).collect();
    let (mut bytes, mut batch) = (Vec::new(), RunBatch::new());
    for tile in 0..sample.tiles() {
        let rows = &mut rows[sample.rows_of(tile)];
        let packed = sample.read(tile, &mut bytes)?;
        let mut runs = packed.runs();
        // A tile with the right checksum decodes.
        while runs.next_batch(&mut batch).unwrap() {
            let starts = [0].iter().chain(&batch.ends);
            for ((&gene, &start), &end) in batch.genes.iter().zip(starts).zip(&batch.ends) {
                for place in start as usize..end as usize {
                    rows[usize::from(batch.rows[place])].1[gene as usize] = batch.values[place];
                }
            }
        }
    }
    Ok(rows)
}

/// All values of a store, row-major.
pub(crate) fn values(store: &Store) -> Result<Vec<f32>, StorageError> {
    let genes = store.genes();
    let mut values = vec![0.0; store.cells() * genes];
    let (mut buf, mut batch) = (SegmentBuf::new(), RunBatch::new());
    for number in 0..store.blocks() {
        let block = store.block(number);
        let segment = store.read(number, 0..block.tiles, &mut buf)?;
        for tile in 0..block.tiles {
            let row = block.first_row + tile * store.tile_rows();
            match segment.tile(tile)? {
                Tile::Dense(dense) => values[row * genes..][..dense.values.len()].copy_from_slice(dense.values),
                Tile::Sparse(sparse) => {
                    let mut runs = sparse.runs();
                    // A tile with the right checksum decodes.
                    while runs.next_batch(&mut batch).unwrap() {
                        let starts = [0].iter().chain(&batch.ends);
                        for ((&gene, &start), &end) in batch.genes.iter().zip(starts).zip(&batch.ends) {
                            for place in start as usize..end as usize {
                                values[(row + usize::from(batch.rows[place])) * genes + gene as usize] =
                                    batch.values[place];
                            }
                        }
                    }
                }
            }
        }
    }
    Ok(values)
}
