//! Names of cells and genes that have none in the file.

use crate::anndata::FrameWriter;
use crate::{Axis, Monitor, StorageError, Warning};

/// Names the rows of a table 0, 1, 2, … as anndata does, and warns of it.
pub(super) fn names(axis: Axis, table: &mut FrameWriter, monitor: &dyn Monitor) -> Result<(), StorageError> {
    monitor.warn(&Warning::MissingNames { axis });
    table.names((0..table.rows()).map(|row| row.to_string()))
}
