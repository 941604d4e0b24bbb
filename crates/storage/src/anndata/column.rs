//! Reads the columns of a table in current encodings: lists, categories, values with a mask.

use hdf5::{Dataset, Group};

use crate::hdf::number::{NumberType, is_boolean};
use crate::hdf::text::TextColumn;
use crate::number::{Number, Scalar, with_scalar};

/// Bytes of the categories of one column that are held in memory.
pub(crate) const CATEGORIES: usize = 2 << 20;

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Texts,
    Booleans,
    Integers,
    Floats,
}

/// An error while a column is read, or in what is done with its values.
pub(crate) enum Fault {
    /// Of the library, in this column.
    Library(String, hdf5::Error),
    /// Of the caller.
    System(std::io::Error),
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Fault::System(error)
    }
}

/// A value of a column; `None` if it is missing. Integers are given as such besides.
pub(crate) enum Value<'a> {
    Text(Option<&'a [u8]>),
    Number(Option<(f64, i64)>),
}

pub(crate) type Each<'e> = dyn FnMut(Value<'_>) -> std::io::Result<()> + 'e;

/// Calls `each` with the values of the column `name`. Returns their kind, or why they are not joined.
pub(crate) fn visit(group: &Group, name: &str, each: &mut Each<'_>) -> Result<Result<Kind, String>, Fault> {
    let fail = |error| Fault::Library(name.to_owned(), error);
    if let Ok(list) = group.dataset(name) {
        return visit_list(&list, name, None, each);
    }
    let parts = group.group(name).map_err(fail)?;
    if let (Ok(values), Ok(mask)) = (parts.dataset("values"), parts.dataset("mask")) {
        let mut missing = Vec::new();
        visit_list(&mask, name, None, &mut |value| {
            missing.push(matches!(value, Value::Number(Some((_, whole))) if whole != 0));
            Ok(())
        })?
        .ok();
        return visit_list(&values, name, Some(&missing), each);
    }
    let (codes, categories) = (parts.dataset("codes").map_err(fail)?, parts.dataset("categories").map_err(fail)?);
    let (mut labels, mut bytes) = (Vec::new(), 0);
    let kind = visit_list(&categories, name, None, &mut |label| {
        if bytes <= CATEGORIES {
            let label = match label {
                Value::Text(text) => text.unwrap_or_default().to_vec(),
                Value::Number(Some((float, whole))) if float == whole as f64 => whole.to_string().into_bytes(),
                Value::Number(number) => number.map_or(f64::NAN, |(float, _)| float).to_string().into_bytes(),
            };
            bytes += label.len() + 24;
            labels.push(label);
        }
        Ok(())
    })?;
    if bytes > CATEGORIES {
        return Ok(Err(format!("its categories take more than {CATEGORIES} bytes")));
    }
    if let Err(reason) = kind {
        return Ok(Err(reason));
    }
    let codes = visit_list(&codes, name, None, &mut |code| {
        let code = match code {
            Value::Number(Some((_, code))) => usize::try_from(code).ok(),
            _ => None,
        };
        each(Value::Text(code.and_then(|code| labels.get(code)).map(Vec::as_slice)))
    })?;
    Ok(codes.map(|_| Kind::Texts))
}

/// Calls `each` with the values of a list.
fn visit_list(
    list: &Dataset,
    name: &str,
    missing: Option<&[bool]>,
    each: &mut Each<'_>,
) -> Result<Result<Kind, String>, Fault> {
    let fail = |error| Fault::Library(name.to_owned(), error);
    let is_missing = |row: usize| missing.is_some_and(|missing| missing.get(row) == Some(&true));
    let mut failed = Ok(());
    if let Some(texts) = TextColumn::of(list, None).map_err(fail)? {
        let mut row = 0;
        texts
            .visit_all(|text| {
                if failed.is_ok() {
                    failed = each(Value::Text((!is_missing(row)).then_some(text)));
                }
                row += 1;
            })
            .map_err(fail)?;
        return Ok(failed.map(|()| Ok(Kind::Texts))?);
    }
    let file = list.dtype().map_err(fail)?;
    let Some(number) = NumberType::of(&file).map_err(fail)? else {
        return Ok(Err("values of its type are not joined".into()));
    };
    let is_float = matches!(number.scalar, Scalar::F32 | Scalar::F64);
    let visited = number.visit(list, None, |first, bytes| {
        with_scalar!(number.scalar, T => {
            for (at, value) in bytes.chunks_exact(size_of::<T>()).enumerate() {
                let value = bytemuck::pod_read_unaligned::<T>(value);
                let pair = (value.widen(), if is_float { 0 } else { i64::try_from(value.whole()).unwrap_or(i64::MAX) });
                if failed.is_ok() {
                    failed = each(Value::Number((!is_missing(first + at)).then_some(pair)));
                }
            }
        });
        Ok(())
    });
    visited.map_err(fail)?;
    failed?;
    Ok(Ok(match is_float {
        true => Kind::Floats,
        false if is_boolean(&file) => Kind::Booleans,
        false => Kind::Integers,
    }))
}
