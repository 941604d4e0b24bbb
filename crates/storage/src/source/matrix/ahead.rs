//! Lists that are read in order and unpacked ahead, on several threads.
//!
//! Chunks are unpacked in runs of many, so that threads are started seldom. A chunk that cannot be
//! unpacked here, or that holds a number that is refused, is marked; ranges that touch it are read
//! through the library, which finds and reports the fault.

use std::sync::Mutex;

use bytemuck::Pod;
use hdf5::Dataset;

use super::numbers::ReadAhead;
use crate::hdf::chunks::{Chunks, Scratch};
use crate::number::{Number, Rounding, Scalar, to_f32, with_scalar};

/// A list as numbers of type `T`.
pub(super) struct Ahead<T> {
    chunks: Chunks,
    scalar: Scalar,
    convert: Convert<T>,
    threads: usize,
    /// Chunks of a run.
    run: usize,
    /// The run in memory begins with this chunk.
    first: usize,
    numbers: Vec<T>,
    sound: Vec<bool>,
    rounding: Rounding,
}

/// Converts the numbers of a chunk, which are of type [`Scalar`]; `None` if one of them is refused.
type Convert<T> = Box<dyn Fn(Scalar, &[u64], &mut [T]) -> Option<Rounding> + Send + Sync>;

impl Ahead<f32> {
    /// Values, which NMF accepts.
    pub(super) fn values(dataset: &Dataset, scalar: Scalar, threads: usize, memory: u64) -> Option<Self> {
        let convert = |scalar, bytes: &[u64], out: &mut [f32]| {
            let mut rounding = Rounding::default();
            with_scalar!(scalar, T => {
                to_f32(&bytemuck::cast_slice::<u64, T>(bytes)[..out.len()], out, &mut rounding).ok()?;
            });
            Some(rounding)
        };
        Ahead::new(dataset, scalar, Box::new(convert), threads, memory)
    }
}

impl Ahead<u32> {
    /// Indices below `limit`.
    pub(super) fn indices(
        dataset: &Dataset,
        scalar: Scalar,
        limit: usize,
        threads: usize,
        memory: u64,
    ) -> Option<Self> {
        let convert = move |scalar, bytes: &[u64], out: &mut [u32]| {
            with_scalar!(scalar, T => indices::<T>(&bytemuck::cast_slice::<u64, T>(bytes)[..out.len()], limit, out))
                .then(Rounding::default)
        };
        Ahead::new(dataset, scalar, Box::new(convert), threads, memory)
    }
}

/// Converts indices. Returns whether all of them are below `limit`.
fn indices<T: Number>(from: &[T], limit: usize, out: &mut [u32]) -> bool {
    let mut inside = true;
    for (&index, slot) in from.iter().zip(out) {
        // Without an early end, so that the compiler vectorises it. A negative index becomes huge.
        let index = index.whole() as u64;
        inside &= index < limit as u64;
        *slot = index as u32;
    }
    inside
}

impl<T: Pod + Default + Send> Ahead<T> {
    /// Reads with `threads` threads, in at most `memory` bytes; `None` if the list cannot be read this
    /// way.
    fn new(dataset: &Dataset, scalar: Scalar, convert: Convert<T>, threads: usize, memory: u64) -> Option<Self> {
        let chunks = Chunks::of(dataset)?;
        if chunks.element() != scalar.size() {
            return None;
        }
        let threads = threads.max(1);
        // Each thread has the packed chunk (at most twice its size), and two steps of unpacking.
        let scratch = 4 * threads as u64 * chunks.chunk_bytes() as u64;
        let run = memory.checked_sub(scratch)? / (chunks.chunk() * size_of::<T>()) as u64;
        let run = (run as usize).min(chunks.len().div_ceil(chunks.chunk()).max(1));
        let fewest = threads.min(chunks.len().div_ceil(chunks.chunk()));
        (run > 0 && run >= fewest).then_some(Ahead {
            chunks,
            scalar,
            convert,
            threads,
            run,
            first: 0,
            numbers: Vec::new(),
            sound: Vec::new(),
            rounding: Rounding::default(),
        })
    }

    /// Unpacks the run that begins with `chunk`.
    fn load(&mut self, chunk: usize) {
        let height = self.chunks.chunk();
        let left = self.chunks.len() - chunk * height;
        let elements = left.min(self.run * height);
        self.first = chunk;
        self.numbers.resize(elements, T::default());
        self.sound.clear();
        self.sound.resize(elements.div_ceil(height), false);
        let (chunks, scalar, convert) = (&self.chunks, self.scalar, &self.convert);
        let slots = self.numbers.chunks_mut(height).zip(&mut self.sound).enumerate();
        let (slots, rounding) = (Mutex::new(slots), Mutex::new(vec![Rounding::default(); elements.div_ceil(height)]));
        let work = || {
            let mut scratch = Scratch::default();
            loop {
                let next = slots.lock().unwrap_or_else(|e| e.into_inner()).next();
                let Some((at, (out, sound))) = next else { return };
                let converted = chunks.read(chunk + at, &mut scratch).and_then(|words| convert(scalar, words, out));
                if let Some(rounded) = converted {
                    *sound = true;
                    rounding.lock().unwrap_or_else(|e| e.into_inner())[at] = rounded;
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.threads.min(elements.div_ceil(height)) {
                // Fewer threads do the same work.
                let _ = std::thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
        // In order, so that the example is the first one.
        for rounded in rounding.into_inner().unwrap_or_else(|e| e.into_inner()) {
            if rounded.count > 0 {
                self.rounding.add(rounded);
            }
        }
    }
}

impl<T: Pod + Default + Send> ReadAhead<T> for Ahead<T> {
    fn resident_bytes(&self) -> u64 {
        let scratch = 4 * self.threads * self.chunks.chunk_bytes();
        (scratch + self.run * self.chunks.chunk() * size_of::<T>()) as u64
    }

    fn rounding(&self) -> Rounding {
        self.rounding
    }

    fn read(&mut self, first: usize, out: &mut [T]) -> bool {
        let height = self.chunks.chunk();
        let mut done = 0;
        while done < out.len() {
            let at = first + done;
            let chunk = at / height;
            if chunk < self.first || chunk >= self.first + self.sound.len() {
                self.load(chunk);
            }
            if !self.sound[chunk - self.first] {
                return false;
            }
            let inside = at - self.first * height;
            let count = (out.len() - done).min(height - at % height);
            out[done..done + count].copy_from_slice(&self.numbers[inside..inside + count]);
            done += count;
        }
        true
    }
}
