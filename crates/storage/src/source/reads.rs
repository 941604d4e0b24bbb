//! The form of a source, and what is read of it: chunks of rows, or entries in the order of the file.

/// The form in which a source stores its matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Values with their columns.
    Sparse {
        /// Stored entries, zeros and duplicates included.
        entries: u64,
        /// The most entries in rows `256·t .. 256·(t + 1)` for any t.
        most_per_tile: usize,
    },
    /// All values.
    Dense,
    /// Values with their places, in an order that is not that of rows: by gene, or none.
    Entries {
        /// The most entries, zeros and duplicates included.
        at_most: u64,
    },
}

/// Consecutive rows of a matrix as a source stores them. Reads reuse its buffers.
#[derive(Debug, Clone, PartialEq)]
pub enum RowChunk {
    /// Row i has the entries `indptr[i] .. indptr[i + 1]` in any order, including duplicates and
    /// zeros.
    Sparse {
        /// One more than rows. Begins with 0, never falls, and ends with the number of entries.
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

/// Entries in the order of the file. Reads reuse its buffers, which have the same length.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Entries {
    /// Rows, each below the number of cells.
    pub cells: Vec<u32>,
    /// Columns, each below the number of genes.
    pub genes: Vec<u32>,
    /// Values.
    pub values: Vec<f32>,
}

impl Entries {
    /// Removes all entries and keeps the buffers.
    pub fn clear(&mut self) {
        self.cells.clear();
        self.genes.clear();
        self.values.clear();
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Adds an entry.
    pub fn push(&mut self, cell: u32, gene: u32, value: f32) {
        self.cells.push(cell);
        self.genes.push(gene);
        self.values.push(value);
    }
}

impl Default for RowChunk {
    fn default() -> Self {
        RowChunk::Dense { values: Vec::new() }
    }
}

impl RowChunk {
    /// Makes the chunk sparse and returns its buffers, emptied: row pointers, columns, values.
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

    /// Makes the chunk dense and returns its buffer, emptied.
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
