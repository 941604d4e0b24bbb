//! Notes of a job, in words.

use std::path::Path;

use partwise::job::{Matched, Note};
use partwise::storage::Axis;
use partwise::storage::anndata::Merged;

use crate::wording::thousands;

/// The line of a note; `None` if it has none.
pub(crate) fn told(note: &Note<'_>) -> Option<String> {
    Some(match note {
        Note::StoreUsedAgain { path } => {
            format!("{}: made from this input earlier and used again", path.display())
        }
        Note::StoreOutdated { path } => {
            format!("{}: the input has changed since; converting it again", path.display())
        }
        Note::FewerThreads { threads, useful } => {
            format!("{threads} of {useful} threads fit into the memory; more --memory is faster")
        }
        Note::Waves { fits, waves } => format!(
            "{fits} fits do not fit into the memory together: they run in {waves} waves, and each wave reads the data \
             anew; more --memory is faster"
        ),
        Note::NotInData { list, axis, missing, of, examples } => {
            let axis = if *axis == Axis::Cells { "cells" } else { "genes" };
            let more = if *missing > examples.len() { ", …" } else { "" };
            let examples = examples.join(", ");
            format!("{}: {missing} of its {of} names are of no {axis} in the data: {examples}{more}", list.display())
        }
        Note::SelectedByValues => {
            "the values are no counts: genes are selected by how the values vary, not by values per million".into()
        }
        Note::UnusedCells { unused, of } => format!(
            "{} of {} cells have none of the selected genes; their usages are zero",
            thousands(*unused as u64),
            thousands(*of as u64)
        ),
        Note::Kept { genes: (genes, of_genes), cells: (cells, of_cells) } => {
            format!("fitting {cells} of {of_cells} cells and {genes} of {of_genes} genes")
        }
        Note::Matched { matched: Matched { both, missing, unknown } } => format!(
            "{both} genes matched; {missing} of the result are not in the data, {unknown} of the data not in the result"
        ),
        Note::Merged { into, merged } => with_genes(into, merged),
        Note::ReplicatesResumed { replicates, passes } => {
            format!("{replicates} replicates go on from where they were stopped, after {passes} passes")
        }
        Note::CheckpointDamaged { reason } => {
            format!("a checkpoint cannot be used, the one before it is tried: {reason}")
        }
        Note::KeptResult { path } => {
            format!("{}: is finished, with the same data and settings; kept", path.display())
        }
        _ => return None,
    })
}

/// What was matched when a result was added to the file `into`.
pub(crate) fn with_genes(into: &Path, merged: &Merged) -> String {
    let [cells, genes, missing] =
        [merged.cells, merged.genes, merged.genes_missing].map(|count| thousands(count as u64));
    let lacking = match merged.genes_missing {
        0 => String::new(),
        _ => format!("; {missing} of these genes are not in the result, and have NaN or zeros"),
    };
    format!("{}: {cells} cells and {genes} genes matched by name{lacking}", into.display())
}
