//! A sheet: shapes at places in points (1/72 inch), the origin at the top left.

use super::font;

/// The sizes of type, in points: that of titles and that of numbers along axes.
pub(super) const TITLE: f64 = 8.0;
pub(super) const SMALL: f64 = 7.0;
/// The height of a line of titles, and of a line of small type.
pub(super) const LINE: f64 = 10.0;
pub(super) const SMALL_LINE: f64 = 8.6;

pub(super) const INK: &str = "#1A1A1A";
pub(super) const AXIS: &str = "#4D4D4D";
pub(super) const GRID: &str = "#E3E3E3";

/// A thing that is drawn.
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    /// The line through points.
    Line { points: Vec<[f64; 2]>, width: f64, colour: &'static str },
    /// Rectangles of one colour: left, top, width, height.
    Boxes { boxes: Vec<[f64; 4]>, colour: String },
    /// Dots of one colour.
    Dots { at: Vec<[f64; 2]>, diameter: f64, colour: String, opacity: f64 },
    /// A line of text, upwards if it is turned. The place is that of the anchor, on the base line.
    Text { at: [f64; 2], text: String, size: f64, anchor: Anchor, turned: bool, colour: &'static str },
}

/// Which part of a text is at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// Shapes, and the room that they take.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sheet {
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) shapes: Vec<Shape>,
}

impl Sheet {
    /// Adds the line from `a` to `b`.
    pub(super) fn line(&mut self, a: [f64; 2], b: [f64; 2], width: f64, colour: &'static str) {
        self.shapes.push(Shape::Line { points: vec![a, b], width, colour });
    }

    /// Adds a rectangle.
    pub(super) fn fill(&mut self, place: [f64; 4], colour: impl Into<String>) {
        self.shapes.push(Shape::Boxes { boxes: vec![place], colour: colour.into() });
    }

    /// Adds a text whose middle is at the height `at[1]`.
    pub(super) fn text(&mut self, at: [f64; 2], text: &str, size: f64, anchor: Anchor) {
        let at = [at[0], at[1] + font::MIDDLE * size];
        let (text, turned) = (font::printable(text), false);
        self.shapes.push(Shape::Text { at, text, size, anchor, turned, colour: INK });
    }

    /// Adds a text that goes up, with its middle at `at`.
    pub(super) fn turned(&mut self, at: [f64; 2], text: &str, size: f64) {
        let at = [at[0] + font::MIDDLE * size, at[1]];
        let (text, anchor, turned) = (font::printable(text), Anchor::Middle, true);
        self.shapes.push(Shape::Text { at, text, size, anchor, turned, colour: INK });
    }

    /// Adds a mark of a legend: a small square.
    pub(super) fn square(&mut self, at: [f64; 2], colour: &str) {
        self.fill([at[0], at[1] - 2.75, 5.5, 5.5], colour);
    }

    /// Adds all of `other`, with its origin at `place`. The room does not change.
    pub(super) fn put(&mut self, other: Sheet, [dx, dy]: [f64; 2]) {
        let moved = |[x, y]: [f64; 2]| [x + dx, y + dy];
        self.shapes.extend(other.shapes.into_iter().map(|mut shape| {
            match &mut shape {
                Shape::Line { points: at, .. } | Shape::Dots { at, .. } => {
                    at.iter_mut().for_each(|point| *point = moved(*point));
                }
                Shape::Boxes { boxes, .. } => boxes.iter_mut().for_each(|place| {
                    [place[0], place[1]] = moved([place[0], place[1]]);
                }),
                Shape::Text { at, .. } => *at = moved(*at),
            }
            shape
        }));
    }
}
