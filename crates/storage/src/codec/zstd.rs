//! Zstd frames.

use std::cell::RefCell;

use zstd_safe::DCtx;

use super::DecodeError;

/// Decodes one frame, or several in a row, into `out`. Returns the number of bytes.
///
/// # Errors
///
/// - `bytes` are damaged, or unpack to more than `out` holds
pub(crate) fn decode(bytes: &[u8], out: &mut [u8]) -> Result<usize, DecodeError> {
    thread_local! {
        static DECODER: RefCell<DCtx<'static>> = RefCell::new(DCtx::create());
    }
    let decoded = DECODER.with_borrow_mut(|decoder| decoder.decompress(out, bytes));
    decoded.map_err(|code| match zstd_safe::get_error_name(code) {
        name if name.contains("too small") => DecodeError::TooLong,
        name => DecodeError::damaged(format!("is no valid zstd data ({})", name.to_lowercase())),
    })
}

/// The length that the first frame states for its decoded bytes, if it states one.
pub(crate) fn stated_len(bytes: &[u8]) -> Option<u64> {
    zstd_safe::get_frame_content_size(bytes).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_decoded_and_never_beyond_the_buffer() {
        let plain: Vec<u8> = (0..5000_u32).map(|i| (i * i % 251) as u8).collect();
        let mut packed = vec![0; 10_000];
        let len = zstd_safe::compress(&mut packed[..], &plain, 3).unwrap();
        packed.truncate(len);
        let mut out = vec![0; 6000];
        assert_eq!(decode(&packed, &mut out), Ok(5000));
        assert_eq!(out[..5000], plain);
        assert_eq!(decode(&packed, &mut out[..4999]), Err(DecodeError::TooLong));
        assert_eq!(stated_len(&packed), Some(5000));
        for len in (1..packed.len()).step_by(37) {
            assert!(matches!(decode(&packed[..len], &mut out), Err(DecodeError::Damaged(_))), "cut to {len}");
        }
    }
}
