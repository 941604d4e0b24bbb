//! Packs the codes of all runs into the sections *widths*, *patches* and *values*.

use std::ops::Range;

use super::patch;
use super::width::{PATCHED, RunWidth};

/// Three sections of a tile that is being encoded.
#[derive(Debug, Default)]
pub(super) struct PackedRuns {
    /// Half a byte for each run.
    pub(super) widths: Vec<u8>,
    /// The patches of runs with outliers.
    pub(super) patches: Vec<u8>,
    /// Codes, bit after bit.
    pub(super) values: Vec<u8>,
}

impl PackedRuns {
    /// Empties the sections.
    pub(super) fn clear(&mut self) {
        self.widths.clear();
        self.patches.clear();
        self.values.clear();
    }

    /// Bytes of the three sections.
    pub(super) fn len(&self) -> usize {
        self.widths.len() + self.patches.len() + self.values.len()
    }

    /// Replaces the sections by those of `codes`, in which each of `runs` is one run.
    pub(super) fn pack(&mut self, codes: &[u32], runs: impl Iterator<Item = Range<usize>>) {
        self.clear();
        let mut bits = BitWriter { bytes: &mut self.values, pending: 0, count: 0 };
        for (place, run) in runs.enumerate() {
            let codes = &codes[run];
            let width = RunWidth::choose(codes);
            let index = if width.outliers == 0 {
                width.index
            } else {
                patch::write(&mut self.patches, codes, width);
                PATCHED
            };
            match self.widths.last_mut() {
                Some(pair) if place % 2 == 1 => *pair |= index << 4,
                _ => self.widths.push(index),
            }
            bits.push_all(codes, width.bits() as u32);
        }
        bits.flush();
    }
}

/// Appends codes bit after bit, the low bit first.
struct BitWriter<'a> {
    bytes: &'a mut Vec<u8>,
    /// Bits that do not fill a word yet.
    pending: u64,
    count: u32,
}

impl BitWriter<'_> {
    /// Appends the low `width` ≤ 24 bits of each code.
    fn push_all(&mut self, codes: &[u32], width: u32) {
        if width == 0 {
            return;
        }
        let mask = (1u32 << width) - 1;
        for &code in codes {
            self.pending |= u64::from(code & mask) << self.count;
            self.count += width;
            if self.count >= 32 {
                self.bytes.extend_from_slice(&(self.pending as u32).to_le_bytes());
                self.pending >>= 32;
                self.count -= 32;
            }
        }
    }

    /// Appends the pending bits, and fills the last byte with zeros.
    fn flush(self) {
        let bytes = self.count.div_ceil(8) as usize;
        self.bytes.extend_from_slice(&self.pending.to_le_bytes()[..bytes]);
    }
}
