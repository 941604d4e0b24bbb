//! Names that are stored as numbers, as anndata shows them: the words that Python prints.

use hdf5::{Dataset, Datatype, Result};

use super::Copy;
use crate::StorageError;
use crate::anndata::FrameWriter;
use crate::hdf::attribute;
use crate::hdf::number::{NumberType, is_boolean};
use crate::number::{Number, with_scalar};

/// Writes the names in `dataset`, or in one `field` of its records, as the index `name`. Returns
/// false if they are no numbers.
///
/// # Errors
///
/// - they cannot be read or written
pub(super) fn write(
    dataset: &Dataset,
    field: Option<&str>,
    datatype: &Datatype,
    name: &str,
    copy: &Copy<'_>,
    frame: &mut FrameWriter,
) -> std::result::Result<bool, StorageError> {
    let read = |e: &hdf5::Error| copy.problem(name, e);
    let Some(number) = NumberType::of(datatype).map_err(|e| read(&e))? else { return Ok(false) };
    let boolean = is_boolean(datatype);
    let mut writer = frame.index(Some(name))?;
    let written: Result<()> = number.visit(dataset, field, |_, bytes| {
        with_scalar!(number.scalar, T => bytes.chunks_exact(size_of::<T>()).try_for_each(|bytes| {
            let value = bytemuck::pod_read_unaligned::<T>(bytes);
            let shown = match number.scalar {
                Scalar::F32 => float(f64::from(value.widen() as f32), &format!("{:e}", value.widen() as f32), 1e6),
                Scalar::F64 => float(value.widen(), &format!("{:e}", value.widen()), 1e16),
                _ if boolean => if value.whole() == 0 { "False".into() } else { "True".into() },
                _ => value.whole().to_string(),
            };
            writer.push(shown.as_bytes())
        }))
    });
    let list = written.and_then(|()| writer.finish()).map_err(|e| read(&e))?;
    attribute::set_encoding(&list, "string-array", "0.2.0").map_err(|e| frame.problem(name, &e))?;
    Ok(true)
}

/// A float as Python prints it. `shortest` has the fewest digits that give the value back, as in
/// `-1.5e3`; Python writes an exponent from `limit` on, and below 0.0001.
fn float(value: f64, shortest: &str, limit: f64) -> String {
    let size = value.abs();
    let Some((mantissa, exponent)) = shortest.split_once('e') else {
        return match value {
            _ if value.is_nan() => "nan".into(),
            _ if value > 0.0 => "inf".into(),
            _ => "-inf".into(),
        };
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if size != 0.0 && (size < 1e-4 || size >= limit) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let digits = mantissa.replace('.', "");
    let before = usize::try_from(exponent + 1).unwrap_or(0);
    if before == 0 {
        return format!("{sign}0.{}{digits}", "0".repeat(usize::try_from(-exponent - 1).unwrap_or(0)));
    }
    let (whole, part) = digits.split_at(before.min(digits.len()));
    let zeros = "0".repeat(before - whole.len());
    format!("{sign}{whole}{zeros}.{}", if part.is_empty() { "0" } else { part })
}

#[cfg(test)]
mod tests {
    use super::float;

    #[test]
    fn floats_are_printed_as_python_prints_them() {
        let shown = |value: f64| float(value, &format!("{value:e}"), 1e16);
        for (value, expected) in [
            (1.0, "1.0"),
            (1.5, "1.5"),
            (-0.0, "-0.0"),
            (0.0, "0.0"),
            (-12.25, "-12.25"),
            (100.0, "100.0"),
            (0.0001, "0.0001"),
            (0.001_25, "0.00125"),
            (1e-5, "1e-05"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(shown(value), expected);
        }
        let single = |value: f32| float(f64::from(value), &format!("{value:e}"), 1e6);
        let values = [1.0_f32, 0.1, 999_999.0, 1e6, 16_777_216.0, 1e-4, 0.000_123_456_78];
        let expected = ["1.0", "0.1", "999999.0", "1e+06", "1.6777216e+07", "1e-04", "0.00012345678"];
        assert_eq!(values.map(single), expected);
    }
}
