//! The packed form of entries of a strip: byte planes, each compressed with LZ4.
//!
//! An entry is three numbers of 32 bits: the cell (within the strip) and the gene, as differences from
//! the entry before, and the value. Counts are stored as integers. Bytes of the same significance form
//! a plane, so that nearly all planes are zeros and take a byte. By gene, the others are the distances
//! of cells and the counts.

use std::ops::Range;

use lz4_flex::block::{compress_into, decompress_into, get_maximum_output_size};

use crate::source::Entries;

/// Planes of an entry: four bytes of each of three numbers.
const PLANES: usize = 12;

/// Bytes before the planes: whether values are integers, and the length of each plane.
const HEAD: usize = 1 + 4 * PLANES;

/// Packs pieces, in memory that serves again.
#[derive(Default)]
pub(super) struct Packer {
    numbers: Vec<u32>,
    plane: Vec<u8>,
    packed: Vec<u8>,
}

impl Packer {
    /// The packed form of the entries at these places of `entries`.
    pub(super) fn pack(&mut self, entries: &Entries, places: Range<usize>) -> &[u8] {
        let values = &entries.values[places.clone()];
        let integers = are_integers(values);
        self.packed.clear();
        self.packed.resize(HEAD, 0);
        self.packed[0] = u8::from(integers);
        for (number, list) in [&entries.cells, &entries.genes].into_iter().enumerate() {
            differences(&list[places.clone()], &mut self.numbers);
            self.planes(4 * number);
        }
        self.numbers.clear();
        match integers {
            true => self.numbers.extend(values.iter().map(|&value| value as i32 as u32)),
            false => self.numbers.extend(values.iter().map(|&value| value.to_bits())),
        }
        self.planes(8);
        &self.packed
    }

    /// Appends the four planes of the numbers, of which the first one is plane `first`.
    fn planes(&mut self, first: usize) {
        let used = self.numbers.iter().fold(0, |used, number| used | number);
        for byte in (0..4).filter(|byte| (used >> (8 * byte)) as u8 != 0) {
            self.plane.clear();
            self.plane.extend(self.numbers.iter().map(|number| (number >> (8 * byte)) as u8));
            let start = self.packed.len();
            self.packed.resize(start + get_maximum_output_size(self.plane.len()), 0);
            // The room suffices for any plane.
            let len = compress_into(&self.plane, &mut self.packed[start..]).unwrap_or(0);
            self.packed.truncate(start + len);
            self.packed[1 + 4 * (first + byte)..][..4].copy_from_slice(&(len as u32).to_le_bytes());
        }
    }
}

/// Whether all values are integers that a float holds exactly, and small.
fn are_integers(values: &[f32]) -> bool {
    let is = |value: f32| (0.0..16_777_216.0).contains(&value) & (value as i32 as f32 == value);
    values.iter().fold(true, |all, &value| all & is(value))
}

/// The differences from one number to the next, those of either sign as small numbers; the first is one from zero.
fn differences(list: &[u32], out: &mut Vec<u32>) {
    out.clear();
    out.extend(list.first().map(|&at| zigzag(at)));
    out.extend(list.iter().zip(list.iter().skip(1)).map(|(&before, &at)| zigzag(at.wrapping_sub(before))));
}

/// Memory for unpacking, which serves again.
#[derive(Default)]
pub(super) struct Scratch {
    numbers: [Vec<u32>; 3],
    plane: Vec<u8>,
}

/// Unpacks `count` entries of a piece and appends them to `entries`. `None` if the bytes are not those of such a piece.
pub(super) fn unpack(bytes: &[u8], count: usize, entries: &mut Entries, scratch: &mut Scratch) -> Option<()> {
    let (head, mut rest) = bytes.split_at_checked(HEAD)?;
    let first = entries.len();
    let Scratch { numbers, plane } = scratch;
    for (number, list) in numbers.iter_mut().enumerate() {
        list.clear();
        list.resize(count, 0_u32);
        for byte in 0..4 {
            let at = 1 + 4 * (4 * number + byte);
            let len = u32::from_le_bytes(head[at..at + 4].try_into().ok()?) as usize;
            if len == 0 {
                continue;
            }
            let (packed, after) = rest.split_at_checked(len)?;
            rest = after;
            plane.resize(count, 0);
            if decompress_into(packed, plane).ok()? != count {
                return None;
            }
            list.iter_mut().zip(&*plane).for_each(|(number, &part)| *number |= u32::from(part) << (8 * byte));
        }
    }
    let [cells, genes, values] = numbers;
    let sums = |list: &[u32], out: &mut Vec<u32>| {
        let mut at = 0_u32;
        out.extend(list.iter().map(|&difference| {
            at = at.wrapping_add(unzigzag(difference));
            at
        }));
    };
    sums(cells, &mut entries.cells);
    sums(genes, &mut entries.genes);
    if head[0] == 1 {
        entries.values.extend(values.iter().map(|&value| value as f32));
    } else {
        entries.values.extend(values.iter().map(|&value| f32::from_bits(value)));
    }
    (rest.is_empty() && entries.len() == first + count).then_some(())
}

/// Maps small differences of either sign to small numbers.
fn zigzag(difference: u32) -> u32 {
    (difference << 1) ^ ((difference as i32 >> 31) as u32)
}

fn unzigzag(number: u32) -> u32 {
    (number >> 1) ^ (number & 1).wrapping_neg()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entries() -> impl Strategy<Value = Entries> {
        let value = prop_oneof![Just(0.0), Just(1.0), Just(70_000.0), 0.0..f32::MAX];
        let entry = (prop_oneof![0..300_u32, any::<u32>()], prop_oneof![0..9_u32, any::<u32>()], value);
        proptest::collection::vec(entry, 0..200).prop_map(|list| {
            let mut entries = Entries::default();
            list.into_iter().for_each(|(cell, gene, value)| entries.push(cell, gene, value));
            entries
        })
    }

    #[test]
    fn fractions_are_no_integers_even_if_all_are_small() {
        let (mut entries, mut packer, mut back) = (Entries::default(), Packer::default(), Entries::default());
        [0.5, 1.25, 16_000.75].iter().for_each(|&value| entries.push(0, 0, value));
        assert!(unpack(packer.pack(&entries, 0..3), 3, &mut back, &mut Scratch::default()).is_some());
        assert_eq!(back.values, entries.values);
    }

    proptest! {
        #[test]
        fn pieces_give_back_their_entries(all in entries(), cut in 0.0..1.0) {
            let (mut packer, mut scratch, mut back) = (Packer::default(), Scratch::default(), Entries::default());
            let cut = (all.len() as f64 * cut) as usize;
            for places in [0..cut, cut..all.len()] {
                let bytes = packer.pack(&all, places.clone());
                prop_assert!(unpack(bytes, places.len(), &mut back, &mut scratch).is_some());
            }
            prop_assert_eq!(&back.cells, &all.cells);
            prop_assert_eq!(&back.genes, &all.genes);
            let bits = |e: &Entries| e.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&back), bits(&all));
        }

        #[test]
        fn other_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400), count in 0_usize..50) {
            let _ = unpack(&bytes, count, &mut Entries::default(), &mut Scratch::default());
        }
    }
}
