//! The frame of a plot: its two axes, with their names, numbers and lines, around an area for the content.

use super::font;
use super::scale::Scale;
use super::sheet::{AXIS, Anchor, GRID, LINE, SMALL, SMALL_LINE, Sheet, TITLE};
use crate::picture::{Axis, Ticks};

/// The length of a tick, and the gap between it and its number.
const TICK: f64 = 2.5;
const GAP: f64 = 2.0;
/// The most room for the names along the vertical axis.
const NAMES: f64 = 130.0;

/// What is written along an axis: parts of its length, from left to right or from the top, and texts.
pub(super) struct Side {
    title: String,
    marks: Vec<(f64, String)>,
    /// Whether the marks are places in an order rather than numbers.
    is_named: bool,
}

impl Side {
    /// The numbers of `scale` along an axis of about `length` points, or the places of its names.
    pub(super) fn new(axis: &Axis, scale: &Scale, length: f64, is_vertical: bool) -> Side {
        let count = (length / if is_vertical { 20.0 } else { 26.0 }).clamp(2.0, 8.0) as usize;
        let marks = match &axis.ticks {
            Ticks::Round => scale.ticks(count, false),
            Ticks::Whole | Ticks::Each => scale.ticks(count, true),
            Ticks::At(numbers) => numbers.iter().map(|&number| (number as f64, number.to_string())).collect(),
            Ticks::Names(names) => {
                let fields = names.len().max(1) as f64;
                let marks = names.iter().enumerate().map(|(at, name)| ((at as f64 + 0.5) / fields, name.clone()));
                return Side { title: axis.title.clone(), marks: marks.collect(), is_named: true };
            }
            Ticks::Spans(spans) => {
                let (all, mut before) = (spans.iter().map(|(_, fields)| fields).sum::<usize>().max(1) as f64, 0);
                let middle = |(name, fields): &(String, usize)| {
                    before += fields;
                    ((before as f64 - *fields as f64 / 2.0) / all, name.clone())
                };
                let marks = spans.iter().map(middle).collect();
                return Side { title: axis.title.clone(), marks, is_named: true };
            }
        };
        let part = |value| if is_vertical { 1.0 - scale.part(value) } else { scale.part(value) };
        let inside = marks.into_iter().map(|(value, text)| (part(value), text));
        let marks = inside.filter(|(part, _)| (-1e-6..=1.0 + 1e-6).contains(part)).collect();
        Side { title: axis.title.clone(), marks, is_named: false }
    }
}

/// Room inside a frame and around it, in points.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// The size of the area.
    pub(super) width: f64,
    pub(super) height: f64,
    /// Free room above and to the right of the area.
    pub(super) above: f64,
    pub(super) right: f64,
}

/// The place of the area on a sheet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Area {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// The room to the left of an area of this height: the title and the texts of its vertical axis.
pub(super) fn left_of(y: &Side, height: f64) -> f64 {
    let texts = y.marks.iter().map(|(_, text)| font::room(&font::cut(text, SMALL, NAMES), SMALL)).fold(0.0, f64::max);
    let lines = font::lines(&y.title, TITLE, title_room(height)).len() as f64;
    lines * LINE + GAP + texts + GAP + if y.is_named { 0.0 } else { TICK }
}

/// The room for the title of the vertical axis: a little more than the axis.
fn title_room(height: f64) -> f64 {
    (height + 16.0).max(60.0)
}

/// Draws a frame.
pub(super) fn draw(x: &Side, y: &Side, room: Room) -> (Sheet, Area) {
    let area = Area { left: left_of(y, room.height), top: room.above.max(4.0), width: room.width, height: room.height };
    let (right, bottom) = (area.left + area.width, area.top + area.height);
    let mut sheet = Sheet::default();
    if !x.is_named && !y.is_named {
        for (part, _) in &x.marks {
            let at = area.left + part * area.width;
            sheet.line([at, area.top], [at, bottom], 0.4, GRID);
        }
    }
    if !y.is_named {
        for (part, _) in &y.marks {
            let at = area.top + part * area.height;
            sheet.line([area.left, at], [right, at], 0.4, GRID);
        }
    }
    // Below: ticks, numbers and the title.
    let across: Vec<(f64, f64, &str)> = x
        .marks
        .iter()
        .map(|(part, text)| (area.left + part * area.width, font::room(text, SMALL), text.as_str()))
        .collect();
    let mut end = right;
    for &(at, width, text) in across.iter().step_by(step(&across)) {
        if !x.is_named {
            sheet.line([at, bottom], [at, bottom + TICK], 0.5, AXIS);
        }
        sheet.text([at, bottom + TICK + GAP + SMALL / 2.0], text, SMALL, Anchor::Middle);
        end = f64::max(end, at + width / 2.0);
    }
    let mut below = bottom + TICK + GAP + SMALL + GAP;
    let title =
        if x.title.is_empty() { Vec::new() } else { font::lines(&x.title, TITLE, area.left + area.width + room.right) };
    for line in title {
        // A title that is wider than the area stays on the sheet.
        let half = font::room(&line, TITLE) / 2.0;
        let middle = (area.left + area.width / 2.0).max(half);
        sheet.text([middle, below + LINE / 2.0], &line, TITLE, Anchor::Middle);
        end = f64::max(end, middle + half);
        below += LINE;
    }
    // On the left: the same, numbers that would touch left out.
    let close =
        y.marks.windows(2).map(|pair| (pair[1].0 - pair[0].0).abs() * area.height).fold(f64::INFINITY, f64::min);
    let every = if close < SMALL_LINE { (SMALL_LINE / close.max(0.1)).ceil() as usize } else { 1 };
    for (part, text) in y.marks.iter().step_by(every) {
        let at = area.top + part * area.height;
        let mut from = area.left - GAP;
        if !y.is_named {
            sheet.line([area.left - TICK, at], [area.left, at], 0.5, AXIS);
            from -= TICK;
        }
        sheet.text([from, at], &font::cut(text, SMALL, NAMES), SMALL, Anchor::End);
    }
    let middle = area.top + area.height / 2.0;
    let mut lowest = below;
    for (line, text) in font::lines(&y.title, TITLE, title_room(area.height)).iter().enumerate() {
        let half = font::room(text, TITLE) / 2.0;
        let at = middle.max(half);
        sheet.turned([(line as f64 + 0.5) * LINE, at], text, TITLE);
        lowest = f64::max(lowest, at + half);
    }
    (sheet.width, sheet.height) = (end.max(right + room.right) + 1.0, lowest + 1.0);
    (sheet, area)
}

/// Draws the lines of both axes over the content.
pub(super) fn lines(sheet: &mut Sheet, area: Area) {
    let bottom = area.top + area.height;
    sheet.line([area.left, area.top], [area.left, bottom], 0.6, AXIS);
    sheet.line([area.left, bottom], [area.left + area.width, bottom], 0.6, AXIS);
}

/// The smallest step between texts that leaves a gap between all of them.
fn step(across: &[(f64, f64, &str)]) -> usize {
    let touches = |step: usize| {
        let kept: Vec<_> = across.iter().step_by(step).collect();
        kept.windows(2).any(|pair| pair[1].0 - pair[0].0 < (pair[0].1 + pair[1].1) / 2.0 + 3.0)
    };
    (1..across.len().max(1)).find(|&step| !touches(step)).unwrap_or_else(|| across.len().max(1))
}

/// A legend in lines of at most `width` points: marks of these colours, and names.
pub(super) fn legend(entries: impl Iterator<Item = (String, String)>, width: f64) -> Sheet {
    let (mut sheet, mut x, mut line) = (Sheet::default(), 0.0, 0.0);
    for (name, colour) in entries {
        let name = font::cut(&name, SMALL, (width - 10.0).min(NAMES));
        let taken = 8.0 + font::room(&name, SMALL);
        if x > 0.0 && x + taken > width {
            (x, line) = (0.0, line + 1.0);
        }
        let y = (line + 0.5) * LINE;
        sheet.square([x, y], &colour);
        sheet.text([x + 8.0, y], &name, SMALL, Anchor::Start);
        sheet.width = f64::max(sheet.width, x + taken);
        x += taken + 10.0;
        sheet.height = (line + 1.0) * LINE;
    }
    sheet
}
