//! Splits a text into fields, in bounded memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use csv_core::{ReadFieldResult, Reader, ReaderBuilder};
use flate2::bufread::MultiGzDecoder;

/// Bytes of the text that are read at a time.
const PIECE: usize = 256 << 10;

/// Bytes of the longest field.
const LONGEST: usize = 64 << 10;

/// Bytes that reading a text keeps in memory: packed and plain pieces, the window of gzip, a field.
pub(super) const RESIDENT: u64 = (2 * PIECE + LONGEST + (64 << 10)) as u64;

/// The fields of a text, one after another.
pub(super) struct Fields {
    text: Box<dyn BufRead + Send>,
    parser: Reader,
    field: Vec<u8>,
    len: usize,
    /// Line ends that were read.
    ends: u64,
    /// The line of the last field, from 1 on.
    line: u64,
}

/// A fault of a text, as the rest of a sentence, or an error of the system.
pub(super) enum Fault {
    Text(String),
    System(io::Error),
}

impl Fields {
    /// Opens the text at `path`, plain or packed with gzip.
    pub(super) fn open(path: &Path, separator: u8) -> io::Result<Fields> {
        let (text, parser) = (open(path)?, ReaderBuilder::new().delimiter(separator).build());
        Ok(Fields { text, parser, field: vec![0; LONGEST], len: 0, ends: 0, line: 1 })
    }

    /// The last field.
    pub(super) fn field(&self) -> &[u8] {
        &self.field[..self.len]
    }

    /// The line of the last field, from 1 on.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// Reads the next field. Returns whether it is the last one of its line; `None` at the end of
    /// the text.
    pub(super) fn next(&mut self) -> Result<Option<bool>, Fault> {
        self.len = 0;
        loop {
            let input = self.text.fill_buf().map_err(unpacking)?;
            let (result, read, written) = self.parser.read_field(input, &mut self.field[self.len..]);
            self.ends += input[..read].iter().filter(|&&byte| byte == b'\n').count() as u64;
            let ends_line = input[..read].last() == Some(&b'\n');
            self.text.consume(read);
            self.len += written;
            let record_end = match result {
                ReadFieldResult::InputEmpty => continue,
                ReadFieldResult::OutputFull => {
                    let line = self.line;
                    let problem =
                        format!("has a field of more than {LONGEST} bytes after line {line}: a quote is missing");
                    return Err(Fault::Text(problem));
                }
                ReadFieldResult::End => return Ok(None),
                ReadFieldResult::Field { record_end } => record_end,
            };
            // The line end belongs to the line that it ends.
            self.line = self.ends + 1 - u64::from(record_end && ends_line);
            return Ok(Some(record_end));
        }
    }
}

/// Errors of packed texts.
pub(super) fn unpacking(error: io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Fault::Text("is cut short: gzip does not end".into()),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => Fault::Text(format!("is damaged ({error})")),
        _ => Fault::System(error),
    }
}

/// Opens a text, plain or packed with gzip.
pub(super) fn open(path: &Path) -> io::Result<Box<dyn BufRead + Send>> {
    let mut file = BufReader::with_capacity(PIECE, File::open(path)?);
    if file.fill_buf()?.starts_with(b"\x1f\x8b") {
        return Ok(Box::new(BufReader::with_capacity(PIECE, MultiGzDecoder::new(file))));
    }
    Ok(Box::new(file))
}
