//! The tables of names and columns: `obs` and `var`.

use std::sync::Arc;

use super::element::Element;
use super::node::{Kind, Node, Store};
use super::pieces::Pieces;
use crate::StorageError;
use crate::source::matrix::Place;
use crate::store::Selection;

/// Bytes of chunks that the memory for names and columns always has room for.
const SMALL_CHUNKS: u64 = 2 << 20;

/// The tables of the selected matrix.
pub(super) struct Tables {
    pub(super) store: Arc<Store>,
    pub(super) cells: Table,
    pub(super) genes: Table,
}

/// The table of the names and columns of one axis.
pub(super) struct Table {
    /// `obs`, `var`, `raw/var`.
    pub(super) name: &'static str,
    /// The group (anndata since 0.7) or the list of records; `None` if the store has none.
    pub(super) node: Option<Node>,
    /// Its number of rows, if it is known.
    pub(super) len: Option<usize>,
}

impl Tables {
    /// Finds the tables. Under `raw`, the genes are those of the raw matrix. If the matrix is
    /// transposed, so are its tables.
    ///
    /// # Errors
    ///
    /// - metadata cannot be read
    pub(super) fn locate(store: &Arc<Store>, selection: &Selection) -> Result<Tables, StorageError> {
        let var = match selection.raw && store.node("raw/X")?.is_none() {
            true => "raw.var",
            false if selection.raw => "raw/var",
            false => "var",
        };
        let (cells, genes) = if selection.transpose { (var, "obs") } else { ("obs", var) };
        let (cells, genes) = (Table::locate(store, cells)?, Table::locate(store, genes)?);
        Ok(Tables { store: store.clone(), cells, genes })
    }

    /// The number of names of cells and of genes, if both are known.
    pub(super) fn lens(&self) -> Option<(usize, usize)> {
        Some((self.cells.len?, self.genes.len?))
    }

    /// Checks that there are as many names as rows and columns.
    pub(super) fn check_lens(&self, (cells, genes): (usize, usize), place: &Place) -> Result<(), StorageError> {
        for (table, expected, what) in [(&self.cells, cells, "cells"), (&self.genes, genes, "genes")] {
            if let Some(found) = table.len.filter(|&found| found != expected) {
                let problem = format!("has {expected} {what}, but {} names {found}", table.name);
                let remedy = "matrix and names do not belong together; create the file again";
                return Err(place.invalid("", problem, remedy));
            }
        }
        Ok(())
    }

    /// The most bytes in memory for a chunk of one column, beyond those of small chunks.
    pub(super) fn resident_bytes(&self) -> u64 {
        let largest = [&self.cells, &self.genes].into_iter().map(|table| self.largest_piece(table)).max().unwrap_or(0);
        let archive = self.store.resident_bytes();
        archive.saturating_add(if largest <= SMALL_CHUNKS { 0 } else { largest })
    }

    fn largest_piece(&self, table: &Table) -> u64 {
        let below = |name: &str| self.store.container().children(name);
        let columns = below(table.name).into_iter().map(|column| format!("{}/{column}", table.name));
        let parts = columns.flat_map(|column| {
            let parts: Vec<String> = below(&column).into_iter().map(|part| format!("{column}/{part}")).collect();
            parts.into_iter().chain([column])
        });
        parts.chain([table.name.to_owned()]).map(|name| self.piece_bytes(&name)).max().unwrap_or(0)
    }

    /// Bytes in memory to decode a piece of the array at `name`; 0 if there is none.
    fn piece_bytes(&self, name: &str) -> u64 {
        let Ok(Some(Node { kind: Kind::Array(Ok(array)), .. })) = self.store.node(name) else { return 0 };
        let is_text = array.element == Element::Text;
        let Ok(pieces) = Pieces::open(&self.store, name, array) else { return 0 };
        match is_text {
            // Nothing says how long strings are before they are unpacked; names shrink to a tenth.
            true => pieces.sizes().largest.saturating_mul(10),
            false => pieces.array().piece_bytes().saturating_add(pieces.resident_bytes()),
        }
    }
}

impl Table {
    fn locate(store: &Store, name: &'static str) -> Result<Table, StorageError> {
        let node = store.node(name)?;
        let len = match &node {
            None | Some(Node { kind: Kind::Array(Err(_)), .. }) => None,
            Some(Node { kind: Kind::Array(Ok(array)), .. }) => Some(array.len()),
            Some(group) => index_len(store, name, group)?,
        };
        Ok(Table { name, node, len })
    }
}

/// The name of the member of a table that holds the names.
pub(super) fn index_name(store: &Store, table: &str, group: &Node) -> Result<Option<String>, StorageError> {
    let said = group.text("_index").map(str::to_owned);
    for name in said.into_iter().chain(["_index".to_owned(), "index".to_owned()]) {
        if store.node(&format!("{table}/{name}"))?.is_some() {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

fn index_len(store: &Store, table: &str, group: &Node) -> Result<Option<usize>, StorageError> {
    let Some(index) = index_name(store, table, group)? else { return Ok(None) };
    for part in ["", "/values", "/codes"] {
        if let Some(Node { kind: Kind::Array(Ok(array)), .. }) = store.node(&format!("{table}/{index}{part}"))? {
            return Ok(Some(array.len()));
        }
    }
    Ok(None)
}
