//! What a source hands over: rows as stored, and what it noticed.

/// How a source stores its matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Entries with their columns.
    Sparse {
        /// Stored entries, zeros and duplicates included.
        entries: u64,
        /// The most entries in rows `256·t .. 256·(t + 1)` for any t.
        most_per_tile: usize,
    },
    /// Every value.
    Dense,
}

/// Consecutive rows of a matrix as a source stores them. Buffers are kept from one read to the next.
#[derive(Debug, Clone, PartialEq)]
pub enum RowChunk {
    /// Row i has the entries `indptr[i] .. indptr[i + 1]`, in any order, duplicates and zeros included.
    Sparse {
        /// One more than rows; begins with 0.
        indptr: Vec<usize>,
        /// Columns, each below the number of genes.
        indices: Vec<u32>,
        /// Values, one per column.
        values: Vec<f32>,
    },
    /// Rows one after the other.
    Dense {
        /// rows × genes.
        values: Vec<f32>,
    },
}

impl Default for RowChunk {
    fn default() -> Self {
        RowChunk::Dense { values: Vec::new() }
    }
}

impl RowChunk {
    /// The buffers of a sparse chunk, emptied; the chunk becomes one if it is not.
    pub fn sparse(&mut self) -> (&mut Vec<usize>, &mut Vec<u32>, &mut Vec<f32>) {
        if let RowChunk::Dense { .. } = self {
            *self = RowChunk::Sparse { indptr: Vec::new(), indices: Vec::new(), values: Vec::new() };
        }
        match self {
            RowChunk::Sparse { indptr, indices, values } => {
                indptr.clear();
                indices.clear();
                values.clear();
                (indptr, indices, values)
            }
            RowChunk::Dense { .. } => unreachable!("made sparse above"),
        }
    }

    /// The buffer of a dense chunk, emptied; the chunk becomes one if it is not.
    pub fn dense(&mut self) -> &mut Vec<f32> {
        if let RowChunk::Sparse { .. } = self {
            *self = RowChunk::Dense { values: Vec::new() };
        }
        match self {
            RowChunk::Dense { values } => {
                values.clear();
                values
            }
            RowChunk::Sparse { .. } => unreachable!("made dense above"),
        }
    }
}
