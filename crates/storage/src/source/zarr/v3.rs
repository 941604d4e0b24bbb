//! Array metadata of zarr version 3: `zarr.json`. And the parts that version 2 shares.

use serde_json::{Map, Value};

use super::array::{Array, Fill, Keys, Shard};
use super::element::{Element, Endian};
use super::steps::Step;
use crate::codec::deflate::Frame;
use crate::number::Scalar;

/// Parses the content of the `zarr.json` of an array.
///
/// # Errors
///
/// The fault as a predicate.
pub(super) fn parse(metadata: &Map<String, Value>) -> Result<Array, String> {
    let shape = lengths(metadata.get("shape"), "shape")?;
    let (grid, configuration) = named(metadata.get("chunk_grid"), "chunk_grid")?;
    if grid != "regular" {
        return Err(format!("has a chunk grid called {grid}, expected regular"));
    }
    let chunk = lengths(configuration.get("chunk_shape"), "chunk_shape")?;
    if metadata.get("storage_transformers").and_then(Value::as_array).is_some_and(|list| !list.is_empty()) {
        return Err("has storage transformers, which no reader knows".into());
    }
    let keys = match named(metadata.get("chunk_key_encoding"), "chunk_key_encoding")? {
        ("default", configuration) => Keys { folder: true, separator: separator(configuration, '/') },
        ("v2", configuration) => Keys { folder: false, separator: separator(configuration, '.') },
        (other, _) => return Err(format!("has the chunk key encoding {other}, expected default or v2")),
    };
    let element = element(metadata.get("data_type").unwrap_or(&Value::Null))?;
    let codecs = metadata.get("codecs").and_then(Value::as_array).ok_or("has no codecs")?;
    let outer = Codecs::parse(codecs, &element, shape.len())?;
    let (codecs, piece, shard) = match outer.shard {
        Some((_, _, inner)) if !outer.steps.is_empty() || inner.shard.is_some() => {
            return Err("has shards inside of another codec, which is not supported".into());
        }
        Some((piece, shard, inner)) => (*inner, piece, Some(shard)),
        None => (outer, chunk.clone(), None),
    };
    let element = match codecs.endian {
        Some(endian) => element.in_order(endian),
        None => element,
    };
    let fill = metadata.get("fill_value").map_or(Ok(Fill::Zero), fill)?;
    let Codecs { by_column, steps, .. } = codecs;
    Array { shape, chunk, piece, shard, element, by_column, steps, fill, keys }.check()
}

/// The codecs of a chunk, in the order of decoding.
struct Codecs {
    by_column: bool,
    endian: Option<Endian>,
    steps: Vec<Step>,
    /// Lengths of inner chunks, their index and their codecs.
    shard: Option<(Vec<usize>, Shard, Box<Codecs>)>,
}

impl Codecs {
    fn parse(list: &[Value], element: &Element, axes: usize) -> Result<Codecs, String> {
        let mut codecs = Codecs { by_column: false, endian: None, steps: Vec::new(), shard: None };
        let mut serialized = false;
        for codec in list {
            let (name, configuration) = named(Some(codec), "codec")?;
            match name {
                "transpose" if !serialized => {
                    let order = lengths(configuration.get("order"), "order")?;
                    codecs.by_column ^= match order[..] {
                        [0] | [0, 1] if order.len() == axes => false,
                        [1, 0] if axes == 2 => true,
                        _ => return Err(format!("is transposed by {order:?}, which is no order of its axes")),
                    };
                }
                "bytes" if !serialized => {
                    serialized = true;
                    codecs.endian = Some(match configuration.get("endian").and_then(Value::as_str) {
                        Some("big") => Endian::Big,
                        _ => Endian::Little,
                    });
                }
                "vlen-utf8" | "vlen-bytes" if !serialized && *element == Element::Text => serialized = true,
                "sharding_indexed" if !serialized && !codecs.by_column => {
                    serialized = true;
                    codecs.shard = Some(shard(configuration, element, axes)?);
                }
                "bytes" | "vlen-utf8" | "vlen-bytes" | "sharding_indexed" | "transpose" => {
                    return Err(format!("has the codec {name} where it cannot be"));
                }
                other => codecs.steps.insert(0, step(other, configuration, Some(element))?),
            }
        }
        match serialized {
            true => Ok(codecs),
            false => Err("has no codec that turns values into bytes".into()),
        }
    }
}

fn shard(configuration: &Value, element: &Element, axes: usize) -> Result<(Vec<usize>, Shard, Box<Codecs>), String> {
    let list = |name: &str| {
        let codecs = configuration.get(name).and_then(Value::as_array);
        codecs.ok_or_else(|| format!("has shards without {name}"))
    };
    let piece = lengths(configuration.get("chunk_shape"), "chunk_shape")?;
    let inner = Codecs::parse(list("codecs")?, element, axes)?;
    let index = Codecs::parse(list("index_codecs")?, &Element::Number(Scalar::U64, Endian::Little), 1)?;
    let checked = match index.steps[..] {
        [] => false,
        [Step::Crc32c] => true,
        _ => return Err("has shards whose index is compressed, which is not supported".into()),
    };
    if index.endian != Some(Endian::Little) {
        return Err("has shards whose index is big-endian, which is not supported".into());
    }
    let at_end = configuration.get("index_location").and_then(Value::as_str) != Some("start");
    Ok((piece, Shard { at_end, checked }, Box::new(inner)))
}

/// The decoder of the codec `name`, in the words of either version.
pub(super) fn step(name: &str, configuration: &Value, element: Option<&Element>) -> Result<Step, String> {
    let size = || {
        let stated =
            configuration.get("elementsize").and_then(Value::as_u64).and_then(|size| usize::try_from(size).ok());
        stated.or_else(|| element.and_then(Element::size)).unwrap_or(1)
    };
    Ok(match name.strip_prefix("numcodecs.").unwrap_or(name) {
        "zlib" => Step::Deflate(Frame::Zlib),
        "gzip" => Step::Deflate(Frame::Gzip),
        "zstd" => Step::Zstd,
        "blosc" => Step::Blosc,
        "lz4" => Step::Lz4,
        "crc32c" => Step::Crc32c,
        "shuffle" => Step::Shuffle(size()),
        other => {
            return Err(format!(
                "is stored with the codec {other}, which is not supported (blosc, zstd, gzip, zlib, lz4 are)"
            ));
        }
    })
}

/// A list of lengths.
pub(super) fn lengths(value: Option<&Value>, name: &str) -> Result<Vec<usize>, String> {
    let list = value.and_then(Value::as_array).filter(|list| list.len() <= 64);
    let numbers = list.and_then(|list| list.iter().map(|n| usize::try_from(n.as_u64()?).ok()).collect());
    numbers.ok_or_else(|| format!("has the {name} {}, expected a list of lengths", shown(value)))
}

/// A fill value.
pub(super) fn fill(value: &Value) -> Result<Fill, String> {
    Ok(match value {
        Value::Null | Value::Bool(false) => Fill::Zero,
        Value::Bool(true) => Fill::Number(1.0, Some(1)),
        Value::Number(number) => {
            let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
            Fill::Number(number.as_f64().unwrap_or(0.0), whole)
        }
        Value::String(text) => match text.as_str() {
            "NaN" => Fill::Number(f64::NAN, None),
            "Infinity" => Fill::Number(f64::INFINITY, None),
            "-Infinity" => Fill::Number(f64::NEG_INFINITY, None),
            _ => Fill::Text(text.clone()),
        },
        other => return Err(format!("has the fill value {}", shown(Some(other)))),
    })
}

fn element(data_type: &Value) -> Result<Element, String> {
    let unknown = || format!("holds values of type {}, expected numbers or strings", shown(Some(data_type)));
    let number = |scalar| Element::Number(scalar, Endian::Little);
    if data_type.is_object() {
        let (name, configuration) = named(Some(data_type), "data_type")?;
        let bytes = configuration.get("length_bytes").and_then(Value::as_u64).filter(|&bytes| bytes <= 1 << 26);
        return match (name, bytes) {
            ("fixed_length_utf32", Some(bytes)) if bytes % 4 == 0 => {
                Ok(Element::Unicode(bytes as usize, Endian::Little))
            }
            ("null_terminated_bytes", Some(bytes)) => Ok(Element::Bytes(bytes as usize)),
            ("string" | "variable_length_utf8", _) => Ok(Element::Text),
            _ => Err(unknown()),
        };
    }
    Ok(match data_type.as_str().ok_or_else(unknown)? {
        "bool" => Element::Bool,
        "int8" => number(Scalar::I8),
        "int16" => number(Scalar::I16),
        "int32" => number(Scalar::I32),
        "int64" => number(Scalar::I64),
        "uint8" => number(Scalar::U8),
        "uint16" => number(Scalar::U16),
        "uint32" => number(Scalar::U32),
        "uint64" => number(Scalar::U64),
        "float16" => Element::Half(Endian::Little),
        "float32" => number(Scalar::F32),
        "float64" => number(Scalar::F64),
        "string" => Element::Text,
        _ => return Err(unknown()),
    })
}

/// An object with a name and, perhaps, a configuration; or the name alone.
fn named<'a>(value: Option<&'a Value>, what: &str) -> Result<(&'a str, &'a Value), String> {
    let name = value.and_then(|value| value.as_str().or_else(|| value.get("name")?.as_str()));
    let configuration = value.and_then(|value| value.get("configuration")).unwrap_or(&Value::Null);
    name.map(|name| (name, configuration)).ok_or_else(|| format!("has the {what} {}", shown(value)))
}

fn separator(configuration: &Value, usual: char) -> char {
    match configuration.get("separator").and_then(Value::as_str) {
        Some("/") => '/',
        Some(".") => '.',
        _ => usual,
    }
}

/// A value in a message, shortened.
fn shown(value: Option<&Value>) -> String {
    let text = value.unwrap_or(&Value::Null).to_string();
    text.chars().take(60).collect()
}
