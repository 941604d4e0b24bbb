//! Nested dictionaries for `uns`.

use std::str::FromStr;

use hdf5::types::VarLenUnicode;
use hdf5::{Group, H5Type};

use super::frame::{write_numbers, write_texts};
use crate::hdf::attribute;

/// A value of unstructured data. `From` converts numbers, texts, lists and maps.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Text.
    Str(String),
    /// An integer.
    Int(i64),
    /// A number.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// A list of numbers.
    FloatArray(Vec<f64>),
    /// A list of integers.
    IntArray(Vec<i64>),
    /// A list of texts.
    StrArray(Vec<String>),
    /// Names and values, in order.
    Map(Vec<(String, Value)>),
}

macro_rules! value_from {
    ($($T:ty => $variant:ident),* $(,)?) => {$(
        impl From<$T> for Value {
            fn from(value: $T) -> Value {
                Value::$variant(value.into())
            }
        }
    )*};
}
value_from! {
    &str => Str, String => Str, i64 => Int, u32 => Int, f64 => Float, f32 => Float, bool => Bool,
    Vec<f64> => FloatArray, Vec<i64> => IntArray, Vec<String> => StrArray, Vec<(String, Value)> => Map,
}

/// Writes `value` as `name` in `parent`, in anndata's encodings.
pub(super) fn write(parent: &Group, name: &str, value: &Value) -> hdf5::Result<()> {
    match value {
        Value::Str(text) => {
            let kept = text.split('\0').next().unwrap_or_default();
            let text = VarLenUnicode::from_str(kept).map_err(|e| e.to_string())?;
            scalar(parent, name, &text, "string")
        }
        Value::Int(number) => scalar(parent, name, number, "numeric-scalar"),
        Value::Float(number) => scalar(parent, name, number, "numeric-scalar"),
        Value::Bool(truth) => scalar(parent, name, truth, "numeric-scalar"),
        Value::FloatArray(numbers) => write_numbers(parent, name, numbers.len(), numbers.iter().copied()).map(|_| ()),
        Value::IntArray(numbers) => write_numbers(parent, name, numbers.len(), numbers.iter().copied()).map(|_| ()),
        Value::StrArray(texts) => write_texts(parent, name, texts).map(|_| ()),
        Value::Map(members) => {
            let group = parent.create_group(name)?;
            attribute::set_encoding(&group, "dict", "0.1.0")?;
            members.iter().try_for_each(|(name, value)| write(&group, name, value))
        }
    }
}

fn scalar<T: H5Type>(parent: &Group, name: &str, value: &T, encoding: &str) -> hdf5::Result<()> {
    let dataset = parent.new_dataset::<T>().obj_track_times(false).create(name)?;
    dataset.write_scalar(value)?;
    attribute::set_encoding(&dataset, encoding, "0.2.0")
}
