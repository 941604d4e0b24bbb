//! Snappy without a frame.
//!
//! The decoded length comes first, seven bits in a byte. Then each tag byte begins literals or a copy
//! of earlier output; its lower two bits are the kind.
//!
//! | kind | meaning                                                                                |
//! |------|----------------------------------------------------------------------------------------|
//! | 0    | literals: the upper six bits are their number less one; from 60 on, 1 to 4 bytes have it |
//! | 1    | a copy of 4 to 11 bytes: three bits of length, three of distance and a byte of it      |
//! | 2, 3 | a copy: six bits of length less one, and a distance of two or four bytes               |

use super::DecodeError;

/// Decodes into `out`. Returns the number of bytes.
///
/// # Errors
///
/// - `bytes` are damaged, or unpack to more than `out` holds
pub(super) fn decode(bytes: &[u8], out: &mut [u8]) -> Result<usize, DecodeError> {
    let damaged = |reason: &str| DecodeError::damaged(format!("is no valid snappy data ({reason})"));
    let cut = || damaged("it is cut short");
    let mut rest = bytes;
    let stated = length(&mut rest).ok_or_else(cut)?;
    let out = out.get_mut(..stated).ok_or(DecodeError::TooLong)?;
    let mut done = 0;
    while let Some((&tag, after)) = rest.split_first() {
        rest = after;
        let upper = usize::from(tag >> 2);
        let (len, distance) = match tag & 3 {
            0 if upper < 60 => (upper + 1, None),
            0 => (number(&mut rest, upper - 59).ok_or_else(cut)? + 1, None),
            1 => (4 + (upper & 7), Some(((upper >> 3) << 8) + number(&mut rest, 1).ok_or_else(cut)?)),
            2 => (upper + 1, Some(number(&mut rest, 2).ok_or_else(cut)?)),
            _ => (upper + 1, Some(number(&mut rest, 4).ok_or_else(cut)?)),
        };
        let end = done + len;
        if end > out.len() {
            return Err(damaged("it is longer than it states"));
        }
        match distance {
            None => {
                let (literals, after) = rest.split_at_checked(len).ok_or_else(cut)?;
                out[done..end].copy_from_slice(literals);
                rest = after;
            }
            Some(distance) if distance == 0 || distance > done => return Err(damaged("a copy from before its start")),
            // A copy may overlap the bytes that it reads.
            Some(distance) => (done..end).for_each(|to| out[to] = out[to - distance]),
        }
        done = end;
    }
    if done == stated { Ok(done) } else { Err(cut()) }
}

/// The decoded length.
fn length(bytes: &mut &[u8]) -> Option<usize> {
    let mut len = 0_usize;
    for shift in [0, 7, 14, 21, 28] {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        len |= usize::from(byte & 127) << shift;
        if byte < 128 {
            return Some(len);
        }
    }
    None
}

/// A number of `count` bytes.
fn number(bytes: &mut &[u8], count: usize) -> Option<usize> {
    let (number, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(number.iter().rev().fold(0, |number, &byte| number << 8 | usize::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_copies_are_decoded() {
        let mut out = [0; 32];
        // "abc", 5 bytes from a distance of 3, 4 from a distance of 1, "d" with its number in a byte.
        let packed = [13, 2 << 2, b'a', b'b', b'c', 1 | 1 << 2, 3, 2 | 3 << 2, 1, 0, 60 << 2, 0, b'd'];
        assert_eq!(decode(&packed, &mut out), Ok(13));
        assert_eq!(&out[..13], b"abcabcabbbbbd");
        assert_eq!(decode(&packed, &mut out[..12]), Err(DecodeError::TooLong));
        for len in 0..packed.len() {
            assert!(decode(&packed[..len], &mut out).is_err(), "cut to {len}");
        }
        assert!(decode(&[4, 1, 1], &mut out).is_err(), "a copy from before the beginning");
        assert!(decode(&[1, 1 << 2, b'a', b'b'], &mut out).is_err(), "longer than it states");
    }
}
