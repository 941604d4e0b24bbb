//! Copies the parts of records as columns.

use hdf5::Group;

use super::numbers::{BATCH, Column};
use super::{Copied, Copy};
use crate::StorageError;
use crate::anndata::FrameWriter;
use crate::hdf::attribute;
use crate::number::{Number, Scalar, with_scalar};
use crate::source::zarr::element::{Element, Field};
use crate::source::zarr::lists::visit;
use crate::source::zarr::node::{Kind, Node};
use crate::source::zarr::pieces::Pieces;

impl Copy<'_> {
    /// Copies a table that is a list of records: anndata before 0.7. The first part is the name.
    pub(super) fn records(&self, fields: &[Field], frame: &mut FrameWriter) -> Result<(), StorageError> {
        for (at, field) in fields.iter().enumerate() {
            let copied = self.field(field, frame.group());
            if at == 0 {
                if let Some(reason) = copied? {
                    return Err(self.store().invalid(self.table, format!("has names that cannot be used: {reason}")));
                }
                attribute::set_text(frame.group(), "_index", &field.name).map_err(|e| self.problem(&field.name, &e))?;
            } else {
                self.settle(&field.name, copied, frame)?;
            }
        }
        Ok(())
    }

    /// Copies one part of the records. Old files store the categories in `uns`, for the tables of
    /// the main matrix only.
    fn field(&self, field: &Field, to: &Group) -> Copied {
        let (store, name) = (&self.tables.store, &field.name);
        if name.is_empty() || name.split('/').any(|part| part.is_empty() || part == ".") {
            return Ok(Some("its name is not a path inside the table".into()));
        }
        let mut pieces = Pieces::open(store, self.table, store.array(self.table)?)?;
        if pieces.array().len() != self.rows || pieces.array().shape.len() != 1 {
            return Ok(Some(format!("it has {} entries for {} rows", pieces.array().len(), self.rows)));
        }
        let bytes_of = |record: &[u8]| record[field.at..field.at + field.element.size().unwrap_or(0)].to_vec();
        if field.element.is_text() {
            let text = |record: &[u8]| field.element.text(&bytes_of(record));
            return self.texts(self.table, &mut pieces, text, to, name);
        }
        let Some(scalar) = field.element.scalar() else { return Ok(Some("a column cannot have its type".into())) };
        let native = |record: &[u8]| {
            let mut bytes = bytes_of(record);
            field.element.to_native(&mut bytes);
            bytes
        };
        let list = format!("uns/{name}_categories");
        let labels = match self.table.starts_with("raw") || matches!(scalar, Scalar::F32 | Scalar::F64) {
            true => None,
            false => store.node(&list)?,
        };
        if let Some(Node { kind: Kind::Array(Ok(labels)), .. }) = labels {
            // If obs and var had columns of one name, the file keeps one list, perhaps the other
            // one's.
            let mut fit = true;
            visit(self.table, &mut pieces, |record| {
                let code = with_scalar!(scalar, T => bytemuck::pod_read_unaligned::<T>(&native(record)).whole());
                fit &= (-1..labels.len() as i128).contains(&code);
                Ok(())
            })?;
            if fit {
                let group = self.categorical(to, name, false)?;
                self.values(&mut pieces, scalar, native, false, &group, "codes")?;
                return self.list(&list, labels, None, &group, "categories");
            }
        }
        self.values(&mut pieces, scalar, native, field.element == Element::Bool, to, name)?;
        Ok(None)
    }

    /// Copies numbers: what `native` takes of each record.
    fn values(
        &self,
        pieces: &mut Pieces,
        scalar: Scalar,
        native: impl Fn(&[u8]) -> Vec<u8>,
        is_bool: bool,
        to: &Group,
        name: &str,
    ) -> Result<(), StorageError> {
        let fail = |e: hdf5::Error| self.problem(name, &e);
        let mut column = Column::create(to, name, self.rows, scalar, is_bool).map_err(fail)?;
        let mut batch = Vec::new();
        visit(self.table, pieces, |record| {
            batch.extend(native(record));
            if batch.len() >= BATCH * scalar.size() {
                column.write(&batch).map_err(fail)?;
                batch.clear();
            }
            Ok(())
        })?;
        column.write(&batch).map_err(fail)
    }
}
