//! A computation of one's own, folded over a store: how many genes each cell expresses.
//!
//! ```text
//! cargo run --release --example own_computation -- counts.pw
//! ```

use std::env;
use std::sync::Mutex;

use partwise::driver::blocks::StoreBlocks;
use partwise::driver::comm::{Comm, CommError};
use partwise::driver::engine::{Direction, Engine, Fold, TilePlace, Worker};
use partwise::driver::products::TileProducts;
use partwise::storage::{BlockInfo, TileError};
use partwise::{DriverError, Quiet, Store};

/// Genes with a count above zero, cell by cell: a slot for each block.
struct Expressed {
    blocks: Vec<Mutex<Vec<u32>>>,
}

impl Fold for Expressed {
    type Local = Vec<u32>;

    fn begin(&self, counts: &mut Vec<u32>, _block: usize, info: &BlockInfo) -> Result<(), DriverError> {
        counts.clear();
        counts.resize(info.rows, 0);
        Ok(())
    }

    fn tile(&self, counts: &mut Vec<u32>, tile: &mut TileProducts<'_>, place: &TilePlace) -> Result<(), TileError> {
        tile.entries(|row, _gene, value| counts[place.rows.start + row] += u32::from(value > 0.0))
    }

    fn end(&self, counts: &mut Vec<u32>, block: usize, _info: &BlockInfo) -> Result<(), DriverError> {
        self.blocks[block].lock().expect("no thread panics").clone_from(counts);
        Ok(())
    }

    fn merge(&self, _comm: &dyn Comm) -> Result<(), CommError> {
        Ok(()) // This program is one process.
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = env::args().nth(1).ok_or("usage: own_computation STORE.pw")?;
    let store = Store::open(path.as_ref())?;
    let fold = Expressed { blocks: (0..store.blocks()).map(|_| Mutex::default()).collect() };
    let mut workers = [Worker::default(), Worker::default()];
    let engine = Engine::new(2 << 20, &Quiet);
    engine.pass(&StoreBlocks::new(&store), &fold, &mut workers, Direction::Forward)?;

    let mut genes: Vec<u32> = Vec::new();
    for block in fold.blocks {
        genes.extend(block.into_inner()?);
    }
    genes.sort_unstable();
    println!("{} cells; the median cell expresses {} genes", genes.len(), genes[genes.len() / 2]);
    Ok(())
}
