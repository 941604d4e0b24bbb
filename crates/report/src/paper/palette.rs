//! Colours of values, in steps, and the bar that explains them.

use super::font;
use super::scale::Scale;
use super::sheet::{AXIS, Anchor, SMALL, Sheet, TITLE};
use crate::picture::Palette;

/// Colours of a palette. More of them look no different.
pub(super) const STEPS: usize = 128;
/// The width of a bar.
const BAR: f64 = 6.0;

/// Colours at even distances; between them they are mixed.
fn stops(palette: Palette) -> &'static [[u8; 3]] {
    match palette {
        // Those of plotly.js.
        Palette::Viridis => &[
            [0x44, 0x01, 0x54],
            [0x48, 0x28, 0x78],
            [0x3e, 0x49, 0x89],
            [0x31, 0x68, 0x8e],
            [0x26, 0x82, 0x8e],
            [0x1f, 0x9e, 0x89],
            [0x35, 0xb7, 0x79],
            [0x6e, 0xce, 0x58],
            [0xb5, 0xde, 0x2b],
            [0xfd, 0xe7, 0x25],
        ],
        // ColorBrewer's RdBu, reversed.
        Palette::BlueRed => &[
            [0x05, 0x30, 0x61],
            [0x21, 0x66, 0xac],
            [0x43, 0x93, 0xc3],
            [0x92, 0xc5, 0xde],
            [0xd1, 0xe5, 0xf0],
            [0xf7, 0xf7, 0xf7],
            [0xfd, 0xdb, 0xc7],
            [0xf4, 0xa5, 0x82],
            [0xd6, 0x60, 0x4d],
            [0xb2, 0x18, 0x2b],
            [0x67, 0x00, 0x1f],
        ],
    }
}

/// The colour of a step.
pub(super) fn colour(palette: Palette, step: usize) -> String {
    let stops = stops(palette);
    let at = step.min(STEPS - 1) as f64 / (STEPS - 1) as f64 * (stops.len() - 1) as f64;
    let below = (at.floor() as usize).min(stops.len() - 2);
    let part = at - below as f64;
    let mixed = |channel: usize| {
        let (a, b) = (f64::from(stops[below][channel]), f64::from(stops[below + 1][channel]));
        (a + part * (b - a)).round() as u8
    };
    format!("#{:02x}{:02x}{:02x}", mixed(0), mixed(1), mixed(2))
}

/// The step of a value.
pub(super) fn step(value: f64, scale: &Scale) -> usize {
    (scale.part(value).clamp(0.0, 1.0) * (STEPS - 1) as f64).round() as usize
}

/// The bar of a palette, with its numbers and the name of the values.
pub(super) fn bar(palette: Palette, scale: &Scale, unit: &str, height: f64) -> Sheet {
    let mut sheet = Sheet::default();
    let slice = height / STEPS as f64;
    for step in 0..STEPS {
        sheet.fill([0.0, height - (step + 1) as f64 * slice, BAR, slice], colour(palette, step));
    }
    let mut texts: f64 = 0.0;
    for (value, text) in scale.ticks((height / 20.0).clamp(2.0, 6.0) as usize, false) {
        let y = (1.0 - scale.part(value)) * height;
        if (-0.01..=height + 0.01).contains(&y) {
            sheet.line([BAR, y], [BAR + 1.8, y], 0.5, AXIS);
            sheet.text([BAR + 3.5, y], &text, SMALL, Anchor::Start);
            texts = texts.max(font::room(&text, SMALL));
        }
    }
    let left = BAR + 3.5 + texts + 2.5;
    let lines = font::lines(unit, TITLE, height.max(60.0));
    for (line, text) in lines.iter().enumerate() {
        sheet.turned([left + (line as f64 + 0.5) * TITLE, height / 2.0], text, TITLE);
    }
    (sheet.width, sheet.height) = (left + lines.len() as f64 * TITLE + 1.0, height);
    sheet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_colours_of_their_places() {
        let scale = Scale::between(-1.0, 1.0);
        let of = |value| colour(Palette::BlueRed, step(value, &scale));
        assert_eq!((of(-1.0), of(1.0)), ("#053061".into(), "#67001f".into()));
        assert_eq!(colour(Palette::Viridis, 0), "#440154");
        assert_eq!(colour(Palette::Viridis, STEPS - 1), "#fde725");
        assert_eq!((step(-2.0, &scale), step(2.0, &scale)), (0, STEPS - 1));
    }
}
