//! Cells in the plane: a panel for each choice of colours.

use super::font;
use super::frame::{self, Area, Room, Side};
use super::palette;
use super::scale::Scale;
use super::sheet::{Anchor, LINE, SMALL, Shape, Sheet};
use crate::picture::{Axis, By, Cells, Colour, Palette};

/// The side of a panel.
const SIDE: f64 = 82.0;
/// The side of a panel with groups, which have a legend beside it.
const LARGE: f64 = 170.0;

/// Draws the panels, by the first two directions.
pub(super) fn panels(cells: &Cells) -> Vec<Sheet> {
    let is_large = |colour: &Colour| matches!(colour.by, By::Groups(_)) || cells.colours.len() == 1;
    let side = |colour| if is_large(colour) { LARGE } else { SIDE };
    cells.colours.iter().filter_map(|colour| panel(cells, colour, side(colour))).collect()
}

/// Draws the panel of the first colours alone.
pub(super) fn first(cells: &Cells) -> Option<Sheet> {
    panel(cells, cells.colours.first()?, LARGE)
}

fn panel(cells: &Cells, colour: &Colour, side: f64) -> Option<Sheet> {
    let [across, up, ..] = &cells.directions[..] else { return None };
    let scales = [across, up].map(|direction| Scale::of(direction.values.iter().copied(), false, false));
    let (x, y) = (
        Side::new(&Axis::new(across.name.as_str()), &scales[0], side, false),
        Side::new(&Axis::new(up.name.as_str()), &scales[1], side, true),
    );
    let (beside, groups) = match &colour.by {
        By::Groups(shown) => {
            let entries = shown.names.iter().cloned().zip(shown.colours.iter().map(|&of| of.to_owned()));
            // One below the other.
            let mut legend = Sheet::default();
            for (line, (name, colour)) in entries.enumerate() {
                let (y, name) = ((line as f64 + 0.5) * LINE, font::cut(&name, SMALL, 120.0));
                legend.square([0.0, y], &colour);
                legend.text([8.0, y], &name, SMALL, Anchor::Start);
                legend.width = f64::max(legend.width, 8.0 + font::room(&name, SMALL));
                legend.height = (line + 1) as f64 * LINE;
            }
            let of = |code: usize| move |(cell, &other): (usize, &usize)| (other == code).then_some(cell);
            let groups = (0..shown.names.len()).map(|code| {
                (shown.colours[code].to_owned(), shown.codes.iter().enumerate().filter_map(of(code)).collect())
            });
            (legend, groups.collect())
        }
        By::Numbers { unit, values, .. } => by_numbers(unit, values, side),
    };
    let room = Room { width: side, height: side, above: LINE + 4.0, right: beside.width + 7.0 };
    let (mut sheet, area) = frame::draw(&x, &y, room);
    let name = font::cut(&colour.name, SMALL + 1.0, side + beside.width);
    sheet.text([area.left + area.width / 2.0, LINE / 2.0], &name, SMALL + 1.0, Anchor::Middle);
    sheet.height = sheet.height.max(area.top + beside.height);
    sheet.put(beside, [area.left + area.width + 6.0, area.top]);
    let diameter = match cells.names.len() {
        2501.. => 1.3,
        801..=2500 => 1.8,
        _ => 2.6,
    } * if side > SIDE { 1.4 } else { 1.0 };
    for (colour, of) in groups {
        let at =
            of.into_iter().filter_map(|cell| place(area, &scales, [across.values[cell], up.values[cell]])).collect();
        sheet.shapes.push(Shape::Dots { at, diameter, colour, opacity: 1.0 });
    }
    frame::lines(&mut sheet, area);
    Some(sheet)
}

/// The bar of the numbers, and the cells of each colour. Cells of large numbers are drawn last, so that they are not
/// hidden.
fn by_numbers(unit: &str, values: &[f64], side: f64) -> (Sheet, Vec<(String, Vec<usize>)>) {
    let known = || values.iter().copied().filter(|value| value.is_finite());
    let least = if unit == "share" { 0.0 } else { known().fold(f64::INFINITY, f64::min) };
    let least = if least.is_finite() { least } else { 0.0 };
    let scale = Scale::between(least, known().fold(f64::NEG_INFINITY, f64::max));
    let mut by_step: Vec<Vec<usize>> = vec![Vec::new(); palette::STEPS];
    for (cell, &value) in values.iter().enumerate().filter(|(_, value)| value.is_finite()) {
        by_step[palette::step(value, &scale)].push(cell);
    }
    let colours = by_step.into_iter().enumerate().filter(|(_, cells)| !cells.is_empty());
    let groups = colours.map(|(step, cells)| (palette::colour(Palette::Viridis, step), cells)).collect();
    (palette::bar(Palette::Viridis, &scale, unit, side), groups)
}

fn place(area: Area, [across, up]: &[Scale; 2], [x, y]: [f64; 2]) -> Option<[f64; 2]> {
    let inside = x.is_finite() && y.is_finite();
    inside.then(|| [area.left + across.part(x) * area.width, area.top + (1.0 - up.part(y)) * area.height])
}
