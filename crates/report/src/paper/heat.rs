//! Heat maps, with the groups of their columns above them.

use std::collections::BTreeMap;

use super::frame::{self, Area, Room, Side};
use super::scale::Scale;
use super::sheet::{Anchor, SMALL, Shape, Sheet};
use super::{COLUMN, PAGE, palette};
use crate::picture::{Heat, Ticks};

/// The height of a bar of groups, with the gap below it.
const STRIP: f64 = 9.0;
/// The least and the usual size of a field with a name, and the most height of all.
const LEAST: f64 = 9.5;
const FIELD: f64 = 13.0;
const TALLEST: f64 = 480.0;
/// The side of a square of fields that only spans have names of.
const SQUARE: f64 = 260.0;

/// Draws the heat map: in a column of text if its fields are large enough there, otherwise in a page.
pub(super) fn draw(heat: &Heat) -> Sheet {
    let (rows, columns) = (heat.rows.len().max(1), heat.rows.first().map_or(1, Vec::len).max(1));
    let is_named = matches!(heat.x.ticks, Ticks::Names(_));
    let is_square = matches!(heat.x.ticks, Ticks::Spans(_));
    let height = if is_square { SQUARE } else { (FIELD * rows as f64).clamp(60.0, TALLEST) };
    let most = || heat.rows.iter().flatten().copied().filter(|value| value.is_finite()).fold(0.0, f64::max);
    let scale = Scale::between(heat.range.0, heat.range.1.unwrap_or_else(most));
    let bar = palette::bar(heat.palette, &scale, heat.unit, height.min(130.0));
    let y = Side::new(&heat.y, &scale, height, true);
    let beside = frame::left_of(&y, height) + bar.width + 8.0;
    let narrow = is_named && beside + LEAST * columns as f64 <= COLUMN;
    let widest = if narrow { COLUMN } else { PAGE } - beside - 1.0;
    let field = match is_named {
        _ if is_square => height / columns as f64,
        true => (height / rows as f64).max(LEAST),
        false => widest,
    };
    let width = (field * columns as f64).clamp(60.0_f64.min(widest), widest);
    let x = match is_named {
        true => Side::new(&heat.x, &scale, width, false),
        false => Side::new(&heat.x, &Scale::between(0.0, columns as f64), width, false),
    };
    let in_legend = || heat.strips.iter().filter(|strip| strip.is_in_legend);
    let several = in_legend().count() > 1;
    let entries = in_legend()
        .flat_map(|strip| strip.named(several).zip(strip.groups.colours.iter().map(|&colour| colour.to_owned())));
    let legend = frame::legend(entries, beside + width);
    let legend_height = if in_legend().count() == 0 { 0.0 } else { legend.height + 4.0 };
    let above = legend_height + STRIP * heat.strips.len() as f64;
    let (mut sheet, area) = frame::draw(&x, &y, Room { width, height, above, right: bar.width + 8.0 });
    sheet.put(legend, [0.0, 0.0]);
    for (place, strip) in heat.strips.iter().enumerate() {
        let top = area.top - STRIP * (heat.strips.len() - place) as f64;
        let part = Area { top, height: STRIP - 2.0, ..area };
        let colour = |code: &f64| strip.groups.colours[*code as usize].to_owned();
        let codes: Vec<f64> = strip.groups.codes.iter().map(|&code| code as f64).collect();
        sheet.shapes.extend(fields(&[codes], part, 0.0, colour));
        let name = super::font::cut(&strip.name, SMALL, area.left - 4.0);
        sheet.text([area.left - 2.0, top + (STRIP - 2.0) / 2.0], &name, SMALL, Anchor::End);
    }
    let gap = if heat.gaps { (0.06 * field).min(0.6) } else { 0.0 };
    let steps: Vec<Vec<f64>> = heat
        .rows
        .iter()
        .map(|row| row.iter().map(|&value| if value.is_finite() { palette::step(value, &scale) as f64 } else { value }))
        .map(Iterator::collect)
        .collect();
    sheet.shapes.extend(fields(&steps, area, gap, |step| palette::colour(heat.palette, *step as usize)));
    sheet.put(bar, [area.left + area.width + 7.0, area.top]);
    sheet
}

/// Fields with whole numbers, one shape for each of them; neighbours of a row in one rectangle if there is no gap.
fn fields(rows: &[Vec<f64>], area: Area, gap: f64, colour: impl Fn(&f64) -> String) -> Vec<Shape> {
    let mut boxes: BTreeMap<u64, Vec<[f64; 4]>> = BTreeMap::new();
    let height = area.height / rows.len() as f64;
    for (row, codes) in rows.iter().enumerate() {
        let width = area.width / codes.len() as f64;
        let mut at = 0;
        while at < codes.len() {
            let alike = codes[at..].iter().take_while(|code| **code == codes[at]).count();
            let count = if gap > 0.0 { 1 } else { alike.max(1) };
            if codes[at].is_finite() {
                let place = [area.left + at as f64 * width, area.top + row as f64 * height];
                let size = [count as f64 * width - gap, height - gap];
                boxes.entry(codes[at] as u64).or_default().push([place[0], place[1], size[0], size[1]]);
            }
            at += count;
        }
    }
    boxes.into_iter().map(|(code, boxes)| Shape::Boxes { boxes, colour: colour(&(code as f64)) }).collect()
}
