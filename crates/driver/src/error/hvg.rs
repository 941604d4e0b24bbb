//! Why the genes that vary most cannot be found.

/// Why genes cannot be scored by a method.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HvgError {
    /// The method is one for counts, and the values are none.
    #[error(
        "seurat_v3 selects genes by counts, and these values are none (whole numbers up to 2^24); choose the matrix of \
         counts, or the method cnmf"
    )]
    NotCounts,
    /// Too few genes vary for a curve of their variances.
    #[error("seurat_v3 needs {least} genes that vary, and {varying} do; keep more genes, or choose the method cnmf")]
    FewGenes {
        /// Genes that vary.
        varying: usize,
        /// The least number.
        least: usize,
    },
    /// So many genes have the same few means that no curve goes through their variances.
    #[error(
        "seurat_v3 finds no curve of variances because too many genes have the same mean, about {mean:.1e}; leave out \
         genes that few cells have, or choose the method cnmf"
    )]
    EqualMeans {
        /// Where.
        mean: f64,
    },
}
