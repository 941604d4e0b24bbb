//! Decoders of compressed pieces of files, one codec per file.
//!
//! Each decodes into a buffer and never beyond it: the length of the buffer bounds what a damaged
//! or hostile piece can cost. The bytes that they read are not trusted.
//!
//! | file      | format                                                             |
//! |-----------|--------------------------------------------------------------------|
//! | `deflate` | deflate, alone or in a zlib or gzip frame                          |
//! | `zstd`    | zstd frames                                                        |
//! | `lz4`     | LZ4 blocks, alone or after their length                            |
//! | `blosc`   | blosc 1 frames of blosclz, LZ4, snappy, zlib or zstd               |
//! | `blosclz` | the codec of blosc                                                 |
//! | `snappy`  | snappy without a frame, a codec of blosc                           |
//! | `lzf`     | h5py's LZF                                                         |
//! | `shuffle` | bytes or bits of numbers, sorted by their position in the numbers  |

pub(crate) mod blosc;
mod blosclz;
pub(crate) mod deflate;
pub(crate) mod lz4;
#[cfg(feature = "hdf5")]
mod lzf;
pub(crate) mod shuffle;
mod snappy;
pub(crate) mod zstd;

use std::fmt;

/// The most bytes that one packed byte stands for: zstd packs 128 KiB of zeros into 4 bytes.
pub(crate) const DENSEST: u64 = 1 << 15;

/// The reason why bytes cannot be decoded. `Display` is the predicate of a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// The decoded bytes are more than the buffer holds.
    TooLong,
    /// The bytes contradict their format, in these words.
    Damaged(String),
}

impl DecodeError {
    pub(crate) fn damaged(reason: impl Into<String>) -> DecodeError {
        DecodeError::Damaged(reason.into())
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::TooLong => f.write_str("unpacks to more bytes than expected"),
            DecodeError::Damaged(reason) => f.write_str(reason),
        }
    }
}

/// A compressed format of HDF5 files.
#[cfg(feature = "hdf5")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    /// zlib's, which HDF5 calls gzip.
    Deflate,
    /// h5py's LZF.
    Lzf,
    /// Zstandard.
    Zstd,
    /// Blosc 1 with any codec.
    Blosc,
}

#[cfg(feature = "hdf5")]
impl Codec {
    /// Unpacks `bytes` into `out`. Returns how many bytes of it were filled; `None` if they do not
    /// suffice or `bytes` are damaged.
    pub(crate) fn unpack(self, bytes: &[u8], out: &mut [u8]) -> Option<usize> {
        match self {
            Codec::Deflate => deflate::decode(deflate::Frame::Zlib, bytes, out).ok(),
            Codec::Lzf => lzf::unpack(bytes, out),
            Codec::Zstd => zstd::decode(bytes, out).ok(),
            Codec::Blosc => blosc::decode(bytes, out).ok(),
        }
    }
}

/// The four bytes at `at` as a little-endian number.
fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes([four[0], four[1], four[2], four[3]]))
}

#[cfg(all(test, feature = "hdf5"))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_unpack_or_fail_and_fill_no_more_than_the_room(
            bytes in proptest::collection::vec(any::<u8>(), 0..300), room in 0_usize..2000,
        ) {
            for codec in [Codec::Deflate, Codec::Lzf, Codec::Zstd, Codec::Blosc] {
                let mut out = vec![0; room];
                prop_assert!(codec.unpack(&bytes, &mut out).is_none_or(|filled| filled <= room));
            }
        }
    }
}
