//! Copies one column of any encoding: a list, or a group of lists.

use hdf5::Group;

use super::numbers::{BATCH, Column};
use super::{Copied, Copy};
use crate::StorageError;
use crate::codec::DENSEST;
use crate::hdf::attribute;
use crate::hdf::text::TextWriter;
use crate::source::matrix::numbers::{Access, Numbers};
use crate::source::zarr::array::Array;
use crate::source::zarr::element::Element;
use crate::source::zarr::lists::visit;
use crate::source::zarr::node::{Kind, Node};
use crate::source::zarr::numbers::ZarrNumbers;
use crate::source::zarr::pieces::Pieces;

impl Copy<'_> {
    /// Copies a column of any encoding.
    pub(super) fn column(&self, name: &str, to: &Group) -> Copied {
        let path = format!("{}/{name}", self.table);
        let Some(node) = self.store().node(&path)? else { return Ok(Some("it is missing".into())) };
        if let Some((parent, _)) = name.rsplit_once('/').filter(|(parent, _)| !to.link_exists(parent)) {
            to.create_group(parent).map_err(|e| self.problem(name, &e))?;
        }
        let categories = node.text("categories").map(|list| format!("{}/{list}", self.table));
        let array = match node.kind {
            Kind::Group => return self.parts(&path, &node, to, name),
            Kind::Array(Err(reason)) => return Ok(Some(format!("it {reason}"))),
            Kind::Array(Ok(array)) => array,
        };
        // Categories of anndata 0.7.
        let Some(categories) = categories else { return self.list(&path, array, Some(self.rows), to, name) };
        let Some(Node { kind: Kind::Array(Ok(labels)), attributes }) = self.store().node(&categories)? else {
            return Ok(Some(format!("its categories {categories} cannot be read")));
        };
        let group = self.categorical(to, name, is_true(attributes.get("ordered")))?;
        match self.list(&path, array, Some(self.rows), &group, "codes")? {
            None => self.list(&categories, labels, None, &group, "categories"),
            reason => Ok(reason),
        }
    }

    /// Copies a column of several lists: categorical or nullable.
    pub(super) fn parts(&self, path: &str, node: &Node, to: &Group, name: &str) -> Copied {
        let (group, parts) = match node.text("encoding-type") {
            Some("categorical") => {
                let group = self.categorical(to, name, is_true(node.attributes.get("ordered")))?;
                (group, [("codes", Some(self.rows)), ("categories", None)])
            }
            Some(encoding @ ("nullable-integer" | "nullable-boolean" | "nullable-string-array")) => {
                let create = || {
                    let group = to.create_group(name)?;
                    attribute::set_encoding(&group, encoding, "0.1.0")?;
                    if let Some(shown) = node.text("na-value") {
                        attribute::set_text(&group, "na-value", shown)?;
                    }
                    Ok(group)
                };
                let group = create().map_err(|e| self.problem(name, &e))?;
                (group, [("values", Some(self.rows)), ("mask", Some(self.rows))])
            }
            Some(other) => return Ok(Some(format!("a column cannot have the encoding {other}"))),
            None => return Ok(Some("it is a group without an encoding-type".into())),
        };
        for (part, rows) in parts {
            let path = format!("{path}/{part}");
            let array = match self.store().node(&path)?.map(|node| node.kind) {
                Some(Kind::Array(Ok(array))) => array,
                Some(Kind::Array(Err(reason))) => return Ok(Some(format!("its {part} {reason}"))),
                _ => return Ok(Some(format!("it has no {part}"))),
            };
            if let Some(reason) = self.list(&path, array, rows, &group, part)? {
                return Ok(Some(format!("its {part}: {reason}")));
            }
        }
        Ok(None)
    }

    pub(super) fn categorical(&self, to: &Group, name: &str, ordered: bool) -> Result<Group, StorageError> {
        let create = || {
            let group = to.create_group(name)?;
            attribute::set_encoding(&group, "categorical", "0.2.0")?;
            attribute::set_bool(&group, "ordered", ordered)?;
            Ok(group)
        };
        create().map_err(|e| self.problem(name, &e))
    }

    /// Copies the list at `path`, which should have `rows` entries.
    pub(super) fn list(&self, path: &str, array: Array, rows: Option<usize>, to: &Group, name: &str) -> Copied {
        if array.shape.len() != 1 {
            return Ok(Some(format!("it has {} dimensions, expected a list", array.shape.len())));
        }
        if let Some(rows) = rows.filter(|&rows| rows != array.len()) {
            return Ok(Some(format!("it has {} entries for {rows} rows", array.len())));
        }
        let (len, store) = (array.len(), &self.tables.store);
        let stored = store.sizes(path)?.total;
        if len as u64 > (stored + 1).saturating_mul(DENSEST) {
            return Ok(Some(format!("it has {len} entries in {stored} bytes")));
        }
        if array.element.is_text() {
            let mut pieces = Pieces::open(store, path, array)?;
            return self.texts(path, &mut pieces, |bytes| bytes.to_vec(), to, name);
        }
        if array.element.scalar().is_none() {
            return Ok(Some("a column cannot have its type".into()));
        }
        let is_bool = array.element == Element::Bool;
        let mut numbers = ZarrNumbers::of(store, path, array, Access::Rows)?;
        let mut batch = Vec::new();
        let scalar = numbers.scalar();
        let mut column = Column::create(to, name, len, scalar, is_bool).map_err(|e| self.problem(name, &e))?;
        for first in (0..len).step_by(BATCH) {
            let count = BATCH.min(len - first);
            batch.resize(count * scalar.size(), 0);
            numbers.read(&[first], &[count], &mut batch)?;
            column.write(&batch).map_err(|e| self.problem(name, &e))?;
        }
        Ok(None)
    }

    /// Copies strings: what `part` takes of each entry.
    pub(super) fn texts(
        &self,
        path: &str,
        pieces: &mut Pieces,
        part: impl Fn(&[u8]) -> Vec<u8>,
        to: &Group,
        name: &str,
    ) -> Copied {
        let fail = |e: hdf5::Error| self.problem(name, &e);
        let mut writer = TextWriter::create(to, name, pieces.array().len()).map_err(fail)?;
        visit(path, pieces, |entry| writer.push(&part(entry)).map_err(fail))?;
        let list = writer.finish().map_err(fail)?;
        attribute::set_encoding(&list, "string-array", "0.2.0").map_err(fail)?;
        Ok(None)
    }
}

/// Whether an attribute is true, or 1.
fn is_true(value: Option<&serde_json::Value>) -> bool {
    value.is_some_and(|value| value.as_bool() == Some(true) || value.as_u64() == Some(1))
}
