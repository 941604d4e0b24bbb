//! The options that choose a matrix of the input.

use clap::Args;
use partwise::storage::Selection;

/// The matrix to read from a file, and its orientation.
#[derive(Args, Debug)]
pub(crate) struct Select {
    /// Read layers/NAME instead of X (.h5ad)
    #[arg(long, value_name = "NAME", conflicts_with = "raw")]
    layer: Option<String>,
    /// Read raw/X instead of X (.h5ad): the values that scanpy kept before it filtered and scaled genes
    #[arg(long)]
    raw: bool,
    /// Transpose the array, which holds genes x cells (.npy)
    #[arg(long)]
    transpose: bool,
}

impl Select {
    /// The library's form of these options.
    pub(crate) fn selection(&self) -> Selection {
        Selection { layer: self.layer.clone(), raw: self.raw, transpose: self.transpose }
    }
}
