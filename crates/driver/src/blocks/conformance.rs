//! The promises of [`Blocks`], as a check of every implementation.

use partwise_storage::store::{Layout, SegmentBuf};

use super::{Blocks, RowWeights};
use crate::products::Decoder;

/// Tiles start at multiples of it. The bytes of a tile may count the gap behind it, also behind the last tile of a block.
const TILE_ALIGN: usize = 64;

/// An entry: row of the matrix, gene, bits of the value.
type Entry = (usize, usize, u32);

/// Holds `blocks` to the promises of the trait: the shape adds up, every tile reads the same with
/// any tiles fetched beside it and in any order, and the sums are those of the entries. Reads
/// everything several times, so use it on small matrices.
///
/// # Panics
///
/// When a promise is broken; the message says which.
pub fn hold(blocks: &dyn Blocks) {
    shape_adds_up(blocks);
    let forward: Vec<Vec<Entry>> = (0..blocks.blocks()).map(|block| read_whole(blocks, block)).collect();
    for block in (0..blocks.blocks()).rev() {
        let by_tile: Vec<Entry> =
            (0..blocks.block(block).tiles).rev().flat_map(|tile| read(blocks, block, tile..tile + 1)).collect();
        let mut whole = forward[block].clone();
        let mut tiles = by_tile;
        whole.sort_unstable();
        tiles.sort_unstable();
        assert!(whole == tiles, "block {block}: tiles one by one, backwards, differ from the block read whole");
    }
    let again: Vec<Vec<Entry>> = (0..blocks.blocks()).map(|block| read_whole(blocks, block)).collect();
    assert!(forward == again, "the second reading differs from the first");
    sums_are_those_of_the_entries(blocks, &forward);
}

fn shape_adds_up(blocks: &dyn Blocks) {
    assert!(blocks.cells() > 0 && blocks.genes() > 0, "there are rows and columns");
    assert_eq!(blocks.blocks(), blocks.cells().div_ceil(blocks.block_rows()), "as many blocks as cover the rows");
    assert!(blocks.block_rows().is_multiple_of(blocks.tile_rows()), "a block is whole tiles");
    let mut next = 0;
    for block in 0..blocks.blocks() {
        let info = blocks.block(block);
        assert_eq!(info.first_row, next, "block {block} begins where the one before ends");
        let most = blocks.block_rows();
        assert!(info.rows == most || block + 1 == blocks.blocks(), "block {block} has {} of {most} rows", info.rows);
        assert_eq!(info.tiles, info.rows.div_ceil(blocks.tile_rows()), "tiles of block {block}");
        let bytes: usize = (0..info.tiles).map(|tile| blocks.tile_bytes(block, tile)).sum();
        let whole = info.bytes..info.bytes + TILE_ALIGN;
        assert!(whole.contains(&bytes), "tiles of block {block} have {bytes} bytes, the block has {}", info.bytes);
        if let RowWeights::Each(weights) = blocks.row_weights(block) {
            assert_eq!(weights.len(), info.rows, "a weight for every row of block {block}");
            assert!(weights.iter().all(|weight| weight.is_finite() && *weight > 0.0), "weights of block {block}");
        }
        next += info.rows;
    }
    assert_eq!(next, blocks.cells(), "blocks cover all rows");
    assert_eq!(blocks.gene_sq_norms().len(), blocks.genes(), "a norm for every gene");
}

fn read_whole(blocks: &dyn Blocks, block: usize) -> Vec<Entry> {
    read(blocks, block, 0..blocks.block(block).tiles)
}

/// The entries of some tiles, fetched together, each seen in its parts and as entries.
fn read(blocks: &dyn Blocks, block: usize, tiles: std::ops::Range<usize>) -> Vec<Entry> {
    let (mut buf, mut decoder, mut entries) = (SegmentBuf::new(), Decoder::new(), Vec::new());
    blocks.fetch(block, tiles.clone(), &mut buf).expect("the tiles can be read");
    let info = blocks.block(block);
    for tile in tiles.clone() {
        let first = info.first_row + tile * blocks.tile_rows();
        let rows = blocks.tile_rows().min(info.first_row + info.rows - first);
        let packed = blocks.tile(block, tiles.clone(), tile, &buf).expect("the tile is whole");
        let mut products = decoder.products(packed, blocks.genes());
        assert_eq!(products.rows(), rows, "rows of tile {tile} of block {block}");
        products
            .entries(|row, gene, value| {
                assert!(row < rows && gene < blocks.genes(), "entry {row}, {gene} of tile {tile}");
                assert!(value.is_finite() && value >= 0.0, "value {value} at {}, {gene}", first + row);
                entries.push((first + row, gene, value.to_bits()));
            })
            .expect("the tile decodes");
    }
    entries
}

fn sums_are_those_of_the_entries(blocks: &dyn Blocks, entries: &[Vec<Entry>]) {
    let mut squares = vec![0.0; blocks.genes()];
    let (mut count, mut nonzeros) = (0u64, 0u64);
    for (block, entries) in entries.iter().enumerate() {
        let (first, weights) = (blocks.block(block).first_row, blocks.row_weights(block));
        let mut of_block = 0;
        for &(row, gene, bits) in entries {
            let weight = f64::from(weights.of(row - first));
            squares[gene] += (weight * f64::from(f32::from_bits(bits))).powi(2);
            of_block += u64::from(f32::from_bits(bits) > 0.0);
        }
        count += entries.len() as u64;
        nonzeros += of_block;
    }
    match blocks.layout() {
        Layout::Sparse => assert_eq!((count, nonzeros), (blocks.entries(), blocks.entries()), "stored entries"),
        Layout::Dense => assert_eq!(count, blocks.entries(), "stored entries"),
    }
    for (gene, (&told, &sum)) in blocks.gene_sq_norms().iter().zip(&squares).enumerate() {
        assert!((told - sum).abs() <= 1e-9 * sum, "gene {gene}: squared norm {told}, its entries have {sum}");
    }
}
