//! Sizes in bytes, in the form that people type and read. Units are powers of two: 64M is 64 · 2²⁰
//! bytes.

use std::fmt;
use std::str::FromStr;

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ByteSize(pub(crate) u64);

const UNITS: [(char, u32); 4] = [('K', 10), ('M', 20), ('G', 30), ('T', 40)];

impl FromStr for ByteSize {
    type Err = String;

    /// `1048576`, `64M`, `1.5G`, `2GiB`: a number, and K, M, G or T for powers of two.
    fn from_str(typed: &str) -> Result<Self, String> {
        let wrong = || {
            format!("\"{typed}\" is not a size; write bytes, or K, M, G or T for powers of two, such as 64M or 1.5G")
        };
        if UNITS.iter().any(|(letter, _)| typed.ends_with(&format!("{letter}b"))) {
            return Err(format!("\"{typed}\" is in bits; write bytes of 8 bits, such as 64M or 1.5G"));
        }
        let upper = typed.trim().to_ascii_uppercase();
        let digits = upper.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let bits = match upper[digits.len()..].trim_end_matches("IB").trim_end_matches('B') {
            "" => 0,
            unit => UNITS.iter().find(|(letter, _)| unit == letter.to_string()).ok_or_else(wrong)?.1,
        };
        // Whole numbers stay exact; a fraction of a unit is rounded down to whole bytes.
        if let Ok(whole) = digits.parse::<u64>() {
            return whole.checked_mul(1 << bits).map(ByteSize).ok_or_else(wrong);
        }
        let number: f64 = digits.parse().map_err(|_| wrong())?;
        let bytes = number * f64::from(bits).exp2();
        if number >= 0.0 && bytes < u64::MAX as f64 { Ok(ByteSize(bytes as u64)) } else { Err(wrong()) }
    }
}

impl fmt::Display for ByteSize {
    /// Three digits and a unit: `64M`, `1.41G`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().rev().find(|(_, bits)| self.0 >> bits > 0) {
            None => write!(f, "{} bytes", self.0),
            Some((letter, bits)) => {
                let value = self.0 as f64 / f64::from(*bits).exp2();
                let digits = usize::from(value < 99.95) + usize::from(value < 9.995);
                let text = format!("{value:.digits$}");
                let text = if digits > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
                write!(f, "{text}{letter}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_two() {
        for (typed, bytes) in [
            ("64M", 64 << 20),
            ("512K", 512 << 10),
            ("2g", 2 << 30),
            ("1T", 1 << 40),
            ("2GiB", 2 << 30),
            ("3MB", 3 << 20),
            ("1.5G", 3 << 29),
            ("12345", 12_345),
            ("7B", 7),
            ("9007199254740993", 9_007_199_254_740_993),
        ] {
            assert_eq!(typed.parse(), Ok(ByteSize(bytes)), "{typed}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_an_example() {
        for typed in ["", "M", "64Q", "-1G", "1e400G", "64 M M", "99999999999T", "inf", "NaN"] {
            let refusal = typed.parse::<ByteSize>().expect_err(typed);
            assert!(refusal.contains("such as 64M"), "{typed}: {refusal}");
        }
    }

    #[test]
    fn bits_are_not_taken_for_bytes() {
        assert!("16Gb".parse::<ByteSize>().unwrap_err().contains("is in bits"));
        assert_eq!("64gb".parse(), Ok(ByteSize(64 << 30)), "PBS writes memory like this");
    }

    #[test]
    fn sizes_are_shown_short() {
        for (bytes, shown) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1 << 20, "1M"),
            (64 << 20, "64M"),
            (1_514_000_000, "1.41G"),
            (999 << 20, "999M"),
        ] {
            assert_eq!(ByteSize(bytes).to_string(), shown);
        }
    }
}
