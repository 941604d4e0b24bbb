//! Lines and points, and bars.

use super::frame::{self, Room, Side};
use super::scale::Scale;
use super::sheet::{Shape, Sheet};
use crate::picture::{Axis, Curves, Genes, Style, Ticks};

/// Draws the plot in `width` points.
pub(super) fn draw(curves: &Curves, width: f64) -> Sheet {
    let (height, across) = (0.6 * width, across([curves]));
    let left = frame::left_of(&side(curves, height), height);
    within(curves, &curves.x, &across, width, (height, left))
}

/// Draws plots one above the other over the same axis in `width` points.
pub(super) fn stack(plots: &[Curves], width: f64) -> Sheet {
    let (height, across) = (0.4 * width, across(plots));
    let lefts = plots.iter().map(|plot| frame::left_of(&side(plot, height), height));
    let left = lefts.clone().fold(0.0, f64::max);
    let mut sheet = Sheet::default();
    for (at, (plot, own)) in plots.iter().zip(lefts).enumerate() {
        // The name of the axis stands below the last plot.
        let is_last = at + 1 == plots.len();
        let x = Axis::new(if is_last { plot.x.title.as_str() } else { "" }).with_ticks(plot.x.ticks.clone());
        let drawn = within(plot, &x, &across, width, (height, left));
        sheet.width = f64::max(sheet.width, left - own + drawn.width);
        let top = if at == 0 { 0.0 } else { sheet.height + 4.0 };
        sheet.height = top + drawn.height;
        sheet.put(drawn, [left - own, top]);
    }
    sheet
}

/// The scale of the horizontal axis that plots have in common.
fn across<'p>(plots: impl IntoIterator<Item = &'p Curves> + Copy) -> Scale {
    let of = |is: fn(&Axis) -> bool| plots.into_iter().any(|plot| is(&plot.x));
    let all = plots.into_iter().flat_map(|plot| &plot.traces).flat_map(|trace| trace.x.iter().copied());
    Scale::of(all, of(|axis| axis.logarithmic), of(|axis| axis.from_zero))
}

/// The scale of the vertical axis.
fn up(curves: &Curves) -> Scale {
    let all = curves.traces.iter().flat_map(|trace| trace.y.iter().copied());
    Scale::of(all, curves.y.logarithmic, curves.y.from_zero)
}

/// What is written along the vertical axis.
fn side(curves: &Curves, height: f64) -> Side {
    Side::new(&curves.y, &up(curves), height, true)
}

/// Draws the plot in `width` points, of which `left` are on the left of its area of this height.
fn within(curves: &Curves, x: &Axis, across: &Scale, width: f64, (height, left): (f64, f64)) -> Sheet {
    let up = up(curves);
    let legend = match curves.traces.len() {
        0 | 1 => Sheet::default(),
        _ => frame::legend(curves.traces.iter().map(|trace| (trace.name.into(), trace.colour.into())), width),
    };
    let y = side(curves, height);
    let area = width - left - 8.0;
    let x = Side::new(x, across, area, false);
    let room = Room { width: area, height, above: legend.height + 4.0, right: 6.0 };
    let (mut sheet, area) = frame::draw(&x, &y, room);
    sheet.put(legend, [area.left, 0.0]);
    frame::lines(&mut sheet, area);
    for trace in &curves.traces {
        let place = |(x, y): (&f64, &f64)| {
            let (x, y) = (across.part(*x), up.part(*y));
            let inside = x.is_finite() && y.is_finite();
            inside.then_some([area.left + x * area.width, area.top + (1.0 - y) * area.height])
        };
        let points: Vec<[f64; 2]> = trace.x.iter().zip(&trace.y).filter_map(place).collect();
        let dots = |at, diameter, opacity| Shape::Dots { at, diameter, colour: trace.colour.into(), opacity };
        match trace.style {
            Style::Line | Style::LineAndPoints => {
                let line = Shape::Line { points: points.clone(), width: 1.2, colour: trace.colour };
                sheet.shapes.push(line);
                if trace.style == Style::LineAndPoints {
                    sheet.shapes.push(dots(points, 3.6, 1.0));
                }
            }
            // Each for itself, so that points over one another are darker.
            Style::Points => sheet.shapes.extend(points.into_iter().map(|point| dots(vec![point], 4.0, 0.7))),
            Style::Crosses => {
                for [x, y] in points {
                    sheet.line([x - 2.0, y - 2.0], [x + 2.0, y + 2.0], 1.0, trace.colour);
                    sheet.line([x - 2.0, y + 2.0], [x + 2.0, y - 2.0], 1.0, trace.colour);
                }
            }
        }
    }
    sheet
}

/// Draws the numbers of the gene with the largest one, in every program; `None` without genes.
pub(super) fn gene(genes: &Genes, width: f64) -> Option<Sheet> {
    let largest = genes.values.iter().enumerate().filter(|(_, value)| value.is_finite());
    let (at, _) = largest.reduce(|most, next| if next.1 > most.1 { next } else { most })?;
    let gene = at / genes.k;
    let values = &genes.values[gene * genes.k..][..genes.k];
    let height = 0.5 * width;
    let up = Scale::of(values.iter().copied(), false, true);
    let y = Side::new(&Axis::new(format!("{} of {}", genes.word, genes.names[gene])), &up, height, true);
    let programs = Ticks::Names((0..genes.k).map(|program| program.to_string()).collect());
    let x = Side::new(&Axis::new("program").with_ticks(programs), &up, width, false);
    let room = Room { width: width - frame::left_of(&y, height) - 8.0, height, above: 4.0, right: 6.0 };
    let (mut sheet, area) = frame::draw(&x, &y, room);
    let field = area.width / genes.k as f64;
    let down = |value: f64| area.top + (1.0 - up.part(value)) * area.height;
    let bars = values.iter().enumerate().filter(|(_, value)| value.is_finite()).map(|(program, &value)| {
        let (a, b) = (down(value).min(down(0.0)), down(value).max(down(0.0)));
        [area.left + (program as f64 + 0.13) * field, a, 0.74 * field, b - a]
    });
    sheet.shapes.push(Shape::Boxes { boxes: bars.collect(), colour: "#0072B2".into() });
    frame::lines(&mut sheet, area);
    Some(sheet)
}
