//! Writes AnnData files (results, exports, simulated data) and reads results.
//!
//! Files follow anndata's on-disk specification: every element has its encoding in the attributes
//! `encoding-type` and `encoding-version`. Everything is streamed: no buffer grows with the number
//! of cells. Datasets carry no modification times, so that the same content gives the same bytes.
//!
//! | file      | question                                       |
//! |-----------|------------------------------------------------|
//! | `writer`  | how does a file appear complete or not at all? |
//! | `part`    | where is a file until it is complete?          |
//! | `sparse`  | how is a sparse matrix written by rows?        |
//! | `array`   | how is a dense matrix written by rows?         |
//! | `rows`    | how do several processes write one?            |
//! | `frame`   | how are names and columns written?             |
//! | `column`  | how are columns read?                          |
//! | `names`   | how are the names of an axis read?             |
//! | `labels`  | how is a column of any kind read?              |
//! | `value`   | how does a nested dictionary go into `uns`?    |
//! | `uns`     | how is such a dictionary read?                 |
//! | `usages`  | which tables of usages has a result?           |
//! | `factors` | how are W and H of an earlier result read?     |
//! | `table`   | how are other tables of numbers read?          |
//! | `top_genes` | which genes mark each program of a result?   |
//! | `merge`   | how do results get into another AnnData file?  |
//! | `csv_tables` | how do results become tables of text?       |
//! | `tsv_tables` | which tables of text has a consensus?       |
//! | `text_file` | how does a table of text appear whole or not at all? |
//! | `whole`   | how is a page about a result written?          |
//! | `export`  | how does a store become an AnnData file again? |

mod array;
pub(crate) mod column;
mod csv_tables;
mod export;
mod factors;
mod frame;
mod labels;
mod merge;
mod names;
mod part;
mod rows;
mod sparse;
mod table;
mod text_file;
mod top_genes;
mod tsv_tables;
mod uns;
mod usages;
mod value;
mod whole;
mod writer;

pub use array::ArrayWriter;
pub use csv_tables::{CsvTable, GENES_BEGIN, csv_tables, write_csv, write_gene_csv};
pub use export::export;
pub use factors::{Factors, read_factors};
pub use frame::FrameWriter;
pub use labels::{Label, LabelKind, column_names, visit_labels};
pub use merge::{Merge, Merged};
pub use names::{hash_of_name, read_gene_numbers, visit_names, visit_texts};
pub use rows::{Placed, RowsInPlace};
pub use sparse::CsrWriter;
pub use table::{Table, members};
pub use top_genes::{TopGenes, read_top_genes};
pub use tsv_tables::{GeneColumns, PROGRAMS_BEGIN, TOP_GENES_BEGIN, write_programs, write_top_genes, write_usages};
pub use uns::read_uns;
pub use usages::{NORMALIZED, USAGES, UsageTables};
pub use value::Value;
pub use whole::write_whole;
pub(crate) use writer::frame_name;
pub use writer::{AnnDataWriter, check_destination};
