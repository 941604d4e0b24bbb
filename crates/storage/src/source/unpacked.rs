//! Text files, plain or packed with gzip.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use crate::StorageError;
use crate::detect::{GZIP, NOT_REGULAR};

/// Bytes read of a packed file at a time.
const PACKED: usize = 1 << 18;

/// Bytes of the longest line of a list.
const LONGEST_LINE: usize = 64 << 10;

/// The most bytes into which deflate unpacks a byte.
const DENSEST: u64 = 1032;

/// The state of an unpacker: its window and its tables.
const UNPACKER: u64 = 64 << 10;

/// Bytes that an open file takes, packed or not.
pub(super) const RESIDENT: u64 = PACKED as u64 + UNPACKER;

/// A file that is read from the beginning to the end.
pub(super) struct Unpacked {
    path: PathBuf,
    reader: Box<dyn Read + Send>,
}

impl Unpacked {
    /// Opens the file. Its first bytes say whether it is packed.
    ///
    /// # Errors
    ///
    /// - nothing is at `path`, or not a regular file
    /// - it cannot be read
    pub(super) fn open(path: &Path) -> Result<Unpacked, StorageError> {
        let io = |e| StorageError::io("read", path, e);
        if !std::fs::metadata(path).map_err(io)?.is_file() {
            return Err(StorageError::UnknownFormat { path: path.into(), reason: NOT_REGULAR.into() });
        }
        let mut file = File::open(path).map_err(io)?;
        let is_packed = is_packed(&mut file).map_err(io)?;
        let reader: Box<dyn Read + Send> = match is_packed {
            true => Box::new(MultiGzDecoder::new(BufReader::with_capacity(PACKED, file))),
            false => Box::new(file),
        };
        Ok(Unpacked { path: path.into(), reader })
    }

    /// Fills `buffer` and returns the number of bytes, which is smaller only at the end of the file.
    ///
    /// # Errors
    ///
    /// - the file cannot be read
    /// - its packed form is damaged or cut short
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, StorageError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.reader.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.problem(error)),
            }
        }
        Ok(filled)
    }

    /// Calls `each` with each line that is not blank, in order, without its end.
    ///
    /// # Errors
    ///
    /// - as for [`fill`](Self::fill)
    /// - a line is longer than 64 KiB
    pub(super) fn visit_lines(mut self, mut each: impl FnMut(&[u8])) -> Result<(), StorageError> {
        let mut text = vec![0; LONGEST_LINE];
        let (mut held, mut lines) = (0, 0);
        loop {
            let filled = held + self.fill(&mut text[held..])?;
            let is_last = filled < text.len();
            let mut start = 0;
            loop {
                let rest = &text[start..filled];
                let end = memchr::memchr(b'\n', rest);
                let Some(end) = end.or((is_last && !rest.is_empty()).then_some(rest.len())) else { break };
                let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
                lines += 1;
                if !line.trim_ascii().is_empty() {
                    each(line);
                }
                start = filled.min(start + end + 1);
            }
            if is_last {
                return Ok(());
            }
            if start == 0 {
                let problem = format!("has more than {LONGEST_LINE} bytes");
                let remedy = "the file is damaged, copy or create it again".into();
                return Err(StorageError::InvalidLine { path: self.path, line: lines + 1, problem, remedy });
            }
            text.copy_within(start..filled, 0);
            held = filled - start;
        }
    }

    fn problem(&self, error: std::io::Error) -> StorageError {
        let reason = match error.kind() {
            ErrorKind::UnexpectedEof => "its packed data end too early; copy or download it again",
            ErrorKind::InvalidInput | ErrorKind::InvalidData => {
                "its packed data are damaged; copy or download it again"
            }
            _ => return StorageError::io("read", &self.path, error),
        };
        StorageError::UnknownFormat { path: self.path.clone(), reason: reason.into() }
    }
}

/// The most bytes of text that the file can hold.
///
/// # Errors
///
/// - nothing is at `path`, or it cannot be read
pub(super) fn most_bytes(path: &Path) -> Result<u64, StorageError> {
    let io = |e| StorageError::io("read", path, e);
    let mut file = File::open(path).map_err(io)?;
    let bytes = file.metadata().map_err(io)?.len();
    Ok(if is_packed(&mut file).map_err(io)? { bytes.saturating_mul(DENSEST) } else { bytes })
}

fn is_packed(file: &mut File) -> std::io::Result<bool> {
    let mut head = Vec::new();
    file.by_ref().take(GZIP.len() as u64).read_to_end(&mut head)?;
    file.rewind()?;
    Ok(head == GZIP)
}
