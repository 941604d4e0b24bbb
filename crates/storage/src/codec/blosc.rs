//! Blosc 1 frames.
//!
//! A frame is a header of 16 bytes, the places of its blocks, and the blocks. A block is one
//! stream, or one for each byte of a number, and each stream is its length and its bytes. All
//! numbers are little-endian, of four bytes.
//!
//! | byte | meaning                                                                           |
//! |------|-----------------------------------------------------------------------------------|
//! | 0    | version of the format, 2 or less                                                  |
//! | 1    | version of the codec                                                              |
//! | 2    | 1: bytes shuffled, 2: copied, 4: bits shuffled, 16: one stream; from 32 on: codec |
//! | 3    | bytes of a number                                                                 |
//! | 4    | bytes, unpacked                                                                   |
//! | 8    | bytes of a block, unpacked                                                        |
//! | 12   | bytes of the frame                                                                |
//!
//! This decoder is safe Rust around the codecs: a damaged frame is an error, and no more.

use super::deflate::{self, Frame};
use super::shuffle::{unshuffle, unshuffle_bits};
use super::{DecodeError, blosclz, lz4, snappy, u32_at, zstd};

const HEADER: usize = 16;

/// Numbers of more bytes are never split into streams.
const MOST_STREAMS: usize = 16;

/// Streams of fewer bytes are never split.
const SHORTEST_STREAM: usize = 128;

/// Decodes a frame into `out`. Returns the number of bytes.
///
/// # Errors
///
/// - `bytes` are damaged, or unpack to more than `out` holds
/// - the codec is not known
pub(crate) fn decode(bytes: &[u8], out: &mut [u8]) -> Result<usize, DecodeError> {
    let damaged = |reason: &str| DecodeError::damaged(reason);
    let (Some(len), Some(block), Some(frame)) = (u32_at(bytes, 4), u32_at(bytes, 8), u32_at(bytes, 12)) else {
        return Err(damaged("is no valid blosc data (it ends within its header)"));
    };
    let (len, block, frame) = (len as usize, block as usize, frame as usize);
    let (version, flags, size) = (bytes[0], bytes[2], usize::from(bytes[3]));
    if version > 2 {
        return Err(DecodeError::damaged(format!("has version {version} of the blosc format, expected 2 or less")));
    }
    let bytes = bytes.get(..frame).ok_or_else(|| damaged("is no valid blosc data (it is cut short)"))?;
    let out = out.get_mut(..len).ok_or(DecodeError::TooLong)?;
    if len == 0 {
        return Ok(0);
    }
    if flags & 2 != 0 {
        let plain = bytes.get(HEADER..).and_then(|rest| rest.get(..len));
        out.copy_from_slice(plain.ok_or_else(|| damaged("is no valid blosc data (it is cut short)"))?);
        return Ok(len);
    }
    if block == 0 || block > len || size == 0 {
        return Err(damaged("is no valid blosc data (an impossible header)"));
    }
    let mut shuffled = vec![0; if flags & 5 == 0 { 0 } else { block }];
    for (index, to) in out.chunks_mut(block).enumerate() {
        let start = u32_at(bytes, HEADER + 4 * index).and_then(|start| bytes.get(start as usize..));
        let streams = start.ok_or_else(|| damaged("is no valid blosc data (a block outside of it)"))?;
        let split = flags & 16 == 0 && size <= MOST_STREAMS && block / size >= SHORTEST_STREAM && to.len() == block;
        let count = if split { size } else { 1 };
        if flags & 5 == 0 {
            decode_streams(flags >> 5, streams, to, count)?;
            continue;
        }
        let from = &mut shuffled[..to.len()];
        decode_streams(flags >> 5, streams, from, count)?;
        match flags & 1 {
            1 => unshuffle(size, from, to),
            _ => unshuffle_bits(size, from, to),
        }
    }
    Ok(len)
}

/// Decodes the streams of one block, each of equal length.
fn decode_streams(codec: u8, mut bytes: &[u8], out: &mut [u8], count: usize) -> Result<(), DecodeError> {
    let damaged = || DecodeError::damaged("is no valid blosc data (a block of a wrong length)");
    if !out.len().is_multiple_of(count) {
        return Err(damaged());
    }
    for to in out.chunks_exact_mut(out.len() / count) {
        let len = u32_at(bytes, 0).ok_or_else(damaged)? as usize;
        let stream = bytes[4..].get(..len).ok_or_else(damaged)?;
        bytes = &bytes[4 + len..];
        if len == to.len() {
            to.copy_from_slice(stream);
            continue;
        }
        let found = match codec {
            0 => blosclz::decode(stream, to)?,
            1 => lz4::decode(stream, to)?,
            2 => snappy::decode(stream, to)?,
            3 => deflate::decode(Frame::Zlib, stream, to)?,
            4 => zstd::decode(stream, to)?,
            other => return Err(DecodeError::damaged(format!("has the unknown blosc codec {other}"))),
        };
        if found != to.len() {
            return Err(damaged());
        }
    }
    Ok(())
}

/// The length that the header states for the decoded bytes.
pub(crate) fn stated_len(bytes: &[u8]) -> Option<u64> {
    u32_at(bytes, 4).map(u64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of one block of eight 4-byte numbers, whose bytes are shuffled and not compressed.
    fn frame() -> (Vec<u8>, Vec<u8>) {
        let plain: Vec<u8> = (0..32).collect();
        let mut bytes = vec![2, 1, 1 | 16 | 32, 4];
        for number in [32_u32, 32, 16 + 4 + 4 + 32, 20, 32] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend((0..32).map(|at| plain[at % 8 * 4 + at / 8]));
        (plain, bytes)
    }

    #[test]
    fn a_frame_is_decoded_and_never_beyond_the_buffer() {
        let (plain, bytes) = frame();
        let mut out = [0; 40];
        assert_eq!(decode(&bytes, &mut out), Ok(32));
        assert_eq!(out[..32], plain);
        assert_eq!(decode(&bytes, &mut out[..31]), Err(DecodeError::TooLong));
    }

    #[test]
    fn damaged_frames_are_an_error_or_decode() {
        let (_, bytes) = frame();
        let mut out = [0; 32];
        for len in 0..bytes.len() {
            assert!(decode(&bytes[..len], &mut out).is_err(), "cut to {len}");
        }
        for at in 0..bytes.len() {
            for value in 0..=255 {
                let mut changed = bytes.clone();
                changed[at] = value;
                let _ = decode(&changed, &mut out);
            }
        }
    }
}
