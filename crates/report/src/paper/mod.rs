//! Figures as files for a paper: a column or a page wide, with type of 7 and 8 points, on white.
//!
//! | file      | question                                                            |
//! |-----------|---------------------------------------------------------------------|
//! | `sheet`   | what can be drawn, and where?                                       |
//! | `font`    | how wide is a text, and what does it look like?                     |
//! | `scale`   | which numbers stand along an axis?                                  |
//! | `palette` | which colour does a value have?                                     |
//! | `frame`   | how do axes lie around a plot?                                      |
//! | `curves`, `bars`, `heat`, `cells`, `cards` | how is a figure of this kind drawn?         |
//! | `svg`, `png` | how does a sheet become a file?                                  |
//!
//! A figure with views has a panel for each; a view that shows the same numbers on a logarithmic axis is left out.
//! Panels stand in lines from left to right, up to three pages of them.

mod bars;
mod cards;
mod cells;
mod curves;
mod font;
mod frame;
mod heat;
mod palette;
pub(crate) mod png;
mod scale;
mod sheet;
pub(crate) mod svg;

use crate::picture::{Figure, Picture, Plot, View};
use sheet::{Anchor, LINE, SMALL, TITLE};

pub(crate) use sheet::Sheet;

/// The colours of texts, axes and grids.
#[cfg(test)]
pub(crate) const INKS: [&str; 3] = [sheet::INK, sheet::AXIS, sheet::GRID];

/// The margin of a file, so that nothing touches its edge.
const MARGIN: f64 = 3.0;
/// The width of a column of text, 85 mm, of a page, 180 mm, and the most height, in points; without margins.
const COLUMN: f64 = 85.0 * 72.0 / 25.4 - 2.0 * MARGIN;
const PAGE: f64 = 180.0 * 72.0 / 25.4 - 2.0 * MARGIN;
const TALL: f64 = 720.0 * 72.0 / 25.4;
/// The gap between panels.
const GAP: f64 = 12.0;

/// Draws what the page shows of a figure first; `None` if that is text.
pub(crate) fn first(figure: &Figure) -> Option<Sheet> {
    let panel = match &figure.picture {
        Picture::Views { views, .. } => views.first().map(|view| plot(&view.plot)),
        Picture::Cells(of) => cells::first(of),
        Picture::Genes(of) => curves::gene(of, COLUMN),
        Picture::Cards { .. } => None,
    };
    panel.map(|panel| in_lines(vec![panel]))
}

/// Draws a figure.
pub(crate) fn draw(figure: &Figure) -> Sheet {
    let panels = match &figure.picture {
        Picture::Views { views, .. } => {
            let shown: Vec<&View> = views.iter().filter(|view| !is_logarithmic(&view.plot)).collect();
            shown.iter().map(|view| panel(view, shown.len() > 1)).collect()
        }
        Picture::Cells(of) => cells::panels(of),
        Picture::Genes(of) => curves::gene(of, COLUMN).into_iter().collect(),
        Picture::Cards { cards, measure } => cards.iter().map(|card| cards::panel(card, measure)).collect(),
    };
    in_lines(panels)
}

fn is_logarithmic(plot: &Plot) -> bool {
    match plot {
        Plot::Curves(curves) => curves.x.logarithmic || curves.y.logarithmic,
        Plot::Bars(bars) => bars.y.logarithmic,
        Plot::Stack(_) | Plot::Heat(_) => false,
    }
}

fn plot(plot: &Plot) -> Sheet {
    match plot {
        Plot::Curves(curves) => curves::draw(curves, COLUMN),
        Plot::Stack(plots) => curves::stack(plots, COLUMN),
        Plot::Bars(bars) => bars::draw(bars, COLUMN),
        Plot::Heat(heat) => heat::draw(heat),
    }
}

/// A view, with its name above if it is one of several.
fn panel(view: &View, is_one_of_several: bool) -> Sheet {
    let drawn = plot(&view.plot);
    if !is_one_of_several {
        return drawn;
    }
    let mut sheet = Sheet { width: drawn.width, height: drawn.height + LINE + 2.0, ..Sheet::default() };
    let name = font::cut(&view.name, TITLE, drawn.width);
    sheet.text([drawn.width / 2.0, LINE / 2.0], &name, TITLE, Anchor::Middle);
    sheet.put(drawn, [0.0, LINE + 2.0]);
    sheet
}

/// Panels in lines from left to right; a line of text says how many would be too many.
fn in_lines(panels: Vec<Sheet>) -> Sheet {
    let all = panels.len();
    let (mut page, mut x, mut top, mut line) = (Sheet::default(), 0.0, 0.0, 0.0_f64);
    for (at, panel) in panels.into_iter().enumerate() {
        // A large panel has a line for itself.
        let is_other = panel.height > 1.4 * line || line > 1.4 * panel.height;
        if x > 0.0 && (is_other || x + panel.width > PAGE + 0.5) {
            (x, top, line) = (0.0, top + line + GAP, 0.0);
        }
        if at > 0 && x == 0.0 && top + panel.height > TALL {
            let left = format!("The page of the report has {} more.", all - at);
            page.text([0.0, top + LINE / 2.0], &left, SMALL, Anchor::Start);
            page.height = top + LINE;
            break;
        }
        line = f64::max(line, panel.height);
        page.width = page.width.max(x + panel.width);
        page.height = page.height.max(top + panel.height);
        let width = panel.width;
        page.put(panel, [x, top]);
        x += width + GAP;
    }
    let (width, height) = (page.width + 2.0 * MARGIN, page.height + 2.0 * MARGIN);
    let mut sheet = Sheet { width, height, ..Sheet::default() };
    sheet.put(page, [MARGIN, MARGIN]);
    sheet
}
