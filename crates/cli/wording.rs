//! Numbers in the form that people read.

use std::time::Duration;

use partwise::storage::Layout;

/// `1234567` → `1,234,567`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `0.84 s`, `12 s`, `4 min 05 s`, `2 h 07 min`.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds.round() as u64 {
        _ if seconds < 9.95 => format!("{seconds:.2} s"),
        whole @ ..60 => format!("{whole} s"),
        whole @ ..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        whole => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// A relative error with four decimals, or `< 0.001`. If a fit is nearly perfect, the loss is a
/// small difference of large sums, so the digits of a smaller error would be rounding errors.
pub(crate) fn relative_error(error: f64) -> String {
    if error < 0.001 { "< 0.001".into() } else { format!("{error:.4}") }
}

/// The name of a layout.
pub(crate) fn layout(layout: Layout) -> &'static str {
    match layout {
        Layout::Sparse => "sparse",
        Layout::Dense => "dense",
    }
}

/// The shape of a matrix.
pub(crate) fn cells_by_genes(cells: usize, genes: usize) -> String {
    format!("{} cells x {} genes", thousands(cells as u64), thousands(genes as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(number), text);
        }
    }

    #[test]
    fn durations_have_two_units_at_most() {
        for (seconds, text) in [
            (0.841, "0.84 s"),
            (9.99, "10 s"),
            (59.4, "59 s"),
            (59.6, "1 min 00 s"),
            (245.0, "4 min 05 s"),
            (7_620.0, "2 h 07 min"),
        ] {
            assert_eq!(duration(Duration::from_secs_f64(seconds)), text);
        }
    }

    #[test]
    fn an_error_below_the_accuracy_has_no_digits() {
        assert_eq!(relative_error(0.00099), "< 0.001");
        assert_eq!(relative_error(0.41528), "0.4153");
    }
}
