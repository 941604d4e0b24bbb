//! The codec of blosc: literals and matches, as in FastLZ.
//!
//! A control byte below 32 announces one more literals than it says. Any other one is a match:
//! three bits of length and five of distance, more length if those three are all ones, and the rest
//! of the distance. The largest distance announces two more bytes of it.

use super::DecodeError;

/// The largest distance of a short match.
const SHORT: usize = 8191;

/// Decodes into `out`. Returns the number of bytes.
///
/// # Errors
///
/// - `bytes` are damaged, or unpack to more than `out` holds
pub(super) fn decode(bytes: &[u8], out: &mut [u8]) -> Result<usize, DecodeError> {
    let cut = || DecodeError::damaged("is no valid blosclz data (it is cut short)");
    let mut at = 0;
    let mut next = || {
        let byte = bytes.get(at).copied();
        at += 1;
        byte.map(usize::from)
    };
    // The first control byte is one of literals, and its upper bits hold something else.
    let Some(mut control) = next().map(|first| first & 31) else { return Ok(0) };
    let mut done = 0;
    loop {
        if control < 32 {
            for _ in 0..=control {
                *out.get_mut(done).ok_or(DecodeError::TooLong)? = next().ok_or_else(cut)? as u8;
                done += 1;
            }
        } else {
            let mut len = (control >> 5) - 1;
            if len == 6 {
                loop {
                    let more = next().ok_or_else(cut)?;
                    len += more;
                    if more != 255 {
                        break;
                    }
                }
            }
            let high = (control & 31) << 8;
            let low = next().ok_or_else(cut)?;
            let mut distance = high + low;
            if distance == SHORT {
                distance = SHORT + (next().ok_or_else(cut)? << 8);
                distance += next().ok_or_else(cut)?;
            }
            let from = done.checked_sub(distance + 1);
            let from =
                from.ok_or_else(|| DecodeError::damaged("is no valid blosclz data (a match before its start)"))?;
            let end = done + len + 3;
            if end > out.len() {
                return Err(DecodeError::TooLong);
            }
            for copied in done..end {
                out[copied] = out[copied - done + from];
            }
            done = end;
        }
        match next() {
            Some(following) => control = following,
            None => return Ok(done),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_matches_are_decoded() {
        let mut out = [0; 16];
        // Three literals, a match of 3 + 2 bytes three back, one literal.
        assert_eq!(decode(&[2, 1, 2, 3, 3 << 5, 2, 0, 9], &mut out), Ok(9));
        assert_eq!(out[..9], [1, 2, 3, 1, 2, 3, 1, 2, 9]);
        // A run: a match one byte back, longer than three bits say.
        assert_eq!(decode(&[0, 7, 7 << 5, 4, 0], &mut out), Ok(14));
        assert_eq!(out[..14], [7; 14]);
        assert_eq!(decode(&[0, 7, 7 << 5, 7, 0], &mut out), Err(DecodeError::TooLong));
    }

    #[test]
    fn damaged_bytes_are_an_error() {
        let mut out = [0; 16];
        for bytes in [&[2, 1][..], &[0, 7, 64], &[0, 7, 7 << 5, 255], &[0, 7, 1 << 5, 1], &[0, 7, 63, 255, 1]] {
            assert!(matches!(decode(bytes, &mut out), Err(DecodeError::Damaged(_))), "{bytes:?}");
        }
    }
}
