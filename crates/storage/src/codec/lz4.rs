//! LZ4 blocks.

use lz4_flex::block::{DecompressError, decompress_into};

use super::{DecodeError, u32_at};

/// Decodes a block into `out`. Returns the number of bytes.
///
/// # Errors
///
/// - `bytes` are damaged, or unpack to more than `out` holds
pub(crate) fn decode(bytes: &[u8], out: &mut [u8]) -> Result<usize, DecodeError> {
    decompress_into(bytes, out).map_err(|error| match error {
        DecompressError::OutputTooSmall { .. } => DecodeError::TooLong,
        other => DecodeError::damaged(format!("is no valid LZ4 data ({other})")),
    })
}

/// Decodes a block after its decoded length (four bytes), as numcodecs writes it.
///
/// # Errors
///
/// - as for [`decode`]
/// - the length is not that of the block
pub(crate) fn decode_after_len(bytes: &[u8], out: &mut [u8]) -> Result<usize, DecodeError> {
    let len = stated_len(bytes).ok_or_else(|| DecodeError::damaged("ends within its header"))? as usize;
    let out = out.get_mut(..len).ok_or(DecodeError::TooLong)?;
    match decode(&bytes[4..], out)? {
        found if found == len => Ok(len),
        found => Err(DecodeError::damaged(format!("unpacks to {found} bytes, but states {len}"))),
    }
}

/// The decoded length at the beginning of the bytes.
pub(crate) fn stated_len(bytes: &[u8]) -> Option<u64> {
    u32_at(bytes, 0).map(u64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_decoded_and_never_beyond_the_buffer() {
        let plain: Vec<u8> = (0..5000_u32).map(|i| (i / 9) as u8).collect();
        let mut packed = 5000_u32.to_le_bytes().to_vec();
        packed.extend(lz4_flex::block::compress(&plain));
        let mut out = vec![0; 6000];
        assert_eq!(decode_after_len(&packed, &mut out), Ok(5000));
        assert_eq!(out[..5000], plain);
        assert_eq!(decode_after_len(&packed, &mut out[..4999]), Err(DecodeError::TooLong));
        assert_eq!(decode(&packed[4..], &mut out[..4999]), Err(DecodeError::TooLong));
        for len in 0..packed.len() {
            assert!(decode_after_len(&packed[..len], &mut out).is_err(), "cut to {len}");
        }
    }
}
