//! The time to add up the sums of all processes.
//!
//! First the processes meet. Nothing waits inside the library, so each reports that it has arrived,
//! with twice ⌈log₂ R⌉ messages back and forth, and looks for the answer now and then ([`LOOK`]).
//!
//! Then every process holds V bytes of integers, and all need their sum. The libraries have two
//! ways, and take the better one (R processes, bandwidth β each way, latency α, γ seconds to add up
//! a byte):
//!
//! ```text
//! halves, or a ring      2 ⌈log₂ R⌉ α + 2 (R−1)/R · V/β + V γ      every byte is sent twice, whatever R
//! everything each time     ⌈log₂ R⌉ (α + V/β + V γ)                 fewer messages, for few bytes or few processes
//! ```
//!
//! α is paid for every piece of [`PIECE_BYTES`], because the sum is made in pieces.
//! `docs/scaling.md` compares this with Open MPI on links of known bandwidth.

use std::hint::black_box;
use std::time::Instant;

/// Bytes of the pieces in which a sum is made. Over TCP larger ones take up to twice the time
/// (`docs/scaling.md`, Pieces). Within one node 2 MiB would take a fifth less.
pub const PIECE_BYTES: u64 = 512 << 10;

/// Seconds from one look to the next while a process awaits a message, wake-ups of threads
/// included. Measured with `partwise-mpi` on fits that add up next to nothing.
const LOOK: f64 = 100e-6;

/// The fraction of data among the bits on an Ethernet cable: 1,448 of the 1,538 bytes of a full TCP
/// packet with all around it.
const PAYLOAD: f64 = 0.94;

/// Bytes that the cost of adding is measured on, and how often.
const MEASURED_BYTES: usize = 4 << 20;
const MEASURED_TIMES: usize = 5;

/// What connects the nodes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Network {
    /// Bytes a second that a node sends while it receives as many: the nominal rate of the network,
    /// from which headers are taken off.
    pub bandwidth: f64,
    /// Seconds from one process to another for a message of a few bytes.
    pub latency: f64,
    /// Seconds to add up a byte that has arrived, copies included.
    pub adding: f64,
}

impl Network {
    /// Seconds until all of `processes` know that all have arrived.
    pub fn meeting(&self, processes: usize) -> f64 {
        4.0 * rounds(processes) * (self.latency + LOOK)
    }

    /// Seconds until each of `processes` has the sum of all, `bytes` each, meeting included.
    pub fn summing(&self, processes: usize, bytes: u64) -> f64 {
        if processes < 2 {
            return 0.0;
        }
        let rounds = rounds(processes);
        let latencies = rounds * self.latency * bytes.div_ceil(PIECE_BYTES) as f64;
        let sending = bytes as f64 / (PAYLOAD * self.bandwidth);
        let adding = bytes as f64 * self.adding;
        let others = (processes - 1) as f64 / processes as f64;
        let halves = 2.0 * latencies + 2.0 * others * sending + adding;
        let whole = latencies + rounds * (sending + adding);
        self.meeting(processes) + halves.min(whole)
    }
}

/// ⌈log₂ of `processes`⌉.
fn rounds(processes: usize) -> f64 {
    f64::from(usize::BITS - processes.saturating_sub(1).leading_zeros())
}

/// Seconds a byte that this machine takes to add one list of integers to another in pieces, and to
/// copy it to the pieces and back: the best of a few tries. Costs some milliseconds, and 8 MiB for
/// that time.
pub fn measure_adding() -> f64 {
    let length = MEASURED_BYTES / size_of::<i64>();
    let (mut sums, arrived) = (vec![1i64; length], vec![2i64; length]);
    let mut piece = vec![0i64; PIECE_BYTES as usize / size_of::<i64>()];
    let seconds = (0..MEASURED_TIMES).map(|_| {
        let began = Instant::now();
        for (sums, arrived) in sums.chunks_mut(piece.len()).zip(arrived.chunks(piece.len())) {
            let piece = &mut piece[..sums.len()];
            piece.copy_from_slice(sums);
            piece.iter_mut().zip(arrived).for_each(|(sum, arrived)| *sum = sum.wrapping_add(*arrived));
            sums.copy_from_slice(black_box(piece));
        }
        began.elapsed().as_secs_f64()
    });
    seconds.fold(f64::INFINITY, f64::min) / MEASURED_BYTES as f64
}
