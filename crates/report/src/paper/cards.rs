//! Lists of genes with bars: a panel for each card.

use super::font;
use super::sheet::{AXIS, Anchor, LINE, SMALL, SMALL_LINE, Sheet, TITLE};
use crate::picture::{Card, Gene};

/// The widths of a name and of the longest bar.
const NAME: f64 = 58.0;
const BAR: f64 = 50.0;
/// The colours of the lists of a card.
const COLOURS: [&str; 2] = ["#56B4E9", "#E69F00"];

/// Draws the card; the longest bar is the largest `measure`.
pub(super) fn panel(card: &Card, measure: &str) -> Sheet {
    let mut sheet = Sheet { width: NAME + 3.0 + BAR + 6.0, ..Sheet::default() };
    sheet.text([0.0, LINE / 2.0], &card.title, TITLE, Anchor::Start);
    let (left, top, mut y) = (NAME + 3.0, LINE + 2.0, LINE + 2.0);
    for ((heading, genes), colour) in card.lists.iter().zip(COLOURS.iter().cycle()) {
        if !heading.is_empty() {
            sheet.text([NAME, y + SMALL_LINE / 2.0], heading, SMALL, Anchor::End);
            y += SMALL_LINE;
        }
        for Gene { name, bar, .. } in genes {
            let middle = y + SMALL_LINE / 2.0;
            sheet.text([NAME, middle], &font::cut(name, SMALL, NAME), SMALL, Anchor::End);
            sheet.fill([left, middle - 2.6, BAR * bar / 100.0, 5.2], *colour);
            y += SMALL_LINE;
        }
    }
    sheet.line([left, top], [left, y], 0.6, AXIS);
    sheet.line([left, y], [left + BAR, y], 0.6, AXIS);
    for (part, text) in [(0.0, "0"), (1.0, "1")] {
        let x = left + part * BAR;
        sheet.line([x, y], [x, y + 2.0], 0.5, AXIS);
        sheet.text([x, y + 6.0], text, SMALL, Anchor::Middle);
    }
    sheet.text([left + BAR / 2.0, y + 15.0], &format!("{measure} / largest"), SMALL, Anchor::Middle);
    sheet.height = y + 20.0;
    sheet
}
