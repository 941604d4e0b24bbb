//! The numbers of an array in an archive, in their order.

use std::io::{self, Read};

use super::archive::{Member, RESIDENT};
use crate::StorageError;
use crate::number::{Rounding, Scalar};
use crate::source::npy::decode::{Decoder, decode_integers};
use crate::source::npy::header::{Array, Element};

/// Numbers decoded at a time.
const PIECE: usize = 1 << 14;

/// An array, read forwards. A read further back begins again.
pub(super) struct List {
    pub(super) member: Member,
    pub(super) array: Array,
    element: Element,
    big_endian: bool,
    decoder: Decoder,
    len: u64,
    /// The content, and the number that it gives next.
    stream: Option<(Box<dyn Read + Send>, u64)>,
    bytes: Vec<u8>,
}

/// The reason why values cannot be read.
pub(super) enum Fault {
    /// The archive.
    Archive(StorageError),
    /// NMF does not accept the value at this position.
    Value { at: usize, value: f64 },
}

impl List {
    /// Opens an array of numbers.
    ///
    /// # Errors
    ///
    /// - it has another type, or not as many bytes as its shape says
    pub(super) fn open(member: &Member) -> Result<List, StorageError> {
        let invalid = |problem| member.invalid(problem);
        let array = Array::read(member.stream()).map_err(invalid)?;
        let (element, big_endian) = array.element().map_err(invalid)?;
        let mut sides = array.shape.iter().map(|&side| side as u64);
        let len = sides.try_fold(1_u64, u64::checked_mul);
        let bytes = len.and_then(|len| len.checked_mul(element.size() as u64));
        let found = member.size.saturating_sub(array.data_start);
        match (len, bytes) {
            (Some(len), Some(bytes)) if bytes == found => {
                let (member, decoder) = (member.clone(), Decoder::new(element, big_endian));
                Ok(List { member, array, element, big_endian, decoder, len, stream: None, bytes: Vec::new() })
            }
            _ => Err(invalid(format!("has {found} bytes of numbers, which is not its shape {:?}", array.shape))),
        }
    }

    /// Opens a list of integers, or of any numbers.
    ///
    /// # Errors
    ///
    /// - it has more than one dimension, or floats instead of integers
    pub(super) fn open_flat(member: &Member, integers: bool) -> Result<List, StorageError> {
        let list = List::open(member)?;
        if list.array.shape.len() != 1 {
            return Err(member.invalid(format!("has shape {:?}, expected a list", list.array.shape)));
        }
        if integers && matches!(list.element, Element::Half | Element::Plain(Scalar::F32 | Scalar::F64)) {
            return Err(member.invalid("holds floats, expected integers".into()));
        }
        Ok(list)
    }

    /// The count of numbers.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn resident_bytes(&self) -> u64 {
        RESIDENT + 2 * (PIECE * self.element.size()) as u64
    }

    pub(super) fn rounding(&self) -> Rounding {
        self.decoder.rounding()
    }

    /// Reads values from number `first` on.
    pub(super) fn read(&mut self, first: u64, out: &mut [f32]) -> Result<(), Fault> {
        for (piece, out) in out.chunks_mut(PIECE).enumerate() {
            let before = piece * PIECE;
            self.fill(first + before as u64, out.len()).map_err(Fault::Archive)?;
            let decoded = self.decoder.decode(&self.bytes, out);
            decoded.map_err(|(at, value)| Fault::Value { at: before + at, value })?;
        }
        Ok(())
    }

    /// Appends `count` integers from number `first` on.
    pub(super) fn read_integers(&mut self, first: u64, count: usize, out: &mut Vec<i128>) -> Result<(), StorageError> {
        let mut done = 0;
        while done < count {
            let piece = PIECE.min(count - done);
            self.fill(first + done as u64, piece)?;
            decode_integers(&self.bytes, self.element, self.big_endian, out);
            done += piece;
        }
        Ok(())
    }

    /// Reads the bytes of `count` numbers from number `first` on.
    fn fill(&mut self, first: u64, count: usize) -> Result<(), StorageError> {
        // After an error, reading begins again.
        let (mut stream, at) = match self.stream.take() {
            Some((stream, at)) if at <= first => (stream, at),
            _ => {
                let mut stream = self.member.stream();
                skip(&mut stream, self.array.data_start).map_err(|e| self.member.fault(e))?;
                (stream, 0)
            }
        };
        let size = self.element.size();
        self.bytes.resize(count * size, 0);
        let read = skip(&mut stream, (first - at) * size as u64).and_then(|()| stream.read_exact(&mut self.bytes));
        read.map_err(|e| self.member.fault(e))?;
        self.stream = Some((stream, first + count as u64));
        Ok(())
    }
}

fn skip(stream: &mut dyn Read, bytes: u64) -> io::Result<()> {
    match io::copy(&mut stream.take(bytes), &mut io::sink())? {
        skipped if skipped == bytes => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
