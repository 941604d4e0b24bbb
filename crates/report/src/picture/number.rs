//! Numbers of figures: as many digits as a picture shows.

/// The number with so many significant digits; NaN if it is not finite.
pub(crate) fn digits(number: f64, digits: usize) -> f64 {
    match number.is_finite() {
        true => format!("{number:.*e}", digits - 1).parse().unwrap_or(number),
        false => f64::NAN,
    }
}

/// Numbers with three significant digits.
pub(crate) fn three(numbers: impl IntoIterator<Item = f64>) -> Vec<f64> {
    numbers.into_iter().map(|number| digits(number, 3)).collect()
}

/// Numbers of at most 1 with so many digits after the point.
pub(crate) fn decimals(numbers: impl IntoIterator<Item = f64>, digits: i32) -> Vec<f64> {
    let unit = 10_f64.powi(digits);
    numbers.into_iter().map(|number| self::digits((number * unit).round() / unit, 12)).collect()
}

/// A part in percent, such as `12.3 %`.
pub(crate) fn percent(part: f64) -> String {
    format!("{:.1} %", 100.0 * part)
}

/// `1234567` → `1,234,567`.
pub(crate) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_a_picture_shows() {
        assert_eq!(digits(0.001_234_56, 3).to_string(), "0.00123");
        assert_eq!(digits(123_456.0, 3).to_string(), "123000");
        assert_eq!(digits(0.0, 3).to_string(), "0");
        assert_eq!(digits(-0.5, 3).to_string(), "-0.5");
        assert!(digits(f64::INFINITY, 3).is_nan());
        assert_eq!(decimals([0.12345, 1.0, 0.0004], 3), [0.123, 1.0, 0.0]);
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(percent(0.12345), "12.3 %");
    }
}
