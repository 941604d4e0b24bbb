//! Random streams: one for the programs and two for every tile, so that tiles can be made in any
//! order by any thread.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// The purpose of a stream.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// The planted programs.
    Programs,
    /// The truth in the rows of this tile: clusters, library sizes, usages.
    Truth(usize),
    /// The noise on the rows of this tile.
    Noise(usize),
}

/// The generator for `purpose` under `seed`. Streams of one seed never overlap.
pub(super) fn stream(seed: u64, purpose: Purpose) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(match purpose {
        Purpose::Programs => 0,
        Purpose::Truth(tile) => 1 + 2 * tile as u64,
        Purpose::Noise(tile) => 2 + 2 * tile as u64,
    });
    rng
}
