//! The members of a zip archive, each read from its beginning to its end.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::Crc;
use flate2::bufread::DeflateDecoder;
use zip::{CompressionMethod, ZipArchive};

use crate::StorageError;

/// The most members of an archive. NumPy writes one for each array.
const MOST: usize = 1000;

/// Bytes of the archive that are read at a time.
const PIECE: usize = 256 << 10;

/// Bytes that a stream keeps in memory: packed bytes, and the window of deflate.
pub(super) const RESIDENT: u64 = PIECE as u64 + (64 << 10);

/// The remedy for damaged archives.
pub(super) const DAMAGED: &str = "copy or create it again";

/// A file in an archive.
#[derive(Clone)]
pub(super) struct Member {
    archive: Arc<File>,
    path: PathBuf,
    /// Its name without the ending `.npy`.
    pub(super) name: String,
    start: u64,
    packed: u64,
    /// Bytes of its content.
    pub(super) size: u64,
    deflated: bool,
    checksum: u32,
}

/// Lists the arrays in the archive at `path`.
///
/// # Errors
///
/// - the archive is damaged, or no archive of arrays
/// - an array is compressed with another method than deflate
pub(super) fn members(path: &Path) -> Result<Vec<Member>, StorageError> {
    let io = |e| StorageError::io("read", path, e);
    let unknown = |reason: String| StorageError::UnknownFormat { path: path.into(), reason };
    let damaged = |error: &dyn std::fmt::Display| unknown(format!("it is a damaged zip archive ({error}); {DAMAGED}"));
    let file = File::open(path).map_err(io)?;
    let len = file.metadata().map_err(io)?.len();
    let archive = Arc::new(file.try_clone().map_err(io)?);
    let mut directory = ZipArchive::new(io::BufReader::new(file)).map_err(|e| damaged(&e))?;
    if directory.len() > MOST {
        return Err(unknown(format!("it is a zip archive of {} files, expected arrays of NumPy", directory.len())));
    }
    let mut members = Vec::new();
    for at in 0..directory.len() {
        let entry = directory.by_index_raw(at).map_err(|e| damaged(&e))?;
        let name = entry.name().map_err(|e| damaged(&e))?.into_owned();
        let Some(name) = name.strip_suffix(".npy") else { continue };
        let deflated = match entry.compression() {
            CompressionMethod::Stored => false,
            CompressionMethod::DEFLATE => true,
            _ => return Err(unknown(format!("\"{name}\" is not compressed with deflate; save it with numpy.savez"))),
        };
        if entry.encrypted() {
            return Err(unknown(format!("\"{name}\" is encrypted; save it with numpy.savez")));
        }
        let (start, packed, size) = (entry.data_start(), entry.compressed_size(), entry.size());
        let start = start.ok_or_else(|| damaged(&format!("\"{name}\" has no data")))?;
        if start.checked_add(packed).is_none_or(|end| end > len) || (!deflated && packed != size) {
            return Err(damaged(&format!("\"{name}\" claims more bytes than there are")));
        }
        let (name, checksum, archive) = (name.to_owned(), entry.crc32(), archive.clone());
        members.push(Member { archive, path: path.into(), name, start, packed, size, deflated, checksum });
    }
    Ok(members)
}

impl Member {
    /// Its content. The read that reaches its end fails if the checksum is another.
    pub(super) fn stream(&self) -> Box<dyn Read + Send> {
        let span = Span { file: self.archive.clone(), at: self.start, left: self.packed };
        let packed = io::BufReader::with_capacity(PIECE, span);
        let content: Box<dyn Read + Send> =
            if self.deflated { Box::new(DeflateDecoder::new(packed)) } else { Box::new(packed) };
        Box::new(Checked { content, left: self.size, sum: Crc::new(), expected: self.checksum })
    }

    /// The error of a read of the content.
    pub(super) fn fault(&self, error: io::Error) -> StorageError {
        use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        match error.kind() {
            UnexpectedEof => self.invalid("ends early: the file is damaged".into()),
            InvalidData | InvalidInput => self.invalid(format!("is damaged ({error})")),
            _ => StorageError::io("read", &self.path, error),
        }
    }

    /// The error of content that cannot be used.
    pub(super) fn invalid(&self, problem: String) -> StorageError {
        let (path, dataset) = (self.path.clone(), self.name.clone());
        StorageError::InvalidDataset { path, dataset, problem, remedy: DAMAGED.into() }
    }
}

/// A part of a file.
struct Span {
    file: Arc<File>,
    at: u64,
    left: u64,
}

impl Read for Span {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(out.len());
        let read = self.file.read_at(&mut out[..most], self.at)?;
        self.at += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}

/// Content of a known length and checksum.
struct Checked {
    content: Box<dyn Read + Send>,
    left: u64,
    sum: Crc,
    expected: u32,
}

impl Read for Checked {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(out.len());
        let read = self.content.read(&mut out[..most])?;
        self.sum.update(&out[..read]);
        self.left -= read as u64;
        if read > 0 && self.left == 0 && self.sum.sum() != self.expected {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its checksum is another"));
        }
        Ok(read)
    }
}
