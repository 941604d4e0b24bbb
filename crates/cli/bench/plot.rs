//! The plot: pass time and peak memory against block height, with a line for each k and number of
//! threads.
//!
//! The viewer of the SVG draws the texts. Without a font library, plotters only estimates their
//! width, so texts are short and nothing depends on their width.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;

use partwise::job::OutputKind;
use partwise::storage::StorageError;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter};
use plotters::prelude::*;

use super::report::{CaseReport, Report};
use crate::failure::{Code, Failure};
use crate::wording::{cells_by_genes, thousands};

/// The kind of the file.
pub(super) const KIND: OutputKind = OutputKind::Text { what: "an SVG picture", begins: &["<svg", "<?xml"] };

/// The size of the plot in pixels.
const SIZE: (u32, u32) = (1080, 460);
/// Colours that colour-blind people can distinguish (Okabe and Ito 2008).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(90, 90, 90),
];

/// The value of a case on the vertical axis.
type Value = fn(&CaseReport) -> Option<f64>;

/// A line of the plot: its name, and (log2 of the height, case) from left to right.
struct Line<'a> {
    name: String,
    cases: Vec<(f64, &'a CaseReport)>,
}

/// The axis of block heights: their log2, with a tick at each measured height.
struct Heights {
    range: Range<f64>,
    ticks: Vec<f64>,
}

impl Ranged for Heights {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (left, right): (i32, i32)) -> i32 {
        let part = (value - self.range.start) / (self.range.end - self.range.start);
        left + (part * f64::from(right - left)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Heights {
    fn format(log: &f64) -> String {
        thousands(log.exp2().round() as u64)
    }
}

/// Draws `report` into a file. The file appears complete or not at all.
///
/// # Errors
///
/// When the file cannot be written.
pub(super) fn draw(report: &Report, path: &Path) -> Result<(), Failure> {
    let mut text = String::new();
    picture(report, &mut text)
        .map_err(|error| Failure::new(Code::Defect, format!("{}: cannot draw: {error}", path.display())))?;
    let mut draft = path.as_os_str().to_owned();
    draft.push(".partial");
    let draft = Path::new(&draft);
    let written = fs::write(draft, text).and_then(|()| fs::rename(draft, path));
    written.map_err(|error: io::Error| {
        let _ = fs::remove_file(draft);
        StorageError::io("write", path, error).into()
    })
}

fn picture(report: &Report, text: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(text, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let title = format!("{}, {}; {}", cells_by_genes(report.cells, report.genes), report.layout, report.cpu);
    let root = root.titled(&title, ("sans-serif", 17))?;
    let (left, right) = root.split_horizontally(SIZE.0 / 2);
    let lines = lines(report);
    chart(&left, "best time of a pass, ms", &lines, |case| Some(1e3 * case.best_seconds?))?;
    chart(&right, "peak memory, MiB", &lines, |case| Some(case.peak_rss_bytes? as f64 / f64::from(1 << 20)))?;
    root.present()?;
    Ok(())
}

fn lines(report: &Report) -> Vec<Line<'_>> {
    let mut lines: Vec<Line<'_>> = Vec::new();
    for case in report.cases.iter().filter(|case| case.best_seconds.is_some()) {
        let plural = if case.threads == 1 { "" } else { "s" };
        let name = format!("k = {}, {} thread{plural}", case.k, case.threads);
        let point = ((case.block_rows as f64).log2(), case);
        // The cases are ordered by k and threads.
        match lines.last_mut().filter(|line| line.name == name) {
            Some(line) => line.cases.push(point),
            None => lines.push(Line { name, cases: vec![point] }),
        }
    }
    lines
}

/// Draws one half of the plot.
fn chart(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    what: &str,
    lines: &[Line<'_>],
    value: Value,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut heights: Vec<f64> = lines.iter().flat_map(|line| line.cases.iter().map(|case| case.0)).collect();
    heights.sort_by(f64::total_cmp);
    heights.dedup();
    let (Some(&first), Some(&last)) = (heights.first(), heights.last()) else { return Ok(()) };
    let values = lines.iter().flat_map(|line| line.cases.iter().filter_map(|case| value(case.1)));
    let top = values.fold(0.0, f64::max);
    // Leaves room above for the names of the lines.
    let top = if top > 0.0 { top * (1.05 + 0.08 * lines.len().min(6) as f64) } else { 1.0 };

    let ticks = heights.len();
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(Heights { range: first - 0.2..last + 0.2, ticks: heights }, 0.0..top)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_labels(ticks)
        .y_labels(8)
        .y_label_formatter(&|value| thousands(value.round() as u64))
        .x_desc("rows of a block")
        .y_desc(what)
        .label_style(("sans-serif", 14))
        .axis_desc_style(("sans-serif", 15))
        .draw()?;
    for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        let points: Vec<(f64, f64)> =
            line.cases.iter().filter_map(|&(height, case)| Some((height, value(case)?))).collect();
        chart
            .draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))?
            .label(&line.name)
            .legend(|(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], colour.stroke_width(2)));
        chart.draw_series(points.into_iter().map(|point| Circle::new(point, 3, colour.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(200, 200, 200))
        .label_font(("sans-serif", 14))
        .draw()?;
    Ok(())
}
