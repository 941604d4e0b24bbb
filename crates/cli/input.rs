//! The options that choose the input: files, a matrix in them, genes and cells of it.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use partwise::driver::{HvgMethod, HvgSpec};
use partwise::job::Filter;
use partwise::storage::{Inputs, Join, Joining, Selection};

use crate::failure::Failure;

/// The files to read.
#[derive(Args, Debug, Clone)]
pub(crate) struct Files {
    /// A store (NAME.pw), or a file or folder: cells x genes (.h5ad, .zarr, .zarr.zip, .npy, .h5mu, .npz,
    /// .csv, .tsv, HDF5), genes x cells (10x .h5, 10x folder, .mtx, .loom). Several files, a pattern
    /// such as "*.h5ad", or a list (lines of a name, a tab and a path) are read as one matrix
    #[arg(value_name = "INPUT", required = true)]
    input: Vec<PathBuf>,
    /// The genes of several files: those that all have, or those that any has, with zeros for the others
    #[arg(long, value_enum, default_value_t, value_name = "HOW", help_heading = "Several files")]
    join: HowToJoin,
    /// Take genes of several files for the same if this column of var says so, such as gene_ids [default: the
    /// ids if all files are of 10x, otherwise the names]
    #[arg(long, value_name = "COLUMN", help_heading = "Several files")]
    gene_key: Option<String>,
    /// Name the cells of several files SAMPLE_NAME
    #[arg(long, help_heading = "Several files")]
    prefix_cells: bool,
}

#[derive(ValueEnum, Debug, Clone, Copy, Default)]
enum HowToJoin {
    #[default]
    Inner,
    Outer,
}

impl Files {
    /// The files, and the column that identifies genes. One file needs none to be read.
    pub(crate) fn inputs_and_key(&self) -> Result<(Inputs, Option<String>), Failure> {
        let alone = Files { gene_key: None, ..self.clone() };
        let inputs = alone.inputs()?;
        let inputs = if inputs.single().is_some() { inputs } else { self.inputs()? };
        Ok((inputs, self.gene_key.clone()))
    }

    /// The library's form of these arguments. Looks for the files that patterns and lists name.
    pub(crate) fn inputs(&self) -> Result<Inputs, Failure> {
        let join = match self.join {
            HowToJoin::Inner => Join::Inner,
            HowToJoin::Outer => Join::Outer,
        };
        let joining = Joining { join, gene_key: self.gene_key.clone(), prefix_cells: self.prefix_cells };
        Ok(Inputs::expand(&self.input, joining)?)
    }
}

/// The matrix to read from a file, and its orientation.
#[derive(Args, Debug, Clone)]
pub(crate) struct Select {
    /// Read layers/NAME instead of X (AnnData, loom)
    #[arg(long, value_name = "NAME", conflicts_with = "raw")]
    layer: Option<String>,
    /// Read raw/X instead of X (AnnData): the values that scanpy kept before it filtered and scaled genes
    #[arg(long)]
    raw: bool,
    /// Transpose the matrix: for a file that has its axes the other way round than its format
    #[arg(long)]
    transpose: bool,
    /// Read this modality of a file that holds several (.h5mu)
    #[arg(long, value_name = "NAME")]
    modality: Option<String>,
    /// Read the features of this type, such as "Antibody Capture", or all of them (10x) [default:
    /// Gene Expression, if there are several types]
    #[arg(long, value_name = "TYPE")]
    features: Option<String>,
    /// Read the counts of this genome (10x files and folders that hold several)
    #[arg(long, value_name = "NAME")]
    genome: Option<String>,
    /// Read the matrix at this path (HDF5 files that follow no format, .npz)
    #[arg(long, value_name = "PATH")]
    dataset: Option<String>,
}

impl Select {
    /// The library's form of these options.
    pub(crate) fn selection(&self) -> Selection {
        let Select { layer, raw, transpose, modality, features, genome, dataset } = self.clone();
        Selection { layer, raw, transpose, modality, features, genome, dataset }
    }
}

/// The genes and cells to fit. Genes are chosen first: cells are judged by the genes that are left.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Genes and cells")]
pub(crate) struct Only {
    /// Fit only the genes whose names this file has, one a line
    #[arg(long, value_name = "FILE")]
    genes_file: Option<PathBuf>,
    /// Keep the N genes that vary most for their level, over all cells. With --genes-file or --min-cells: of
    /// the genes that these leave
    #[arg(long, value_name = "N", value_parser = genes)]
    hvg: Option<NonZeroUsize>,
    /// How --hvg scores genes. cnmf: by their overdispersion in values per million, as cNMF; seurat_v3: by the
    /// variance of standardized counts, as scanpy with flavor="seurat_v3", which takes counts and one read
    #[arg(
        long,
        value_enum,
        default_value_t,
        hide_possible_values = true,
        value_name = "cnmf|seurat_v3",
        requires = "hvg"
    )]
    hvg_method: Scoring,
    /// Fit only the cells whose names this file has, one a line
    #[arg(long, value_name = "FILE")]
    cells_file: Option<PathBuf>,
    /// Leave out genes that fewer cells have, of all cells of the input
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    min_cells: u64,
    /// Leave out cells whose values add up to less, over the genes that are fitted
    #[arg(long, value_name = "SUM", default_value_t = 0.0, hide_default_value = true, allow_negative_numbers = true)]
    min_counts: f64,
}

/// The words of `--hvg-method`.
#[derive(ValueEnum, Debug, Clone, Copy, Default, PartialEq, Eq)]
#[value(rename_all = "snake_case")]
pub(crate) enum Scoring {
    #[default]
    Cnmf,
    SeuratV3,
}

impl Scoring {
    /// The library's form of the number of genes and this word.
    pub(crate) fn of(self, count: NonZeroUsize) -> HvgSpec {
        let method = match self {
            Scoring::Cnmf => HvgMethod::Cnmf,
            Scoring::SeuratV3 => HvgMethod::SeuratV3,
        };
        HvgSpec { count, method }
    }
}

/// A number of genes.
pub(crate) fn genes(typed: &str) -> Result<NonZeroUsize, &'static str> {
    typed.parse().map_err(|_| "the number of genes is 1 or more")
}

impl Only {
    /// The library's form of these options.
    pub(crate) fn filter(&self) -> Filter {
        let mut filter = Filter::default();
        filter.genes_file.clone_from(&self.genes_file);
        filter.cells_file.clone_from(&self.cells_file);
        filter.hvg = self.hvg.map(|count| self.hvg_method.of(count));
        (filter.min_cells, filter.min_counts) = (self.min_cells, self.min_counts);
        filter
    }
}
