//! The header of a Matrix Market file: a banner, comments, and the sizes of the matrix.
//!
//! ```text
//! %%MatrixMarket matrix coordinate integer general
//! % any number of comments
//! 33538 996 1102741
//! ```

use std::path::Path;

use crate::StorageError;
use crate::source::unpacked::{Unpacked, most_bytes};

/// The content of the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Entries have no value. Each is 1.
    pub(super) is_pattern: bool,
    pub(super) rows: u32,
    pub(super) columns: u32,
    pub(super) entries: u64,
    /// Bytes of the header.
    pub(super) bytes: usize,
    /// Lines of the header.
    pub(super) lines: u64,
}

/// Longer headers are refused.
const LONGEST: usize = 1 << 20;

/// Bytes of the header read at a time.
const PIECE: usize = 1 << 12;

impl Header {
    /// Reads the header of the file at `path`.
    ///
    /// # Errors
    ///
    /// - the file cannot be read
    /// - it is no matrix in coordinates, not of real numbers, or only half of one
    /// - it cannot hold as many entries as it claims
    pub(super) fn read(path: &Path) -> Result<Header, StorageError> {
        let mut file = Unpacked::open(path)?;
        let mut text = Vec::new();
        loop {
            let held = text.len();
            text.resize(held + PIECE, 0);
            let read = file.fill(&mut text[held..])?;
            text.truncate(held + read);
            let is_all = read < PIECE;
            if let Some(header) = Header::parse(&text, is_all).map_err(|(line, problem, remedy)| {
                StorageError::InvalidLine { path: path.into(), line, problem, remedy: remedy.into() }
            })? {
                return header.hold_against(path);
            }
        }
    }

    /// The header at the beginning of `text`; `None` if more text is needed.
    fn parse(text: &[u8], is_all: bool) -> Result<Option<Header>, Fault> {
        let (mut lines, mut bytes, mut banner) = (0, 0, None);
        loop {
            let rest = &text[bytes..];
            let line = match memchr::memchr(b'\n', rest) {
                Some(end) => &rest[..end],
                None if !is_all && text.len() < LONGEST => return Ok(None),
                None if !is_all => return Err(fault(lines + 1, format!("is beyond a header of {LONGEST} bytes"))),
                None => rest,
            };
            let is_last = line.len() == rest.len();
            bytes += line.len() + usize::from(!is_last);
            lines += 1;
            let line = String::from_utf8_lossy(line);
            match banner {
                None => banner = Some(is_pattern(&line)?),
                Some(is_pattern) if !line.starts_with('%') && !line.trim().is_empty() => {
                    let (rows, columns, entries) = sizes(&line, lines)?;
                    return Ok(Some(Header { is_pattern, rows, columns, entries, bytes, lines }));
                }
                Some(_) => {}
            }
            if is_last {
                return Err(fault(lines, "ends the file before the sizes of the matrix".into()));
            }
        }
    }

    /// Checks the claim of entries against the length of the file.
    fn hold_against(self, path: &Path) -> Result<Header, StorageError> {
        // Two places, a value, a blank after each.
        let shortest = if self.is_pattern { 4 } else { 6 };
        // The last one may have no end of line.
        let most = (most_bytes(path)? + 1) / shortest;
        if self.entries <= most {
            return Ok(self);
        }
        let (path, line) = (path.into(), self.lines);
        let problem = format!("claims {} entries, but a file of this length holds at most {most}", self.entries);
        Err(StorageError::InvalidLine { path, line, problem, remedy: DAMAGED.into() })
    }
}

/// The remedy for damaged files.
pub(super) const DAMAGED: &str = "the file is damaged, copy or create it again";

/// A line, its problem and the remedy.
type Fault = (u64, String, &'static str);

fn fault(line: u64, problem: String) -> Fault {
    (line, problem, DAMAGED)
}

/// Whether the banner says that entries have no values.
fn is_pattern(banner: &str) -> Result<bool, Fault> {
    let words: Vec<String> = banner.split_ascii_whitespace().map(str::to_ascii_lowercase).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let refuse = |problem: String, remedy| Err((1, problem, remedy));
    let (form, field, symmetry) = match words[..] {
        [_, "matrix", form, field, symmetry] => (form, field, symmetry),
        _ => {
            let problem = "is not \"%%MatrixMarket matrix coordinate\" with a type and a symmetry".to_owned();
            return refuse(problem, "save a sparse matrix with scipy.io.mmwrite");
        }
    };
    if form != "coordinate" {
        let problem = format!("announces the form {form}, expected coordinate");
        return refuse(problem, "save a sparse matrix: scipy.io.mmwrite(NAME, scipy.sparse.coo_matrix(x))");
    }
    if symmetry != "general" {
        let problem = format!("announces a matrix that is {symmetry} and stored in half, expected general");
        return refuse(problem, "save all of it: scipy.io.mmwrite(NAME, x, symmetry=\"general\")");
    }
    match field {
        "real" | "double" | "integer" | "unsigned-integer" => Ok(false),
        "pattern" => Ok(true),
        _ => refuse(format!("announces {field} numbers, expected real, integer or pattern"), "save real numbers"),
    }
}

/// Rows, columns and entries.
fn sizes(line: &str, number: u64) -> Result<(u32, u32, u64), Fault> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let numbers: Vec<Option<u64>> = words.iter().map(|word| word.parse().ok()).collect();
    let [Some(rows), Some(columns), Some(entries)] = numbers[..] else {
        return Err(fault(
            number,
            format!("is \"{}\", expected the numbers of rows, columns and entries", Shown(line)),
        ));
    };
    match (u32::try_from(rows), u32::try_from(columns)) {
        (Ok(rows), Ok(columns)) => Ok((rows, columns, entries)),
        _ => Err(fault(number, format!("has the sizes {rows} × {columns}, which are not supported"))),
    }
}

/// The beginning of a line, as messages show it.
pub(super) struct Shown<'a>(pub(super) &'a str);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const SHOWN: usize = 40;
        let line = self.0.trim();
        let shown: String = line.chars().take(SHOWN).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        write!(f, "{shown}{}", if shown.len() < line.len() { "…" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BANNER: &str = "%%MatrixMarket matrix coordinate real general\n";

    #[test]
    fn comments_and_blank_lines_come_before_the_sizes() {
        for (middle, lines) in [("", 2), ("%\n% hi\n\n  \n", 6)] {
            let text = format!("{BANNER}{middle}3 5 7\r\n1 1 1\n");
            let header = Header::parse(text.as_bytes(), true).unwrap().unwrap();
            assert_eq!((header.rows, header.columns, header.entries, header.lines), (3, 5, 7, lines));
            assert_eq!(&text.as_bytes()[header.bytes..], b"1 1 1\n");
            assert_eq!(Header::parse(&text.as_bytes()[..BANNER.len() + 2], false), Ok(None));
        }
        assert!(Header::parse(format!("{BANNER}3 5 7").as_bytes(), true).unwrap().is_some());
    }

    #[test]
    fn other_headers_are_refused_with_a_remedy() {
        let said = |text: String| {
            let (line, problem, remedy) = Header::parse(text.as_bytes(), true).unwrap_err();
            format!("{line} {problem}; {remedy}")
        };
        for (banner, word) in [
            ("%%MatrixMarket matrix array real general", "coo_matrix"),
            ("%%MatrixMarket matrix coordinate real symmetric", "symmetry=\"general\""),
            ("%%MatrixMarket matrix coordinate complex general", "real numbers"),
            ("%%MatrixMarket vector coordinate real general", "mmwrite"),
            ("%%MatrixMarket", "mmwrite"),
        ] {
            assert!(said(format!("{banner}\n1 1 0\n")).contains(word), "{banner}");
        }
        for (sizes, word) in [
            ("", "2 ends the file"),
            ("%\n%", "3 ends the file"),
            ("80 t 4352", "2 is \"80 t 4352\""),
            ("3 5", "expected the numbers"),
            ("3 5 7 9", "expected the numbers"),
            ("-3 5 7", "expected the numbers"),
            ("4294967296 5 7", "not supported"),
        ] {
            let said = said(format!("{BANNER}{sizes}"));
            assert!(said.contains(word), "{said}");
        }
        let long = format!("{BANNER}%{}", "x".repeat(LONGEST));
        assert!(Header::parse(long.as_bytes(), false).unwrap_err().1.contains("beyond a header"));
    }
}
