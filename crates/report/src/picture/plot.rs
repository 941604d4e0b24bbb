//! What a plot shows: lines, points, fields and bars between axes that have names. The page draws it with plotly.js and
//! `paper` in vectors; neither adds content.

use super::groups::Shown;

/// A plot between two axes.
#[derive(Debug)]
pub(crate) enum Plot {
    Curves(Curves),
    /// One above the other over the same axis, which is that of the last one. Each has a linear scale.
    Stack(Vec<Curves>),
    Bars(Bars),
    Heat(Heat),
}

/// An axis.
#[derive(Debug)]
pub(crate) struct Axis {
    pub(crate) title: String,
    pub(crate) ticks: Ticks,
    pub(crate) logarithmic: bool,
    /// Whether 0 is on it, wherever the values are.
    pub(crate) from_zero: bool,
}

/// Where an axis has ticks.
#[derive(Debug, Clone)]
pub(crate) enum Ticks {
    /// At round numbers.
    Round,
    /// At whole numbers.
    Whole,
    /// At each whole number.
    Each,
    /// At these numbers.
    At(Vec<usize>),
    /// At 0, 1, 2, …, with these names.
    Names(Vec<String>),
    /// One in the middle of so many fields, with this name, and so on.
    Spans(Vec<(String, usize)>),
}

impl Axis {
    /// An axis with ticks at round numbers.
    pub(crate) fn new(title: impl Into<String>) -> Axis {
        Axis { title: title.into(), ticks: Ticks::Round, logarithmic: false, from_zero: false }
    }

    /// With these ticks.
    pub(crate) fn with_ticks(mut self, ticks: Ticks) -> Axis {
        self.ticks = ticks;
        self
    }

    /// On a logarithmic scale, or not.
    pub(crate) fn with_logarithms(mut self, logarithmic: bool) -> Axis {
        self.logarithmic = logarithmic;
        self
    }

    /// With 0 on it.
    pub(crate) fn with_zero(mut self) -> Axis {
        self.from_zero = true;
        self
    }
}

/// Lines and points. Several of them have a legend.
#[derive(Debug)]
pub(crate) struct Curves {
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) traces: Vec<Trace>,
}

/// Points, or the line through them.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    /// Its name in the legend; empty if it is alone.
    pub(crate) name: &'static str,
    pub(crate) x: Vec<f64>,
    pub(crate) y: Vec<f64>,
    pub(crate) style: Style,
    pub(crate) colour: &'static str,
    /// The text where the reader of the page points, in the terms of plotly.js; `None`: no text.
    pub(crate) hover: Option<&'static str>,
    /// What the text says about each point; may be empty.
    pub(crate) about: Vec<String>,
}

/// How points are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Line,
    LineAndPoints,
    /// Points that may lie over one another.
    Points,
    Crosses,
}

/// Counts of numbers between edges, as bars side by side.
#[derive(Debug)]
pub(crate) struct Bars {
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    /// The ends of the bars, one more than there are bars.
    pub(crate) edges: Vec<f64>,
    /// Parts of the bars, one above the other.
    pub(crate) parts: Vec<Part>,
    /// A line over all of the height.
    pub(crate) mark: Option<Mark>,
    /// The text where the reader of the page points, in the terms of plotly.js.
    pub(crate) hover: &'static str,
}

/// A part of every bar.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// Its name in the legend.
    pub(crate) name: String,
    pub(crate) colour: &'static str,
    /// Its count in each bar.
    pub(crate) counts: Vec<usize>,
}

/// A number that is marked on the horizontal axis.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    pub(crate) at: f64,
    /// Its name in the legend.
    pub(crate) name: String,
}

/// The colour of a mark.
pub(crate) const MARK: &str = "#D55E00";

impl Bars {
    /// The height of the highest bar.
    pub(crate) fn highest(&self) -> usize {
        let height = |bar: usize| self.parts.iter().map(|part| part.counts[bar]).sum();
        (0..self.edges.len().saturating_sub(1)).map(height).max().unwrap_or(0)
    }
}

/// Fields in rows and columns, the first row above. Both axes have names, or names of spans, or the columns are
/// numbered.
#[derive(Debug)]
pub(crate) struct Heat {
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) rows: Vec<Vec<f64>>,
    pub(crate) palette: Palette,
    /// The values of the first and of the last colour; `None`: the largest value.
    pub(crate) range: (f64, Option<f64>),
    /// The name of the values.
    pub(crate) unit: &'static str,
    /// Whether there are gaps between fields.
    pub(crate) gaps: bool,
    /// The text where the reader of the page points, in the terms of plotly.js.
    pub(crate) hover: &'static str,
    /// What the text says about rows, or columns.
    pub(crate) about: About,
    /// Bars above the fields: the group of each column.
    pub(crate) strips: Vec<Strip>,
}

/// Colours of a heat map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Palette {
    /// From dark to bright.
    Viridis,
    /// From blue over white to red.
    BlueRed,
}

/// Texts about the rows or the columns of a heat map.
#[derive(Debug)]
pub(crate) enum About {
    Nothing,
    Rows(Vec<String>),
    Columns(Vec<String>),
    /// About both, which are of the same things.
    Pairs(Vec<String>),
}

/// The group of each column, by its colour.
#[derive(Debug)]
pub(crate) struct Strip {
    pub(crate) name: String,
    pub(crate) groups: Shown,
    /// Whether a legend names the groups; an axis may do so.
    pub(crate) is_in_legend: bool,
}

/// Cells in the plane: directions and colours to choose from.
#[derive(Debug)]
pub(crate) struct Cells {
    pub(crate) directions: Vec<Direction>,
    pub(crate) colours: Vec<Colour>,
    pub(crate) names: Vec<String>,
}

/// A direction of the plane, with the place of each cell; NaN where it has none.
#[derive(Debug)]
pub(crate) struct Direction {
    pub(crate) name: String,
    pub(crate) values: Vec<f64>,
}

/// What cells are coloured by.
#[derive(Debug)]
pub(crate) struct Colour {
    pub(crate) name: String,
    pub(crate) by: By,
}

/// Values that colours stand for.
#[derive(Debug)]
pub(crate) enum By {
    Groups(Shown),
    /// Numbers, NaN where there is none.
    Numbers {
        unit: String,
        values: Vec<f64>,
        /// The card that is about them.
        card: Option<usize>,
    },
}

/// Numbers of each gene in every program.
#[derive(Debug)]
pub(crate) struct Genes {
    pub(crate) names: Vec<String>,
    /// Genes × k.
    pub(crate) values: Vec<f64>,
    pub(crate) k: usize,
    /// The name of a number.
    pub(crate) word: &'static str,
}

impl Strip {
    /// The names of its groups in a legend, with the name of the strip if there are several.
    pub(crate) fn named(&self, several: bool) -> impl Iterator<Item = String> {
        let of = move |group: &String| if several { format!("{}: {group}", self.name) } else { group.clone() };
        self.groups.names.iter().map(of)
    }
}
