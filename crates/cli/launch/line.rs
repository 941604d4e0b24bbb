//! A line in a buffer of fixed size, for code that must not allocate.

use std::fmt;

/// Two of the longest paths and a sentence.
const ROOM: usize = 9000;

/// A line that is put together piece by piece. What does not fit is left out.
#[derive(Debug)]
pub(super) struct Line {
    bytes: [u8; ROOM],
    length: usize,
}

impl Line {
    /// An empty line.
    pub(super) const fn new() -> Self {
        Line { bytes: [0; ROOM], length: 0 }
    }

    /// Adds `text`. Line feeds become spaces, as in every line of the program.
    pub(super) fn push(&mut self, text: &[u8]) {
        // The last byte is for the line feed.
        let free = &mut self.bytes[self.length..ROOM - 1];
        let kept = text.len().min(free.len());
        for (to, &from) in free.iter_mut().zip(text) {
            *to = if from == b'\n' { b' ' } else { from };
        }
        self.length += kept;
    }

    /// The line with its line feed.
    pub(super) fn finished(&mut self) -> &[u8] {
        self.bytes[self.length] = b'\n';
        &self.bytes[..=self.length]
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_however_long_it_is() {
        let mut line = Line::new();
        line.push(b"a\nb");
        assert_eq!(line.finished(), b"a b\n");
        line.push(&[b'x'; 2 * ROOM]);
        line.push(b"y");
        let bytes = line.finished();
        assert_eq!((bytes.len(), bytes.iter().filter(|&&byte| byte == b'\n').count()), (ROOM, 1));
    }
}
