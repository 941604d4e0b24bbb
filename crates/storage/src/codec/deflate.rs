//! Deflate, alone or in a frame.

use std::cell::RefCell;

use libdeflater::{DecompressionError, Decompressor};

use super::{DecodeError, u32_at};

/// The frame around deflated bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frame {
    /// None, as in zip archives.
    Bare,
    /// A header of two bytes, and a checksum.
    Zlib,
    /// The header and end of a gzip file.
    Gzip,
}

/// Decodes into `out`. Returns the number of bytes.
///
/// # Errors
///
/// - `bytes` are damaged, or unpack to more than `out` holds
pub(crate) fn decode(frame: Frame, bytes: &[u8], out: &mut [u8]) -> Result<usize, DecodeError> {
    thread_local! {
        static DECODER: RefCell<Decompressor> = RefCell::new(Decompressor::new());
    }
    let decoded = DECODER.with_borrow_mut(|decoder| match frame {
        Frame::Bare => decoder.deflate_decompress(bytes, out),
        Frame::Zlib => decoder.zlib_decompress(bytes, out),
        Frame::Gzip => decoder.gzip_decompress(bytes, out),
    });
    decoded.map_err(|error| match error {
        DecompressionError::InsufficientSpace => DecodeError::TooLong,
        DecompressionError::BadData => DecodeError::damaged("is no valid deflate data"),
    })
}

/// The length that the frame states for the decoded bytes, if it states one.
pub(crate) fn stated_len(frame: Frame, bytes: &[u8]) -> Option<u64> {
    match frame {
        Frame::Gzip => u32_at(bytes, bytes.len().checked_sub(4)?).map(u64::from),
        Frame::Bare | Frame::Zlib => None,
    }
}

#[cfg(test)]
mod tests {
    use libdeflater::{CompressionLvl, Compressor};

    use super::*;

    #[test]
    fn every_frame_is_decoded_and_never_beyond_the_buffer() {
        let plain: Vec<u8> = (0..5000_u32).map(|i| (i * i % 251) as u8).collect();
        let mut packer = Compressor::new(CompressionLvl::default());
        for frame in [Frame::Bare, Frame::Zlib, Frame::Gzip] {
            let mut packed = vec![0; 10_000];
            let len = match frame {
                Frame::Bare => packer.deflate_compress(&plain, &mut packed),
                Frame::Zlib => packer.zlib_compress(&plain, &mut packed),
                Frame::Gzip => packer.gzip_compress(&plain, &mut packed),
            };
            packed.truncate(len.unwrap());
            let mut out = vec![0; 6000];
            assert_eq!(decode(frame, &packed, &mut out), Ok(5000));
            assert_eq!(out[..5000], plain);
            assert_eq!(decode(frame, &packed, &mut out[..4999]), Err(DecodeError::TooLong));
            for len in (0..packed.len()).step_by(37) {
                assert!(decode(frame, &packed[..len], &mut out).is_err(), "{frame:?} cut to {len}");
            }
        }
    }
}
