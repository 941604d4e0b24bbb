//! The files of a zip archive, found through the directory at its end.
//!
//! A file that is stored as it is can be read at any place, so that an inner chunk of a shard is read
//! without the rest of the shard. The directory has a record of each file: its name, its packed and
//! unpacked length, and where it begins. Lengths and places of 32 bits that are all ones are in an
//! extra field of 64 bits (zip64).

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes of the end of a directory, without the comment after it.
const END: usize = 22;

/// The longest comment.
const COMMENT: u64 = 65_535;

/// A larger directory is refused.
const LARGEST: u64 = 1 << 30;

/// The archive.
#[derive(Debug)]
pub(super) struct Archive {
    file: File,
    len: u64,
    records: BTreeMap<String, Record>,
    /// Bytes of the directory.
    directory: u64,
}

/// A file of the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    /// The position of its header.
    at: u64,
    /// Bytes in the archive.
    pub(super) packed: u64,
    /// Bytes, unpacked.
    pub(super) len: u64,
    method: u16,
    encrypted: bool,
}

/// How a file is packed, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packed {
    /// Stored as it is, from this position on.
    Stored(u64),
    /// Deflated, from this position on.
    Deflated(u64),
}

impl Archive {
    /// Reads the directory of the archive.
    ///
    /// # Errors
    ///
    /// - it is not a zip archive, or damaged; the message is a predicate
    pub(super) fn open(file: File) -> io::Result<Archive> {
        let len = file.metadata()?.len();
        let Directory { start, size, files: announced } = directory(&file, len)?;
        if size > LARGEST || start.checked_add(size).is_none_or(|end| end > len) {
            return Err(damaged(format!("has a directory of {size} bytes at byte {start} of {len}")));
        }
        let mut bytes = vec![0; size as usize];
        file.read_exact_at(&mut bytes, start)?;
        let mut records = BTreeMap::new();
        let (mut rest, mut count) = (&bytes[..], 0);
        while rest.starts_with(b"PK\x01\x02") {
            let (name, record, next) =
                record(rest).ok_or_else(|| damaged("has a directory that is cut short".into()))?;
            // A name that is written again replaces the file. Names of folders end with a slash.
            if !name.ends_with('/') {
                records.insert(name, record);
            }
            rest = next;
            count += 1;
        }
        // Behind a damaged record, files would count as absent: their chunks as zeros.
        if !rest.is_empty() || count != announced {
            return Err(damaged(format!("has a directory of {announced} files, but {count} of them can be read")));
        }
        Ok(Archive { file, len, records, directory: size })
    }

    /// The file called `name`.
    pub(super) fn find(&self, name: &str) -> Option<Record> {
        self.records.get(name).copied()
    }

    /// The files whose names begin with `prefix`, in the order of names.
    pub(super) fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, Record)> {
        let from = self.records.range::<str, _>((std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded));
        from.take_while(move |(name, _)| name.starts_with(prefix)).map(|(name, record)| (name.as_str(), *record))
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Bytes in memory, about.
    pub(super) fn resident_bytes(&self) -> u64 {
        2 * self.directory
    }

    /// Finds the bytes of a file.
    ///
    /// # Errors
    ///
    /// - the archive is damaged, or the file is packed in another way; the message is a predicate
    pub(super) fn place(&self, record: Record) -> io::Result<Packed> {
        let mut header = [0; 30];
        let outside = || damaged(format!("is at byte {} of an archive of {}", record.at, self.len));
        self.file.read_exact_at(&mut header, record.at).map_err(|_| outside())?;
        if !header.starts_with(b"PK\x03\x04") {
            return Err(damaged("is not where the directory of the archive says".into()));
        }
        let start = record.at + 30 + u64::from(u16_at(&header, 26)) + u64::from(u16_at(&header, 28));
        if start.checked_add(record.packed).is_none_or(|end| end > self.len) {
            return Err(outside());
        }
        match record.method {
            _ if record.encrypted => Err(damaged("is encrypted".into())),
            0 if record.packed == record.len => Ok(Packed::Stored(start)),
            0 => Err(damaged("is stored, but its lengths differ".into())),
            8 => Ok(Packed::Deflated(start)),
            other => Err(damaged(format!("is packed with method {other} of zip archives, expected deflate or none"))),
        }
    }
}

/// Where the directory is.
struct Directory {
    start: u64,
    size: u64,
    /// The number of its records.
    files: u64,
}

/// Finds the directory.
fn directory(file: &File, len: u64) -> io::Result<Directory> {
    let tail_start = len.saturating_sub(COMMENT + END as u64);
    let mut tail = vec![0; (len - tail_start) as usize];
    file.read_exact_at(&mut tail, tail_start)?;
    let found = (0..(tail.len() + 1).saturating_sub(END)).rev().find(|&at| tail[at..].starts_with(b"PK\x05\x06"));
    let at = found.ok_or_else(|| damaged("has no directory at its end: the archive is cut short".into()))?;
    let end = &tail[at..];
    let (files, size, start) = (u16_at(end, 10), u32_at(end, 12), u32_at(end, 16));
    let plain = Directory { start: start.into(), size: size.into(), files: files.into() };
    if size != u32::MAX && start != u32::MAX && files != u16::MAX {
        return Ok(plain);
    }
    let cut = || damaged("has a zip64 directory that is damaged".into());
    let locator_at = (tail_start + at as u64).checked_sub(20).ok_or_else(cut)?;
    let mut locator = [0; 20];
    file.read_exact_at(&mut locator, locator_at)?;
    if !locator.starts_with(b"PK\x06\x07") {
        return Ok(plain);
    }
    let mut end = [0; 56];
    file.read_exact_at(&mut end, u64_at(&locator, 8)).map_err(|_| cut())?;
    if !end.starts_with(b"PK\x06\x06") {
        return Err(cut());
    }
    Ok(Directory { start: u64_at(&end, 48), size: u64_at(&end, 40), files: u64_at(&end, 32) })
}

/// The first record of the directory, and the rest of it.
fn record(bytes: &[u8]) -> Option<(String, Record, &[u8])> {
    let fixed = bytes.get(..46)?;
    let lens = [28, 30, 32].map(|at| usize::from(u16_at(fixed, at)));
    let name = bytes.get(46..46 + lens[0])?;
    let extra = bytes.get(46 + lens[0]..46 + lens[0] + lens[1])?;
    let next = bytes.get(46 + lens[0] + lens[1] + lens[2]..)?;
    let mut wide = zip64(extra);
    // The extra field has those numbers that are all ones, in this order.
    let mut number = |at| match u32_at(fixed, at) {
        u32::MAX => wide.next(),
        narrow => Some(u64::from(narrow)),
    };
    let (len, packed, at) = (number(24)?, number(20)?, number(42)?);
    let record = Record { at, packed, len, method: u16_at(fixed, 10), encrypted: u16_at(fixed, 8) & 1 != 0 };
    Some((String::from_utf8_lossy(name).into_owned(), record, next))
}

/// The numbers of the zip64 field.
fn zip64(mut extra: &[u8]) -> impl Iterator<Item = u64> + '_ {
    let mut field: &[u8] = &[];
    while extra.len() >= 4 {
        let (kind, len) = (u16_at(extra, 0), usize::from(u16_at(extra, 2)));
        let end = (4 + len).min(extra.len());
        if kind == 1 {
            field = &extra[4..end];
        }
        extra = &extra[end..];
    }
    field.chunks_exact(8).map(|number| u64_at(number, 0))
}

fn damaged(predicate: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, predicate)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_64_bits_come_from_the_extra_field() {
        let mut bytes = b"PK\x01\x02".to_vec();
        bytes.resize(46, 0);
        let mut put = |at: usize, number: &[u8]| bytes[at..at + number.len()].copy_from_slice(number);
        put(20, &7_u32.to_le_bytes());
        put(24, &u32::MAX.to_le_bytes());
        put(28, &3_u16.to_le_bytes());
        put(30, &26_u16.to_le_bytes());
        put(42, &u32::MAX.to_le_bytes());
        bytes.extend(b"a/0");
        // Another field first, then the unpacked length and the position.
        bytes.extend([0x55, 0x54, 2, 0, 9, 9, 1, 0, 16, 0]);
        bytes.extend((5_u64 << 32).to_le_bytes());
        bytes.extend((6_u64 << 32).to_le_bytes());
        bytes.extend(b"next");
        let (name, found, next) = record(&bytes).unwrap();
        let expected = Record { at: 6 << 32, packed: 7, len: 5 << 32, method: 0, encrypted: false };
        assert_eq!((name.as_str(), found, next), ("a/0", expected, &b"next"[..]));
        for len in 0..bytes.len() - 4 {
            assert!(record(&bytes[..len]).is_none(), "cut to {len}");
        }
    }
}
