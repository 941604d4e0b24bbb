//! The shuffle of bytes and of bits, undone.
//!
//! Shuffled bytes hold the first byte of every number, then the second byte of every number, and so
//! on. Shuffled bits hold the lowest bit of the first bytes of all numbers, then the next one, and
//! so on. A rest that is no whole number is stored as it is.

/// Undoes the shuffle of the bytes of numbers of `size` bytes.
///
/// # Panics
///
/// When the buffers differ in length.
pub(crate) fn unshuffle(size: usize, from: &[u8], to: &mut [u8]) {
    assert_eq!(from.len(), to.len(), "as many bytes as before");
    match size {
        2 => of_size::<2>(from, to),
        4 => of_size::<4>(from, to),
        8 => of_size::<8>(from, to),
        // Sizes come from files: one beyond the bytes is no reason to count up to it.
        _ if size <= 1 || size > from.len() => to.copy_from_slice(from),
        _ => {
            let count = from.len() / size;
            for byte in 0..size {
                for (number, &value) in from[byte * count..(byte + 1) * count].iter().enumerate() {
                    to[number * size + byte] = value;
                }
            }
            to[count * size..].copy_from_slice(&from[count * size..]);
        }
    }
}

fn of_size<const SIZE: usize>(from: &[u8], to: &mut [u8]) {
    let count = from.len() / SIZE;
    let planes: [&[u8]; SIZE] = std::array::from_fn(|byte| &from[byte * count..(byte + 1) * count]);
    let (numbers, rest) = to.as_chunks_mut::<SIZE>();
    for (at, number) in numbers.iter_mut().enumerate() {
        *number = std::array::from_fn(|byte| planes[byte][at]);
    }
    rest.copy_from_slice(&from[count * SIZE..]);
}

/// Undoes the shuffle of the bits of numbers of `size` bytes. The number of numbers is a multiple
/// of 8; otherwise nothing was shuffled.
///
/// # Panics
///
/// When the buffers differ in length.
pub(crate) fn unshuffle_bits(size: usize, from: &[u8], to: &mut [u8]) {
    assert_eq!(from.len(), to.len(), "as many bytes as before");
    let count = from.len() / size.max(1);
    if count == 0 || size == 0 || !count.is_multiple_of(8) {
        to.copy_from_slice(from);
        return;
    }
    let row = count / 8;
    for byte in 0..size {
        let planes: [&[u8]; 8] = std::array::from_fn(|bit| &from[(8 * byte + bit) * row..(8 * byte + bit + 1) * row]);
        for eight in 0..row {
            let numbers = transpose(std::array::from_fn(|bit| planes[bit][eight]));
            for (at, value) in numbers.into_iter().enumerate() {
                to[(8 * eight + at) * size + byte] = value;
            }
        }
    }
    to[count * size..].copy_from_slice(&from[count * size..]);
}

/// Exchanges rows and columns of 8 × 8 bits (Hacker's Delight, 7-3).
fn transpose(rows: [u8; 8]) -> [u8; 8] {
    let mut x = u64::from_le_bytes(rows);
    for (shift, mask) in [(7, 0x00aa_00aa_00aa_00aa), (14, 0x0000_cccc_0000_cccc), (28, 0x0000_0000_f0f0_f0f0)] {
        let swap = (x ^ (x >> shift)) & mask;
        x ^= swap ^ (swap << shift);
    }
    x.to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_return_to_their_numbers() {
        for size in [1, 2, 3, 4, 8, 17] {
            for len in [0, 1, 40, 8 * size, 8 * size + 1, 100 * size - 1] {
                let plain: Vec<u8> = (0..len).map(|i| (i * 7 % 253) as u8).collect();
                let count = len / size;
                let mut shuffled = plain.clone();
                for (at, &value) in plain[..count * size].iter().enumerate() {
                    shuffled[at % size * count + at / size] = value;
                }
                let mut out = vec![0; len];
                unshuffle(size, &shuffled, &mut out);
                assert_eq!(out, plain, "{len} bytes of numbers of {size}");
            }
        }
    }

    #[test]
    fn a_size_beyond_all_bytes_takes_no_time() {
        let mut out = [0; 3];
        unshuffle(usize::MAX, &[1, 2, 3], &mut out);
        unshuffle_bits(usize::MAX, &[1, 2, 3], &mut out);
        assert_eq!(out, [1, 2, 3]);
    }

    #[test]
    fn bits_return_to_their_numbers() {
        for size in [1, 2, 4, 8, 3] {
            for count in [0, 8, 64, 80, 7] {
                let plain: Vec<u8> = (0..count * size + size - 1).map(|i| (i * 37 % 253) as u8).collect();
                let mut shuffled = plain.clone();
                if count % 8 == 0 {
                    shuffled[..count * size].fill(0);
                    for bit in 0..count * size * 8 {
                        let (number, place) = (bit / (8 * size), bit % (8 * size));
                        let to = place * count + number;
                        shuffled[to / 8] |= (plain[bit / 8] >> (bit % 8) & 1) << (to % 8);
                    }
                }
                let mut out = vec![0; plain.len()];
                unshuffle_bits(size, &shuffled, &mut out);
                assert_eq!(out, plain, "{count} numbers of {size} bytes");
            }
        }
    }
}
