//! The decoders that turn the bytes of a file into those of values.

use crate::codec::deflate::{self, Frame};
use crate::codec::shuffle::unshuffle;
use crate::codec::{DENSEST, DecodeError, blosc, lz4, zstd};

/// The least that is tried for bytes whose unpacked length nothing states.
const SMALLEST: u64 = 64 << 10;

/// One decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Deflate in a frame.
    Deflate(Frame),
    /// Zstd frames.
    Zstd,
    /// Blosc frames.
    Blosc,
    /// LZ4 after its length.
    Lz4,
    /// A checksum after the bytes.
    Crc32c,
    /// Shuffled bytes of numbers of this size.
    Shuffle(usize),
}

/// The length of decoded bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// This one.
    Exactly(usize),
    /// Not known, but no more than this.
    AtMost(u64),
}

/// Decodes `bytes` with one step after the other.
///
/// # Errors
///
/// The fault as a predicate.
pub(super) fn decode(steps: &[Step], mut bytes: Vec<u8>, length: Length) -> Result<Vec<u8>, String> {
    for (at, step) in steps.iter().enumerate() {
        let later_change = steps[at + 1..].iter().any(|step| step.unpacks());
        let most = match length {
            Length::Exactly(len) if !later_change => Length::Exactly(len),
            // A compressor inside of another one adds little to the length.
            Length::Exactly(len) => Length::AtMost(2 * len as u64 + SMALLEST),
            most => most,
        };
        bytes = step.decode(bytes, most)?;
    }
    match length {
        Length::Exactly(len) if bytes.len() != len => Err(format!("unpacks to {} bytes, expected {len}", bytes.len())),
        _ => Ok(bytes),
    }
}

impl Step {
    /// Whether the decoded length differs from the length before.
    pub(super) fn unpacks(self) -> bool {
        matches!(self, Step::Deflate(_) | Step::Zstd | Step::Blosc | Step::Lz4)
    }

    /// The decoded length that bytes state, if they state one.
    pub(super) fn stated_len(self, bytes: &[u8]) -> Option<u64> {
        match self {
            Step::Deflate(frame) => deflate::stated_len(frame, bytes),
            Step::Zstd => zstd::stated_len(bytes),
            Step::Blosc => blosc::stated_len(bytes),
            Step::Lz4 => lz4::stated_len(bytes),
            Step::Crc32c | Step::Shuffle(_) => None,
        }
    }

    fn decode(self, mut bytes: Vec<u8>, length: Length) -> Result<Vec<u8>, String> {
        match self {
            Step::Crc32c => {
                let body = bytes.len().checked_sub(4).ok_or("ends within its checksum")?;
                let stored = [bytes[body], bytes[body + 1], bytes[body + 2], bytes[body + 3]];
                bytes.truncate(body);
                match crc32c::crc32c(&bytes) == u32::from_le_bytes(stored) {
                    true => Ok(bytes),
                    false => Err("does not match its checksum".into()),
                }
            }
            Step::Shuffle(size) => {
                let mut out = vec![0; bytes.len()];
                unshuffle(size, &bytes, &mut out);
                Ok(out)
            }
            unpacker => unpacker.unpack(&bytes, length),
        }
    }

    fn unpack(self, bytes: &[u8], length: Length) -> Result<Vec<u8>, String> {
        let possible = (bytes.len() as u64).saturating_mul(DENSEST);
        let (mut room, most) = match length {
            Length::Exactly(len) if len as u64 > possible => {
                return Err(format!("has {} bytes, too few for the {len} of a chunk", bytes.len()));
            }
            Length::Exactly(len) => (len as u64, len as u64),
            Length::AtMost(most) => {
                let most = most.min(possible);
                (self.stated_len(bytes).unwrap_or(8 * bytes.len() as u64).clamp(SMALLEST.min(most), most), most)
            }
        };
        loop {
            let mut out = vec![0; room as usize];
            match self.decode_into(bytes, &mut out) {
                Ok(len) => {
                    out.truncate(len);
                    return Ok(out);
                }
                Err(DecodeError::TooLong) if room < most => room = room.saturating_mul(4).min(most),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    fn decode_into(self, bytes: &[u8], out: &mut [u8]) -> Result<usize, DecodeError> {
        match self {
            Step::Deflate(frame) => deflate::decode(frame, bytes, out),
            Step::Zstd => zstd::decode(bytes, out),
            Step::Blosc => blosc::decode(bytes, out),
            Step::Lz4 => lz4::decode_after_len(bytes, out),
            Step::Crc32c | Step::Shuffle(_) => Err(DecodeError::damaged("is not packed")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_unknown_length_are_decoded_up_to_the_most() {
        let plain = vec![7_u8; 1 << 20];
        let mut packer = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
        let mut packed = vec![0; 1 << 20];
        let len = packer.zlib_compress(&plain, &mut packed).unwrap();
        packed.truncate(len);
        let steps = [Step::Deflate(Frame::Zlib)];
        assert_eq!(decode(&steps, packed.clone(), Length::AtMost(1 << 30)), Ok(plain));
        let said = decode(&steps, packed.clone(), Length::AtMost(1 << 19)).unwrap_err();
        assert!(said.contains("more bytes than expected"), "{said}");
        let said = decode(&steps, packed, Length::Exactly((1 << 20) + 1)).unwrap_err();
        assert!(said.contains("1048576 bytes, expected 1048577"), "{said}");
    }

    #[test]
    fn a_checksum_is_checked() {
        let mut bytes = b"values".to_vec();
        bytes.extend(crc32c::crc32c(b"values").to_le_bytes());
        assert_eq!(decode(&[Step::Crc32c], bytes.clone(), Length::Exactly(6)), Ok(b"values".to_vec()));
        bytes[2] ^= 1;
        assert!(decode(&[Step::Crc32c], bytes, Length::Exactly(6)).unwrap_err().contains("checksum"));
    }
}
