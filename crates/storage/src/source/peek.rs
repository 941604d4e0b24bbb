//! What the values of a matrix are like, by a look at the first of them.

use super::{Entries, Form, RowChunk, Source, open};
use crate::monitor::Elsewhere;
use crate::store::Selection;
use crate::tile::TILE_ROWS;
use crate::{Matrices, StorageError};

/// The most values that are looked at.
const VALUES: usize = 1 << 18;

/// A source that keeps more than this in memory is not looked at beside another one.
const RESIDENT: u64 = 8 << 20;

/// The first values of a matrix.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peek {
    /// Whether all of them are integers.
    pub integer: bool,
    /// The largest.
    pub largest: f32,
    /// The number of those above zero.
    pub nonzeros: u64,
}

/// Looks at the first values of `source`, some hundred thousand at most.
///
/// # Errors
///
/// - they cannot be read, or are refused
pub fn peek(source: &mut dyn Source) -> Result<Peek, StorageError> {
    source.prepare()?;
    let (mut chunk, mut entries) = (RowChunk::default(), Entries::default());
    let values = match source.form() {
        Form::Entries { .. } => {
            source.read_entries(VALUES, &mut entries)?;
            &entries.values
        }
        form => {
            let a_row = match form {
                Form::Sparse { most_per_tile, .. } => most_per_tile.div_ceil(TILE_ROWS),
                _ => source.genes(),
            };
            let rows = (VALUES / a_row.max(1)).clamp(1, TILE_ROWS).min(source.cells());
            source.read_rows(0..rows, &mut chunk)?;
            match &chunk {
                RowChunk::Sparse { values, .. } | RowChunk::Dense { values } => values,
            }
        }
    };
    Ok(Peek {
        integer: values.iter().all(|value| value.fract() == 0.0),
        largest: values.iter().copied().fold(0.0, f32::max),
        nonzeros: values.iter().filter(|value| **value > 0.0).count() as u64,
    })
}

/// The selections of the other matrices in the file of `source`.
pub fn others(source: &dyn Source) -> Vec<Selection> {
    let own = source.stamp().selection;
    let plain = Selection { layer: None, raw: false, ..own.clone() };
    let Matrices { layers, raw } = source.other_matrices();
    let layers = layers.into_iter().map(|layer| Selection { layer: Some(layer), ..plain.clone() });
    let raw = raw.then(|| Selection { raw: true, ..plain.clone() });
    let mut all: Vec<Selection> = std::iter::once(plain.clone()).chain(layers).chain(raw).collect();
    all.retain(|selection| *selection != own);
    all
}

/// The first of the other matrices of the file whose values look like counts.
pub(crate) fn counts_elsewhere(source: &dyn Source) -> Option<Elsewhere> {
    let counts = others(source).into_iter().find(|selection| {
        let looked_at = open(source.path(), selection).and_then(|mut other| match other.resident_bytes() {
            0..=RESIDENT => peek(other.as_mut()).map(Some),
            _ => Ok(None),
        });
        matches!(looked_at, Ok(Some(Peek { integer: true, nonzeros: 1.., .. })))
    })?;
    Some(match counts {
        Selection { layer: Some(layer), .. } => Elsewhere::Layer(layer),
        Selection { raw: true, .. } => Elsewhere::Raw,
        _ => Elsewhere::X,
    })
}
