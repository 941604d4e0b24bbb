//! Reads a text in pieces of whole lines, which several threads parse.
//!
//! One thread reads, and unpacks, one piece after the other. Parsers take the pieces as they come,
//! and the stream returns them in the order of the file. A fixed number of buffers goes around, so
//! that memory is bounded.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle, available_parallelism};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::parse::{Fault, FaultKind, Found, Rules, parse};
use crate::StorageError;
use crate::source::Entries;
use crate::source::unpacked::{self, Unpacked};

/// Bytes of text in a piece, and of the longest line.
const PIECE: usize = 1 << 18;

/// The most parsers. One reader keeps no more busy.
const MOST_PARSERS: usize = 4;

/// Buffers beside those that are parsed: one is filled, one waits, one is taken from.
const BESIDE: usize = 3;

/// Bytes in memory for an entry.
const ENTRY: usize = 3 * size_of::<u32>();

/// A text that is being read.
pub(super) struct Stream {
    done: Receiver<Piece>,
    free: Option<Sender<Buffers>>,
    /// Pieces that were parsed before earlier ones.
    early: BTreeMap<u64, Piece>,
    /// The number of the next piece.
    next: u64,
    threads: Vec<JoinHandle<()>>,
}

/// Memory for a piece.
#[derive(Default)]
pub(super) struct Buffers {
    text: Vec<u8>,
    pub(super) entries: Entries,
}

/// Some lines of the text.
struct Piece {
    number: u64,
    buffers: Buffers,
    outcome: Outcome,
}

/// A piece, or the end of a text.
pub(super) enum Outcome {
    /// Lines without a fault.
    Parsed(Found),
    /// A line that no matrix may hold.
    Refused(Fault),
    /// The file cannot be read.
    Failed(StorageError),
    /// No line is left.
    End,
}

impl Stream {
    /// Begins to read the file at `path` behind its first `skip` bytes.
    ///
    /// # Errors
    ///
    /// - the file cannot be opened
    /// - the system starts no threads
    pub(super) fn begin(path: &Path, skip: usize, rules: &Arc<Rules>) -> Result<Stream, StorageError> {
        let file = Unpacked::open(path)?;
        let count = parsers() + BESIDE;
        let ((put, free), (submit, jobs), (send, done)) = (bounded(count), bounded(count), bounded(count + 1));
        (0..count).for_each(|_| drop(put.send(Buffers::default())));
        let mut stream =
            Stream { done, free: Some(put), early: BTreeMap::new(), next: 0, threads: Vec::with_capacity(count) };
        let reader = Reader { file, skip, free, jobs: submit, done: send.clone() };
        stream.start(move || reader.run())?;
        for _ in 0..parsers() {
            let (jobs, done, rules) = (jobs.clone(), send.clone(), Arc::clone(rules));
            stream.start(move || parse_pieces(&jobs, &done, &rules))?;
        }
        Ok(stream)
    }

    fn start(&mut self, work: impl FnOnce() + Send + 'static) -> Result<(), StorageError> {
        let thread = Builder::new().name("matrix-market".into()).spawn(work);
        self.threads.push(thread.map_err(|source| StorageError::Threads { source })?);
        Ok(())
    }

    /// The next piece in the order of the file, with its entries. Give the buffers
    /// [back](Self::give_back).
    pub(super) fn next(&mut self) -> (Buffers, Outcome) {
        loop {
            if let Some(Piece { buffers, outcome, .. }) = self.early.remove(&self.next) {
                self.next += 1;
                return (buffers, outcome);
            }
            match self.done.recv() {
                Ok(piece) => drop(self.early.insert(piece.number, piece)),
                Err(_) => return (Buffers::default(), Outcome::End),
            }
        }
    }

    /// Makes the memory of a piece free for another one.
    pub(super) fn give_back(&self, buffers: Buffers) {
        if let Some(free) = &self.free {
            // Without a reader, nobody needs it.
            let _ = free.send(buffers);
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // The reader ends when no buffer can come, and the parsers when no piece can.
        self.free = None;
        for thread in self.threads.drain(..) {
            // A panic was printed where it happened, and its piece is missing.
            let _ = thread.join();
        }
    }
}

/// Bytes that a stream takes.
pub(super) fn resident_bytes(is_pattern: bool) -> u64 {
    // "1 1\n" or "1 1 1\n". Lists of entries grow by doubling.
    let shortest = if is_pattern { 4 } else { 6 };
    let buffers = PIECE + 2 * (PIECE / shortest) * ENTRY;
    ((parsers() + BESIDE) * buffers + PIECE) as u64 + unpacked::RESIDENT
}

fn parsers() -> usize {
    available_parallelism().map_or(1, usize::from).min(MOST_PARSERS)
}

fn parse_pieces(jobs: &Receiver<(u64, Buffers)>, done: &Sender<Piece>, rules: &Rules) {
    for (number, mut buffers) in jobs {
        buffers.entries.clear();
        let outcome = match parse(&buffers.text, rules, &mut buffers.entries) {
            Ok(found) => Outcome::Parsed(found),
            Err(fault) => Outcome::Refused(fault),
        };
        if done.send(Piece { number, buffers, outcome }).is_err() {
            return;
        }
    }
}

/// Cuts a text into pieces.
struct Reader {
    file: Unpacked,
    skip: usize,
    free: Receiver<Buffers>,
    jobs: Sender<(u64, Buffers)>,
    done: Sender<Piece>,
}

impl Reader {
    /// Reads until the file or the stream ends.
    fn run(mut self) {
        let (mut number, mut rest) = (0, Vec::new());
        let outcome = loop {
            let Ok(mut buffers) = self.free.recv() else { return };
            match self.fill(&mut buffers.text, &mut rest) {
                Ok(true) => {}
                Ok(false) => break Outcome::End,
                Err(outcome) => break outcome,
            }
            if self.jobs.send((number, buffers)).is_err() {
                return;
            }
            number += 1;
        };
        // A stream that was dropped needs no end.
        let _ = self.done.send(Piece { number, buffers: Buffers::default(), outcome });
    }

    /// Fills `text` with whole lines: the `rest` of the piece before and as many as fit. Returns
    /// false if no line is left.
    fn fill(&mut self, text: &mut Vec<u8>, rest: &mut Vec<u8>) -> Result<bool, Outcome> {
        while self.skip > 0 {
            text.resize(self.skip.min(PIECE), 0);
            self.skip -= text.len();
            self.file.fill(text).map_err(Outcome::Failed)?;
        }
        text.resize(PIECE, 0);
        text[..rest.len()].copy_from_slice(rest);
        let filled = rest.len() + self.file.fill(&mut text[rest.len()..]).map_err(Outcome::Failed)?;
        rest.clear();
        text.truncate(filled);
        if filled == PIECE {
            let Some(end) = memchr::memrchr(b'\n', text) else {
                let kind =
                    FaultKind::Form(format!("has more than {PIECE} bytes, expected a row, a column and a value"));
                return Err(Outcome::Refused(Fault { line: 0, entries: 0, kind }));
            };
            rest.extend_from_slice(&text[end + 1..]);
            text.truncate(end + 1);
        }
        Ok(filled > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All entries of a text in order.
    fn read(text: &str) -> (Vec<f32>, Outcome) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let rules = Rules { rows: 9, columns: 9, is_pattern: false, by_cell: false, genes: None };
        let mut stream = Stream::begin(file.path(), 5, &Arc::new(rules)).unwrap();
        let mut values = Vec::new();
        loop {
            match stream.next() {
                (buffers, Outcome::Parsed(_)) => {
                    values.extend_from_slice(&buffers.entries.values);
                    stream.give_back(buffers);
                }
                (_, outcome) => return (values, outcome),
            }
        }
    }

    #[test]
    fn pieces_come_in_the_order_of_the_file_with_any_cut() {
        for end in ["", "\n", "\n\n"] {
            let lines: Vec<String> = (0..200_000).map(|at| format!("{} {} {at}", at % 9 + 1, at % 7 + 1)).collect();
            let (values, outcome) = read(&format!("skip\n{}{end}", lines.join("\n")));
            assert!(matches!(outcome, Outcome::End));
            assert!(values.iter().enumerate().all(|(at, &value)| value == at as f32) && values.len() == 200_000);
        }
    }

    #[test]
    fn a_line_without_an_end_is_refused() {
        let (_, outcome) = read(&format!("skip\n1 1 1\n1 1 1{}", " ".repeat(2 * PIECE)));
        assert!(matches!(outcome, Outcome::Refused(fault) if fault.kind != FaultKind::Value(0.0)));
    }

    #[test]
    fn a_stream_may_be_dropped_at_any_time() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "1 1 1\n".repeat(1_000_000)).unwrap();
        let rules = Rules { rows: 1, columns: 1, is_pattern: false, by_cell: false, genes: None };
        for pieces in [0, 1, 9] {
            let mut stream = Stream::begin(file.path(), 0, &Arc::new(rules.clone())).unwrap();
            (0..pieces).for_each(|_| {
                let (buffers, _) = stream.next();
                stream.give_back(buffers);
            });
        }
    }
}
