//! The packed form of a strip's entries: byte planes, each compressed with LZ4.
//!
//! An entry is three numbers of 32 bits: the cell (within the strip) and the gene, as differences from
//! the entry before, and the value. Counts are stored as integers. Bytes of the same significance form
//! a plane, so that nearly all planes are zeros and take a byte. By gene, the others are the distances
//! of cells and the counts.

use lz4_flex::block::{compress_into, decompress_into, get_maximum_output_size};

use crate::source::Entries;

/// Planes of an entry: four bytes of each of three numbers.
const PLANES: usize = 12;

/// Bytes before the planes: whether values are integers, and the length of each plane.
const HEAD: usize = 1 + 4 * PLANES;

/// Packs `entries` and appends them to `out`. `plane` is scratch.
pub(super) fn pack(entries: &Entries, out: &mut Vec<u8>, plane: &mut Vec<u8>) {
    let integers = entries.values.iter().all(|&value| (0.0..16_777_216.0).contains(&value) && value.fract() == 0.0);
    let head = out.len();
    out.resize(head + HEAD, 0);
    out[head] = u8::from(integers);
    let differences = |list: &[u32], byte: u32, plane: &mut Vec<u8>| {
        let mut before = 0;
        plane
            .extend(list.iter().map(|&at| (zigzag(at.wrapping_sub(std::mem::replace(&mut before, at))) >> byte) as u8));
    };
    for at in 0..PLANES {
        let byte = 8 * (at as u32 % 4);
        plane.clear();
        match at / 4 {
            0 => differences(&entries.cells, byte, plane),
            1 => differences(&entries.genes, byte, plane),
            _ if integers => plane.extend(entries.values.iter().map(|&value| (value as u32 >> byte) as u8)),
            _ => plane.extend(entries.values.iter().map(|&value| (value.to_bits() >> byte) as u8)),
        }
        if plane.iter().all(|&byte| byte == 0) {
            continue;
        }
        let start = out.len();
        out.resize(start + get_maximum_output_size(plane.len()), 0);
        // The room suffices for any plane.
        let len = compress_into(plane, &mut out[start..]).unwrap_or(0);
        out.truncate(start + len);
        out[head + 1 + 4 * at..][..4].copy_from_slice(&(len as u32).to_le_bytes());
    }
}

/// Unpacks `count` entries of a piece and appends them to `entries`. `plane` is scratch. `None` if
/// the bytes are not those of such a piece.
pub(super) fn unpack(bytes: &[u8], count: usize, entries: &mut Entries, plane: &mut Vec<u8>) -> Option<()> {
    let (head, mut rest) = bytes.split_at_checked(HEAD)?;
    let first = entries.len();
    let mut numbers = [const { Vec::new() }; 3];
    for (number, list) in numbers.iter_mut().enumerate() {
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
    let sums = |list: Vec<u32>, out: &mut Vec<u32>| {
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
        let (mut entries, mut bytes, mut plane, mut back) =
            (Entries::default(), Vec::new(), Vec::new(), Entries::default());
        [0.5, 1.25, 16_000.75].iter().for_each(|&value| entries.push(0, 0, value));
        pack(&entries, &mut bytes, &mut plane);
        assert!(unpack(&bytes, 3, &mut back, &mut plane).is_some());
        assert_eq!(back.values, entries.values);
    }

    proptest! {
        #[test]
        fn pieces_give_back_their_entries(first in entries(), second in entries()) {
            let (mut bytes, mut plane, mut back) = (Vec::new(), Vec::new(), Entries::default());
            pack(&first, &mut bytes, &mut plane);
            let end = bytes.len();
            pack(&second, &mut bytes, &mut plane);
            prop_assert!(unpack(&bytes[..end], first.len(), &mut back, &mut plane).is_some());
            prop_assert!(unpack(&bytes[end..], second.len(), &mut back, &mut plane).is_some());
            let both = |of: fn(&Entries) -> Vec<u32>| [of(&first), of(&second)].concat();
            prop_assert_eq!(&back.cells, &both(|e| e.cells.clone()));
            prop_assert_eq!(&back.genes, &both(|e| e.genes.clone()));
            let bits = |e: &Entries| e.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&back), both(bits));
        }

        #[test]
        fn other_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400), count in 0_usize..50) {
            let _ = unpack(&bytes, count, &mut Entries::default(), &mut Vec::new());
        }
    }
}
