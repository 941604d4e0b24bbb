//! Computes the size of a chunk cache with which reading rows in order decompresses each chunk
//! once.

use hdf5::Dataset;

/// The chunk cache of a sequential reader of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChunkNeed {
    /// Bytes of the chunk cache: the chunks that hold one row (of a table) or one entry (of a
    /// list).
    pub(crate) cache: usize,
    /// Chunks that the cache holds.
    pub(crate) chunks: usize,
    /// The most bytes in memory: the cache and the buffers of filters for one chunk.
    pub(crate) resident: u64,
}

impl ChunkNeed {
    /// The cache for reading `dataset` by rows (or by entries if it has one dimension).
    ///
    /// Contiguous and unfiltered data are read in place and need none.
    pub(crate) fn of(dataset: &Dataset) -> ChunkNeed {
        let Some(chunk) = dataset.chunk() else { return ChunkNeed { cache: 0, chunks: 0, resident: 0 } };
        if dataset.filters().is_empty() {
            return ChunkNeed { cache: 0, chunks: 0, resident: 0 };
        }
        let element = dataset.dtype().map_or(8, |t| t.size());
        let packed = if dataset.filters().len() > 1 { u64::MAX } else { dataset.storage_size() };
        Self::of_chunks(&dataset.shape(), &chunk, element, packed)
    }

    /// The cache for reading a table of `shape` in boxes of whole chunks.
    pub(crate) fn of_one(self, shape: (usize, usize), chunk: (usize, usize)) -> ChunkNeed {
        let across = shape.1.div_ceil(chunk.1).max(1);
        let one = self.cache / across;
        ChunkNeed { cache: one, chunks: 1, resident: self.resident - (self.cache - one) as u64 }
    }

    /// A single filter needs the packed bytes beside the chunk, which are at most `packed`. Several
    /// need a second chunk.
    fn of_chunks(shape: &[usize], chunk: &[usize], element: usize, packed: u64) -> ChunkNeed {
        let one = chunk.iter().product::<usize>().saturating_mul(element);
        let across: usize = shape.iter().zip(chunk).skip(1).map(|(&s, &c)| s.div_ceil(c.max(1)).max(1)).product();
        let cache = one.saturating_mul(across);
        ChunkNeed { cache, chunks: across, resident: (cache as u64).saturating_add(packed.min(one as u64)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_needs_one_chunk_and_a_table_a_stripe_of_them() {
        assert_eq!(
            ChunkNeed::of_chunks(&[1000], &[100], 4, u64::MAX),
            ChunkNeed { cache: 400, chunks: 1, resident: 800 }
        );
        assert_eq!(ChunkNeed::of_chunks(&[100], &[100], 4, 30), ChunkNeed { cache: 400, chunks: 1, resident: 430 });
        assert_eq!(
            ChunkNeed::of_chunks(&[200, 16_581], &[7, 1037], 4, u64::MAX),
            ChunkNeed { cache: 16 * 7 * 1037 * 4, chunks: 16, resident: 17 * 7 * 1037 * 4 }
        );
    }
}
