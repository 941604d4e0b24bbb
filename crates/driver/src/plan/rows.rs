//! The plan of a pass that computes a few numbers for each row, and writes them as it goes or adds them up.

use partwise_kernels::FactorBuf;
use partwise_storage::store::Layout;

use super::SEGMENT_BYTES;
use super::peak::{
    BYTES_PER_GENE, COLUMNS_BYTES, COLUMNS_BYTES_PER_CELL, DENSE_WORKER_BYTES, LATER_BYTES, LEAST_MARGIN, MARGIN,
    RESULT_BYTES, TABLE_BYTES_PER_TILE, WORKER_BYTES,
};
use crate::compute::row_table::Local;
use crate::engine::SEGMENTS;
use crate::error::ConfigError;
use crate::products::Decoder;
use crate::shape::{DataShape, HDF5_BYTES, Machine, RESIDENT};

/// The decisions before such a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RowsPlan {
    /// Workers.
    pub threads: usize,
    /// Bytes of a segment.
    pub segment_bytes: u64,
    /// The forecast of the peak resident size.
    pub peak_bytes: u64,
}

impl RowsPlan {
    /// A plan for k numbers a row of data of this shape, with `factors` tables of genes × k in memory.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Memory`]: one thread with the smallest segments does not fit.
    pub fn new(shape: &DataShape, machine: &Machine, k: usize, factors: usize) -> Result<Self, ConfigError> {
        let peak = |threads: usize, segment: u64| {
            let process = machine.resident.max(RESIDENT) + HDF5_BYTES + LATER_BYTES + RESULT_BYTES;
            let columns = (COLUMNS_BYTES_PER_CELL * shape.cells as u64).min(COLUMNS_BYTES);
            let tables = TABLE_BYTES_PER_TILE * shape.tiles() + BYTES_PER_GENE * shape.genes as u64;
            let known = factors as u64 * FactorBuf::bytes(shape.genes, k) + 48 * (k * k) as u64;
            let dense = if shape.layout == Layout::Dense { DENSE_WORKER_BYTES } else { 0 };
            let rows = shape.block_rows.min(shape.cells);
            let worker = WORKER_BYTES
                + dense
                + Local::bytes(rows, shape.tile_rows, k)
                + Decoder::bytes(shape.genes, shape.max_tile_nonzeros)
                + SEGMENTS as u64 * segment.min(shape.max_block_bytes)
                // Rows in their final scale, on their way to the disk.
                + 4 * (rows * k) as u64;
            let sum = process + columns + tables + known + threads as u64 * worker;
            sum + (sum / MARGIN).max(LEAST_MARGIN)
        };
        RowsPlan::within(shape, machine, peak)
    }

    /// The most threads with the largest segments whose `peak` the budget holds.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Memory`]: one thread with the smallest segments does not fit.
    pub(crate) fn within(
        shape: &DataShape,
        machine: &Machine,
        peak: impl Fn(usize, u64) -> u64,
    ) -> Result<Self, ConfigError> {
        let smallest = shape.max_tile_bytes;
        let most = machine.threads.min(shape.own_blocks()).max(1);
        let segments = [SEGMENT_BYTES, SEGMENT_BYTES / 4, 0].map(|bytes| bytes.max(smallest));
        let choices = (1..=most).rev().flat_map(|threads| segments.map(|segment| (threads, segment)));
        let mut plans = choices.map(|(threads, segment_bytes)| RowsPlan {
            threads,
            segment_bytes,
            peak_bytes: peak(threads, segment_bytes),
        });
        let found = plans.find(|plan| plan.peak_bytes <= machine.memory);
        found.ok_or(ConfigError::Memory { budget: machine.memory, needed: peak(1, smallest), lower_blocks: None })
    }
}
