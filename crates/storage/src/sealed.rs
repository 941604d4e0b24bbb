//! JSON with its own checksum: the last line is `"crc32c": "xxxxxxxx"}` and a newline, the CRC-32C
//! of all bytes before that line. The manifests of stores and of checkpoints have this form, which
//! `docs/format.md` specifies.

use std::path::Path;

use serde::Serialize;

use crate::error::StorageError;

/// `value`, an object of numbers, strings and the like with at least one field, as sealed JSON.
///
/// # Panics
///
/// When `value` is not such an object.
pub fn to_bytes(value: &impl Serialize) -> Vec<u8> {
    let text = serde_json::to_string_pretty(value).expect("numbers and strings only");
    let fields = text.strip_suffix("\n}").expect("an object with a field");
    let mut sealed = format!("{fields},\n").into_bytes();
    let line = last_line(crc32c::crc32c(&sealed));
    sealed.extend_from_slice(line.as_bytes());
    sealed
}

/// Verifies that `content`, read from `path`, is what was sealed.
///
/// # Errors
///
/// [`StorageError::Damaged`] if a byte differs or is missing.
pub fn check(content: &[u8], path: &Path) -> Result<(), StorageError> {
    let (before, line) = content.split_at(content.len().saturating_sub(last_line(0).len()));
    let expected = last_line(crc32c::crc32c(before));
    if line == expected.as_bytes() {
        return Ok(());
    }
    let found = format!("{:?}", String::from_utf8_lossy(line));
    Err(StorageError::damaged(path, "the last line", format!("{expected:?}"), found))
}

/// The last line, for the checksum of the lines above it.
pub(crate) fn last_line(crc: u32) -> String {
    format!("\"crc32c\": \"{crc:08x}\"}}\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_is_sealed_is_json_and_every_flipped_bit_and_every_cut_is_noticed() {
        let value = BTreeMap::from([("a", 1), ("b", 2)]);
        let (sealed, path) = (to_bytes(&value), Path::new("m"));
        check(&sealed, path).unwrap();
        let read: serde_json::Value = serde_json::from_slice(&sealed).unwrap();
        assert_eq!((&read["a"], &read["b"]), (&1.into(), &2.into()));
        for at in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[at] ^= 1 << (at % 8);
            assert!(check(&bad, path).is_err(), "byte {at}");
            assert!(check(&sealed[..at], path).is_err(), "cut at {at}");
        }
    }
}
