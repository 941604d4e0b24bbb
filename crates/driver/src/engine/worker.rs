//! One worker of a pass: a compute thread and the reader ahead of it.

use std::ops::Range;
use std::thread::{Builder, Scope};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use partwise_storage::store::{BlockInfo, SegmentBuf};
use tracing::info_span;

use super::fold::{Fold, TilePlace, Worker};
use super::{Pass, SEGMENTS};
use crate::error::DriverError;

/// Consecutive wanted tiles of one block, read. `last` closes the block.
struct Filled {
    block: usize,
    tiles: Range<usize>,
    last: bool,
    buf: SegmentBuf,
}

/// A worker over data in memory: no reader, every tile where it lies.
pub(super) fn resident<F: Fold>(pass: &Pass<'_, F>, worker: &mut Worker<F::Local>) {
    let _guard = pass.halt_on_panic();
    let nowhere = SegmentBuf::default();
    while let Some(block) = pass.next_block() {
        let info = pass.data.block(block);
        let segments = segments(pass, block, &info);
        let last = segments.len().saturating_sub(1);
        for (i, tiles) in segments.into_iter().enumerate() {
            if let Err(error) = fold_tiles(pass, worker, block, tiles, i == 0, i == last, &nowhere) {
                return pass.halt(error);
            }
            if pass.stopping() {
                return;
            }
        }
    }
}

/// A worker over data on disk: spawns its reader and its compute thread.
pub(super) fn streaming<'scope, 'env, F: Fold>(
    pass: &'scope Pass<'_, F>,
    worker: &'scope mut Worker<F::Local>,
    scope: &'scope Scope<'scope, 'env>,
) -> Result<(), DriverError> {
    let (filled_in, filled_out) = bounded::<Filled>(SEGMENTS);
    let (empty_in, empty_out) = bounded::<SegmentBuf>(SEGMENTS);
    for _ in 0..SEGMENTS {
        empty_in.send(SegmentBuf::default()).expect("the ring holds all its buffers");
    }
    spawn(scope, "reader", move || read_ahead(pass, &empty_out, &filled_in))?;
    spawn(scope, "worker", move || compute(pass, worker, &filled_out, &empty_in))
}

/// Starts a thread of the pass.
pub(super) fn spawn<'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() + Send + 'scope,
) -> Result<(), DriverError> {
    match Builder::new().name(name.into()).spawn_scoped(scope, work) {
        Ok(_) => Ok(()),
        Err(error) => Err(DriverError::Threads { message: error.to_string() }),
    }
}

/// Takes blocks from the queue and reads their segments until none are left or the compute thread
/// has ended.
fn read_ahead<F: Fold>(pass: &Pass<'_, F>, empty: &Receiver<SegmentBuf>, filled: &Sender<Filled>) {
    let _guard = pass.halt_on_panic();
    while let Some(block) = pass.next_block() {
        let info = pass.data.block(block);
        let segments = segments(pass, block, &info);
        let last = segments.len().saturating_sub(1);
        for (i, tiles) in segments.into_iter().enumerate() {
            let Ok(mut buf) = empty.recv() else { return };
            let fetched = {
                let _span = info_span!("read", block).entered();
                pass.data.fetch(block, tiles.clone(), &mut buf)
            };
            if let Err(error) = fetched {
                return pass.halt(error);
            }
            if filled.send(Filled { block, tiles, last: i == last, buf }).is_err() {
                return;
            }
        }
    }
}

/// Folds the segments of the reader, in order.
fn compute<F: Fold>(
    pass: &Pass<'_, F>,
    worker: &mut Worker<F::Local>,
    filled: &Receiver<Filled>,
    empty: &Sender<SegmentBuf>,
) {
    let _guard = pass.halt_on_panic();
    let mut open = false;
    while let Some(Filled { block, tiles, last, buf }) = next_segment(pass, filled) {
        if let Err(error) = fold_tiles(pass, worker, block, tiles, !open, last, &buf) {
            return pass.halt(error);
        }
        open = !last;
        if pass.stopping() {
            return;
        }
        // The reader may have finished; then nothing needs the buffer.
        let _ = empty.send(buf);
    }
}

/// The next segment, or `None` once the reader has ended. Takes the time only if there is something
/// to wait for.
fn next_segment<F: Fold>(pass: &Pass<'_, F>, filled: &Receiver<Filled>) -> Option<Filled> {
    match filled.try_recv() {
        Ok(segment) => Some(segment),
        Err(TryRecvError::Disconnected) => None,
        Err(TryRecvError::Empty) => {
            let began = Instant::now();
            let segment = filled.recv().ok();
            pass.waited(began.elapsed());
            segment
        }
    }
}

fn fold_tiles<F: Fold>(
    pass: &Pass<'_, F>,
    worker: &mut Worker<F::Local>,
    block: usize,
    tiles: Range<usize>,
    first: bool,
    last: bool,
    buf: &SegmentBuf,
) -> Result<(), DriverError> {
    let _span = info_span!("block", block).entered();
    let Worker { local, decoder } = worker;
    let info = pass.data.block(block);
    if first {
        pass.fold.begin(local, block, &info)?;
    }
    let mut rows = 0;
    for t in tiles.clone() {
        let place = place(pass.data.tile_rows(), block, &info, t);
        rows += place.rows.len();
        let tile = pass.data.tile(block, tiles.clone(), t, buf)?;
        let mut products = decoder.products(tile, pass.data.genes());
        pass.fold.tile(local, &mut products, &place).map_err(|error| pass.data.damaged(block, t, error))?;
    }
    if last {
        pass.fold.end(local, block, &info)?;
    }
    pass.monitor.advance(rows as u64);
    Ok(())
}

fn place(tile_rows: usize, block: usize, info: &BlockInfo, tile: usize) -> TilePlace {
    let rows = tile * tile_rows..((tile + 1) * tile_rows).min(info.rows);
    TilePlace { block, cells: info.first_row + rows.start..info.first_row + rows.end, rows }
}

/// The wanted tiles of a block, cut into runs of consecutive tiles of at most the segment's bytes.
fn segments<F: Fold>(pass: &Pass<'_, F>, block: usize, info: &BlockInfo) -> Vec<Range<usize>> {
    let mut segments: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for tile in 0..info.tiles {
        let cells = place(pass.data.tile_rows(), block, info, tile).cells;
        let rows = cells.len() as u64;
        if !pass.fold.wants(block, cells) {
            pass.monitor.advance(rows);
            continue;
        }
        let tile_bytes = pass.data.tile_bytes(block, tile);
        match segments.last_mut() {
            Some(segment) if segment.end == tile && bytes + tile_bytes <= pass.segment_bytes => segment.end += 1,
            _ => {
                segments.push(tile..tile + 1);
                bytes = 0;
            }
        }
        bytes += tile_bytes;
    }
    segments
}
