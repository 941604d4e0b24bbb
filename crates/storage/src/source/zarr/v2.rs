//! Array metadata of zarr version 2: `.zarray`.

use serde_json::{Map, Value};

use super::array::{Array, Fill, Keys};
use super::element::{Element, Endian, Field};
use super::v3;
use crate::number::Scalar;

/// Records inside records are refused at this depth.
const DEEPEST: usize = 2;

/// Parses the content of `.zarray`.
///
/// # Errors
///
/// The fault as a predicate.
pub(super) fn parse(metadata: &Map<String, Value>) -> Result<Array, String> {
    let shape = v3::lengths(metadata.get("shape"), "shape")?;
    let chunk = v3::lengths(metadata.get("chunks"), "chunks")?;
    let filters = match metadata.get("filters") {
        Some(Value::Array(filters)) => filters.as_slice(),
        _ => &[],
    };
    let mut element = element(metadata.get("dtype").unwrap_or(&Value::Null), DEEPEST)?;
    let mut steps = Vec::new();
    if let Some(compressor) = metadata.get("compressor").filter(|compressor| !compressor.is_null()) {
        steps.push(v3::step(id(compressor), compressor, element.as_ref())?);
    }
    for (at, filter) in filters.iter().enumerate().rev() {
        match id(filter) {
            // The first filter turns strings into bytes.
            "vlen-utf8" | "vlen-bytes" if at == 0 && element.is_none() => element = Some(Element::Text),
            name => steps.push(v3::step(name, filter, element.as_ref())?),
        }
    }
    let element = element.ok_or("holds Python objects, expected numbers or strings")?;
    let by_column = metadata.get("order").and_then(Value::as_str) == Some("F") && shape.len() == 2;
    let separator = metadata.get("dimension_separator").and_then(Value::as_str);
    let keys = Keys { folder: false, separator: if separator == Some("/") { '/' } else { '.' } };
    let fill = match metadata.get("fill_value") {
        // Strings of a fixed length and records have their fill value in base64.
        Some(Value::String(_)) if element.scalar().is_none() && element != Element::Text => Fill::Zero,
        Some(value) => v3::fill(value)?,
        None => Fill::Zero,
    };
    Array { piece: chunk.clone(), shape, chunk, shard: None, element, by_column, steps, fill, keys }.check()
}

fn id(codec: &Value) -> &str {
    codec.get("id").and_then(Value::as_str).unwrap_or("without a name")
}

/// The type that NumPy calls `dtype`; `None` for Python objects.
fn element(dtype: &Value, depth: usize) -> Result<Option<Element>, String> {
    if let Value::Array(fields) = dtype {
        if depth == 0 {
            return Err("holds records inside of records".into());
        }
        return record(fields, depth).map(Some);
    }
    let unknown = || format!("holds values of type {dtype}, expected numbers or strings");
    let name = dtype.as_str().ok_or_else(unknown)?;
    let (order, kind) = name.split_at_checked(1).ok_or_else(unknown)?;
    let endian = match order {
        "<" | "|" | "=" => Endian::Little,
        ">" => Endian::Big,
        _ => return Err(unknown()),
    };
    if kind == "O" {
        return Ok(None);
    }
    let (letter, size) = kind.split_at_checked(1).ok_or_else(unknown)?;
    let size: usize = size.parse().ok().filter(|&size| size <= 1 << 24).ok_or_else(unknown)?;
    let number = |scalar: Option<Scalar>| scalar.map(|scalar| Element::Number(scalar, endian));
    let element = match letter {
        "b" if size == 1 => Some(Element::Bool),
        "i" => number(Scalar::integer(size, true)),
        "u" => number(Scalar::integer(size, false)),
        "f" if size == 2 => Some(Element::Half(endian)),
        "f" if size == 4 => number(Some(Scalar::F32)),
        "f" if size == 8 => number(Some(Scalar::F64)),
        "S" => Some(Element::Bytes(size)),
        "U" => Some(Element::Unicode(4 * size, endian)),
        _ => None,
    };
    element.map(Some).ok_or_else(unknown)
}

fn record(fields: &[Value], depth: usize) -> Result<Element, String> {
    let (mut parts, mut at) = (Vec::new(), 0);
    for field in fields {
        let name = field.get(0).and_then(Value::as_str).ok_or("holds records without names")?;
        let part = element(field.get(1).unwrap_or(&Value::Null), depth - 1)?;
        let element = part.filter(|_| field.get(2).is_none());
        let element = element.ok_or_else(|| format!("holds records whose part {name} is no number and no string"))?;
        let size = element.size().unwrap_or(0);
        parts.push(Field { name: name.to_owned(), element, at });
        at += size;
    }
    Ok(Element::Record(parts, at))
}
