//! Bars of counts, one above the other.

use super::frame::{self, Room, Side};
use super::scale::Scale;
use super::sheet::{Shape, Sheet};
use crate::picture::{Bars, MARK};

/// Draws the bars in `width` points.
pub(super) fn draw(bars: &Bars, width: f64) -> Sheet {
    let height = 0.55 * width;
    let across = Scale::between(bars.edges[0], bars.edges[bars.edges.len() - 1]);
    let up = Scale::of([0.0, bars.highest() as f64].into_iter(), false, true);
    let y = Side::new(&bars.y, &up, height, true);
    let area = width - frame::left_of(&y, height) - 8.0;
    let x = Side::new(&bars.x, &across, area, false);
    let parts = bars.parts.iter().map(|part| (part.name.clone(), part.colour.to_owned()));
    let legend = frame::legend(parts.chain(bars.mark.iter().map(|mark| (mark.name.clone(), MARK.to_owned()))), area);
    let room = Room { width: area, height, above: legend.height + 4.0, right: 6.0 };
    let (mut sheet, area) = frame::draw(&x, &y, room);
    sheet.put(legend, [area.left, 0.0]);
    let right = |number: f64| area.left + across.part(number) * area.width;
    let down = |count: usize| area.top + (1.0 - up.part(count as f64)) * area.height;
    let mut below = vec![0; bars.edges.len() - 1];
    for part in &bars.parts {
        let mut boxes = Vec::new();
        for (bar, &count) in part.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let (left, top) = (right(bars.edges[bar]), down(below[bar] + count));
            boxes.push([left, top, right(bars.edges[bar + 1]) - left, down(below[bar]) - top]);
            below[bar] += count;
        }
        sheet.shapes.push(Shape::Boxes { boxes, colour: part.colour.into() });
    }
    if let Some(mark) = &bars.mark {
        sheet.line([right(mark.at), area.top], [right(mark.at), area.top + area.height], 1.0, MARK);
    }
    frame::lines(&mut sheet, area);
    sheet
}
