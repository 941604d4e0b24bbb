//! Attributes: reads those of all known writers, writes them as h5py does.

use std::str::FromStr;

use hdf5::types::VarLenUnicode;
use hdf5::{Attribute, Location, Result};

use super::number::NumberType;
use super::raw::{self, Class};
use super::text::unpadded;
use crate::number::{Number, with_scalar};

/// An attribute that holds one string (or a list of one); `None` if none has that name and type.
pub(crate) fn text(at: &Location, name: &str) -> Option<String> {
    texts(at, name)?.into_iter().next()
}

/// An attribute that holds strings. Empty lists may have any type.
pub(crate) fn texts(at: &Location, name: &str) -> Option<Vec<String>> {
    read_texts(&find(at, name)?).ok().flatten()
}

/// An attribute that holds integers or booleans.
pub(crate) fn integers(at: &Location, name: &str) -> Option<Vec<i64>> {
    let attribute = find(at, name)?;
    let number = NumberType::of(&attribute.dtype().ok()?).ok()??;
    let bytes = raw::attribute_bytes(&attribute, &number.memory).ok()?;
    Some(with_scalar!(number.scalar, T => {
        bytes.chunks_exact(size_of::<T>()).map(|b| bytemuck::pod_read_unaligned::<T>(b).whole() as i64).collect()
    }))
}

fn find(at: &Location, name: &str) -> Option<Attribute> {
    // Opening one that is missing is an error of the library, and costs no more than listing them.
    at.attr(name).ok()
}

fn read_texts(attribute: &Attribute) -> Result<Option<Vec<String>>> {
    let file = attribute.dtype()?;
    if attribute.space()?.size() == 0 {
        return Ok(Some(Vec::new()));
    }
    let own = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(match raw::class(&file) {
        Class::VariableString => {
            let strings = raw::attribute_strings(attribute, &raw::native(&file)?)?;
            Some(strings.iter().map(|s| own(s)).collect())
        }
        Class::FixedString => {
            let bytes = raw::attribute_bytes(attribute, &file)?;
            Some(bytes.chunks_exact(file.size()).map(|s| own(unpadded(s))).collect())
        }
        _ => None,
    })
}

/// Sets a string attribute, and replaces one of that name.
pub(crate) fn set_text(at: &Location, name: &str, value: &str) -> Result<()> {
    remove(at, name)?;
    at.new_attr::<VarLenUnicode>().create(name)?.write_scalar(&unicode(value)?)
}

/// Sets an attribute that is a list of strings.
pub(crate) fn set_texts(at: &Location, name: &str, values: &[String]) -> Result<()> {
    remove(at, name)?;
    let values = values.iter().map(|v| unicode(v)).collect::<Result<Vec<_>>>()?;
    let attribute = at.new_attr::<VarLenUnicode>().shape(values.len()).create(name)?;
    if values.is_empty() { Ok(()) } else { attribute.write_raw(&values) }
}

/// Sets a boolean attribute as h5py does.
pub(crate) fn set_bool(at: &Location, name: &str, value: bool) -> Result<()> {
    remove(at, name)?;
    at.new_attr::<bool>().create(name)?.write_scalar(&value)
}

/// Sets an attribute that is a list of integers.
pub(crate) fn set_integers(at: &Location, name: &str, values: &[i64]) -> Result<()> {
    remove(at, name)?;
    at.new_attr::<i64>().shape(values.len()).create(name)?.write_raw(values)
}

/// Removes an attribute if it exists.
pub(crate) fn remove(at: &Location, name: &str) -> Result<()> {
    if find(at, name).is_some() { at.delete_attr(name) } else { Ok(()) }
}

/// Sets the encoding of an element in anndata's specification.
pub(crate) fn set_encoding(at: &Location, kind: &str, version: &str) -> Result<()> {
    set_text(at, "encoding-type", kind)?;
    set_text(at, "encoding-version", version)
}

fn unicode(value: &str) -> Result<VarLenUnicode> {
    let kept = value.split('\0').next().unwrap_or_default();
    VarLenUnicode::from_str(kept).map_err(|e| e.to_string().into())
}
