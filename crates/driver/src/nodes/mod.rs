//! The time of a pass on many nodes, one process each, and the number beyond which more do not
//! help.
//!
//! ```text
//! seconds = max(folding, reading) of the slowest node + meeting + adding up the sums + update of H
//! ```
//!
//! - **Folding** is the time that the probe measured, for the stored entries of a node's shard.
//!   Shards are cut as a fit cuts them, into whole blocks, and threads take whole blocks: if a node
//!   has fewer blocks than threads, some threads are idle.
//! - **Reading** covers the part of a shard that the node's memory does not keep, at the rate of
//!   its disk, and the reads of all nodes together at the rate of a disk that they share, if they
//!   do.
//! - **Meeting**: when all are done, one sum tells them whether one was interrupted.
//! - **Adding up** is one sum of WᵀX and WᵀW, 8·(m·ks + k²) bytes with ks the k padded to whole
//!   vectors ([`Network`]).
//! - **The update of H** is made by every node alike, so it does not get shorter.
//!
//! The model is pure: its knowledge of the machine was measured before. It does not know of nodes
//! that differ, nor of other work on them or on the network.

mod network;
#[cfg(test)]
mod tests;

use std::ops::Range;

use partwise_kernels::stride;
use partwise_storage::Store;
use partwise_storage::store::{BlockInfo, Layout};

pub use network::{Network, PIECE_BYTES, measure_adding};

use crate::error::ConfigError;
use crate::plan::Execution;
use crate::probe::{PassTime, uneven};
use crate::shape::DataShape;
use crate::shard::{shards_of, work};

/// If twice the nodes make a pass shorter by a smaller factor, more of them are not worth having.
const WORTHWHILE: f64 = 1.5;
/// A part of a pass that is smaller than this is no limit.
const NEGLIGIBLE: f64 = 0.05;

/// The machines that a fit is to run on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cluster {
    /// What connects them.
    pub network: Network,
    /// Bytes a second that a node reads from its disk; `None`: as many as the probe was read with.
    pub disk: Option<f64>,
    /// Bytes a second that all nodes together read from a disk that they share; `None`: each has
    /// its own.
    pub shared_disk: Option<f64>,
}

/// What a node does in a pass over its part of a matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Workers.
    pub threads: usize,
    /// Threads of the loops over genes between passes.
    pub pool_threads: usize,
    /// Bytes that each pass after the first reads.
    pub read_bytes: u64,
    /// The forecast of the peak resident size.
    pub peak_bytes: u64,
}

impl From<&Execution> for Node {
    fn from(execution: &Execution) -> Self {
        Node {
            threads: execution.threads,
            pool_threads: execution.pool_threads,
            read_bytes: execution.read_bytes(),
            peak_bytes: execution.peak_bytes,
        }
    }
}

/// Decides what a node does that has this part of the matrix.
pub type PlanOfNode<'a> = dyn Fn(&DataShape) -> Result<Node, ConfigError> + 'a;

/// Passes over one matrix, to be predicted on any number of nodes.
pub struct Nodes<'a> {
    /// The matrix.
    pub shape: &'a DataShape,
    /// How a node goes about a part of it.
    pub plan: &'a PlanOfNode<'a>,
    /// The same for all of it.
    pub alone: Node,
    /// The time of a pass there.
    pub time: PassTime,
    /// Bytes that each process gives to the sum of a pass ([`summed_bytes`]).
    pub summed_bytes: u64,
    /// Its blocks ([`blocks_of`], [`blocks_foreseen`]).
    pub blocks: &'a [BlockInfo],
    /// The network and the disks.
    pub cluster: Cluster,
}

/// A pass on some number of nodes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OnNodes {
    /// How many.
    pub nodes: usize,
    /// Cells of the node that has most.
    pub cells: usize,
    /// Blocks of the node that has most.
    pub blocks: usize,
    /// Seconds of the pass.
    pub seconds: f64,
    /// Seconds of the slowest node's arithmetic on its blocks.
    pub folding: f64,
    /// Seconds of the slowest node's reading, at the same time.
    pub reading: f64,
    /// Seconds from the moment that the slowest node is done until all know it.
    pub joining: f64,
    /// Seconds in which the sums are added up over the network.
    pub summing: f64,
    /// Seconds of the update of H.
    pub update: f64,
    /// Time of one node over the time of all of these together: 1 if nothing is lost.
    pub efficiency: f64,
    /// Peak resident bytes of a node's process.
    pub peak_bytes: u64,
    /// The largest part of the pass besides computing, evenly shared.
    pub limit: Limit,
}

/// The limit of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// The arithmetic, with all threads of all nodes busy. More nodes help.
    Computing,
    /// A node's disk. More nodes help.
    Disk,
    /// The disk that all nodes share.
    SharedDisk,
    /// Blocks are too few for so many nodes and threads, or too uneven.
    Blocks,
    /// Adding up the sums.
    Network,
    /// The update of H, which every node makes.
    Update,
}

/// Where nodes stop helping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// Twice as many make a pass shorter by less than a factor of 1.5.
    pub nodes: usize,
    /// The limit then.
    pub limit: Limit,
}

/// Bytes that each process gives to the sum of a pass: WᵀX and WᵀW of every fit of k = `ks` components over
/// `genes` genes.
pub fn summed_bytes(genes: usize, ks: impl IntoIterator<Item = usize>) -> u64 {
    ks.into_iter().map(|k| 8 * (genes * stride(k) + k * k) as u64).sum()
}

/// The blocks of a store.
pub fn blocks_of(store: &Store) -> Vec<BlockInfo> {
    (0..store.blocks()).map(|block| store.block(block)).collect()
}

/// The blocks of a store that does not exist yet: all alike but the last.
pub fn blocks_foreseen(shape: &DataShape) -> Vec<BlockInfo> {
    let of_rows = |total: u64, rows: usize| (u128::from(total) * rows as u128 / shape.cells.max(1) as u128) as u64;
    (0..shape.cells)
        .step_by(shape.block_rows.max(1))
        .map(|first_row| {
            let rows = shape.block_rows.min(shape.cells - first_row);
            BlockInfo {
                first_row,
                rows,
                tiles: rows.div_ceil(shape.tile_rows),
                bytes: of_rows(shape.packed_bytes, rows) as usize,
                nonzeros: of_rows(shape.nonzeros, rows),
            }
        })
        .collect()
}

/// The part of one node, or the most that any has.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    blocks: usize,
    cells: usize,
    nonzeros: u64,
    bytes: u64,
}

impl Nodes<'_> {
    /// Nodes beyond these have no block.
    pub fn largest_useful(&self) -> usize {
        self.blocks.len()
    }

    /// A pass on `nodes` nodes. Costs O(blocks + nodes).
    ///
    /// # Errors
    ///
    /// [`ConfigError::Memory`]: the part of a node exceeds its budget.
    pub fn on(&self, nodes: usize) -> Result<OnNodes, ConfigError> {
        let alone = self.pass(1)?;
        let pass = self.pass(nodes)?;
        Ok(OnNodes { efficiency: alone.seconds / (nodes as f64 * pass.seconds), ..pass })
    }

    /// Passes on 1, 2, 4, … nodes: up to `nodes`, and as far beyond that the last row shows how
    /// little doubling then helps; and the number where doubling stops to help.
    ///
    /// # Errors
    ///
    /// As for [`on`](Self::on).
    pub fn table(&self, nodes: usize) -> Result<(Vec<OnNodes>, Stop), ConfigError> {
        let mut rows = vec![self.on(1)?];
        let mut stop: Option<Stop> = None;
        loop {
            let last = rows[rows.len() - 1];
            if let Some(stop) = stop
                && last.nodes >= nodes.max(2 * stop.nodes)
            {
                return Ok((rows, stop));
            }
            let double = self.on(2 * last.nodes)?;
            let brings_little = last.seconds < WORTHWHILE * double.seconds;
            if stop.is_none() && (brings_little || last.nodes >= self.largest_useful()) {
                stop = Some(Stop { nodes: last.nodes, limit: double.limit });
            }
            if last.nodes < nodes && nodes < double.nodes {
                rows.push(self.on(nodes)?);
            }
            rows.push(double);
        }
    }

    fn pass(&self, nodes: usize) -> Result<OnNodes, ConfigError> {
        let parts = shards_of(self.blocks.len(), &|block| work(&self.blocks[block]), nodes);
        let parts = parts.into_iter().map(|range| self.of(range));
        let most = parts.clone().fold(Part::default(), Part::most);
        let node = self.node_of(&most)?;

        let fewer = self.alone.threads as f64 / node.threads as f64;
        let even = self.even_folding() / nodes as f64;
        let folding = parts
            .map(|part| {
                self.even_folding() * self.fraction(part.nonzeros, part.cells) * uneven(part.blocks, node.threads)
            })
            .fold(0.0, f64::max)
            * fewer;
        let readers = nodes.min(self.largest_useful());
        let own_disk = self.cluster.disk.or(self.time.rate).map_or(0.0, |rate| node.read_bytes as f64 / rate);
        let shared_disk = self.cluster.shared_disk.map_or(0.0, |rate| readers as f64 * node.read_bytes as f64 / rate);
        let reading = own_disk.max(shared_disk);
        let joining = self.cluster.network.meeting(nodes);
        let summing = self.cluster.network.summing(nodes, self.summed_bytes);
        let update = self.time.update * self.alone.pool_threads as f64 / node.pool_threads as f64;
        let seconds = folding.max(reading) + joining + summing + update;

        let disk = if shared_disk > own_disk { Limit::SharedDisk } else { Limit::Disk };
        let parts = [
            (reading - folding, disk),
            (folding - even, Limit::Blocks),
            (joining + summing, Limit::Network),
            (update, Limit::Update),
        ];
        let (largest, what) = parts.into_iter().max_by(|a, b| a.0.total_cmp(&b.0)).expect("there are four");
        let limit = if largest >= NEGLIGIBLE * seconds { what } else { Limit::Computing };
        Ok(OnNodes {
            nodes,
            cells: most.cells,
            blocks: most.blocks,
            seconds,
            folding,
            reading,
            joining,
            summing,
            update,
            efficiency: 1.0,
            peak_bytes: node.peak_bytes,
            limit,
        })
    }

    fn of(&self, range: Range<usize>) -> Part {
        let blocks = &self.blocks[range];
        Part {
            blocks: blocks.len(),
            cells: blocks.iter().map(|block| block.rows).sum(),
            nonzeros: blocks.iter().map(|block| block.nonzeros).sum(),
            bytes: blocks.iter().map(|block| block.bytes as u64).sum(),
        }
    }

    /// Seconds of the whole fold if every thread of one node were busy to the end.
    fn even_folding(&self) -> f64 {
        self.time.folding / uneven(self.blocks.len(), self.alone.threads)
    }

    /// Which fraction of all stored entries a part has.
    fn fraction(&self, nonzeros: u64, cells: usize) -> f64 {
        match self.shape.layout {
            Layout::Sparse => {
                nonzeros as f64 / self.blocks.iter().map(|block| block.nonzeros).sum::<u64>().max(1) as f64
            }
            Layout::Dense => cells as f64 / self.shape.cells.max(1) as f64,
        }
    }

    /// What a node does that has this part.
    fn node_of(&self, part: &Part) -> Result<Node, ConfigError> {
        (self.plan)(&DataShape { own_cells: part.cells, own_bytes: part.bytes, ..*self.shape })
    }
}

impl Part {
    fn most(self, other: Part) -> Part {
        Part {
            blocks: self.blocks.max(other.blocks),
            cells: self.cells.max(other.cells),
            nonzeros: self.nonzeros.max(other.nonzeros),
            bytes: self.bytes.max(other.bytes),
        }
    }
}
