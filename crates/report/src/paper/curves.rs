//! Lines and points, and bars.

use super::frame::{self, Room, Side};
use super::scale::Scale;
use super::sheet::{Shape, Sheet};
use crate::picture::{Axis, Curves, Genes, Style, Ticks, Trace};

/// Draws the plot in `width` points.
pub(super) fn draw(curves: &Curves, width: f64) -> Sheet {
    let height = 0.6 * width;
    let all = |of: fn(&Trace) -> &[f64]| curves.traces.iter().flat_map(move |trace| of(trace).iter().copied());
    let across = Scale::of(all(|trace| &trace.x), curves.x.logarithmic, curves.x.from_zero);
    let up = Scale::of(all(|trace| &trace.y), curves.y.logarithmic, curves.y.from_zero);
    let legend = match curves.traces.len() {
        0 | 1 => Sheet::default(),
        _ => frame::legend(curves.traces.iter().map(|trace| (trace.name.into(), trace.colour.into())), width),
    };
    let y = Side::new(&curves.y, &up, height, true);
    let area = width - frame::left_of(&y, height) - 8.0;
    let x = Side::new(&curves.x, &across, area, false);
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
