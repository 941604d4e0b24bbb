//! A sheet as PNG, 300 pixels to the inch.

use std::collections::BTreeSet;

use tiny_skia::{Color, FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, Transform};
use ttf_parser::OutlineBuilder;

use super::font::{self, FACE};
use super::sheet::{Anchor, Shape, Sheet};

/// Pixels of an inch, and of a point.
const DENSITY: f64 = 300.0;
const SCALE: f64 = DENSITY / 72.0;

/// The file.
pub(crate) fn write(sheet: &Sheet) -> Vec<u8> {
    let pixels = |points: f64| (points * SCALE).ceil().max(1.0) as u32;
    let mut map = Pixmap::new(pixels(sheet.width), pixels(sheet.height)).expect("a sheet has a page's size at most");
    map.fill(Color::WHITE);
    for shape in &sheet.shapes {
        draw(&mut map, shape);
    }
    // White is behind everything, so that no pixel is transparent.
    let opaque: Vec<u8> = map.data().chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, map.width(), map.height());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let per_metre = (DENSITY / 0.0254).round() as u32;
    encoder.set_pixel_dims(Some(png::PixelDimensions { xppu: per_metre, yppu: per_metre, unit: png::Unit::Meter }));
    let written = encoder.write_header().and_then(|mut writer| {
        writer.write_image_data(&opaque)?;
        writer.finish()
    });
    written.expect("memory takes all bytes");
    file
}

/// Adds the characters that the font does not have; boxes stand for them in the file.
pub(crate) fn unknown(sheet: &Sheet, characters: &mut BTreeSet<char>) {
    for shape in &sheet.shapes {
        if let Shape::Text { text, .. } = shape {
            characters.extend(text.chars().filter(|&character| FACE.glyph_index(character).is_none()));
        }
    }
}

fn draw(map: &mut Pixmap, shape: &Shape) {
    let scaled = |number: f64| (number * SCALE) as f32;
    let rule = FillRule::Winding;
    match shape {
        Shape::Line { points, width, colour } => {
            let mut path = PathBuilder::new();
            for (at, [x, y]) in points.iter().enumerate() {
                let (x, y) = (scaled(*x), scaled(*y));
                if at == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
            }
            let stroke = Stroke {
                width: scaled(*width),
                line_cap: LineCap::Butt,
                line_join: LineJoin::Round,
                ..Stroke::default()
            };
            if let Some(path) = path.finish() {
                map.stroke_path(&path, &paint(colour, 1.0), &stroke, Transform::identity(), None);
            }
        }
        Shape::Boxes { boxes, colour } => {
            let mut paint = paint(colour, 1.0);
            // Neighbours share edges, and no white shows between them.
            paint.anti_alias = false;
            for &[x, y, width, height] in boxes {
                if let Some(place) = Rect::from_ltrb(scaled(x), scaled(y), scaled(x + width), scaled(y + height)) {
                    map.fill_rect(place, &paint, Transform::identity(), None);
                }
            }
        }
        Shape::Dots { at, diameter, colour, opacity } => {
            let mut path = PathBuilder::new();
            at.iter().for_each(|&[x, y]| path.push_circle(scaled(x), scaled(y), scaled(diameter / 2.0)));
            if let Some(path) = path.finish() {
                map.fill_path(&path, &paint(colour, *opacity), rule, Transform::identity(), None);
            }
        }
        Shape::Text { at: [x, y], text, size, anchor, turned, colour } => {
            let before = match anchor {
                Anchor::Start => 0.0,
                Anchor::Middle => font::width(text, *size) / 2.0,
                Anchor::End => font::width(text, *size),
            };
            let turn = if *turned { -90.0 } else { 0.0 };
            let place = Transform::from_translate(scaled(*x), scaled(*y)).pre_rotate(turn);
            if let Some(path) = outline(text, *size * SCALE) {
                let place = place.pre_translate(scaled(-before), 0.0);
                map.fill_path(&path, &paint(colour, 1.0), rule, place, None);
            }
        }
    }
}

/// A colour such as `#0072B2`.
fn paint(colour: &str, opacity: f64) -> Paint<'static> {
    let channel = |at: usize| u8::from_str_radix(&colour[at..at + 2], 16).expect("colours are six hexadecimal digits");
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color_rgba8(channel(1), channel(3), channel(5), (255.0 * opacity).round() as u8);
    paint
}

/// The outline of a text from the origin to the right.
fn outline(text: &str, size: f64) -> Option<Path> {
    let mut outline =
        Outline { path: PathBuilder::new(), x: 0.0, scale: (size / f64::from(FACE.units_per_em())) as f32 };
    for character in text.chars() {
        FACE.outline_glyph(FACE.glyph_index(character).unwrap_or_default(), &mut outline);
        outline.x += (font::advance(character) * size) as f32;
    }
    outline.path.finish()
}

/// Takes the curves of a glyph, whose y goes up.
struct Outline {
    path: PathBuilder,
    x: f32,
    scale: f32,
}

impl Outline {
    fn at(&self, x: f32, y: f32) -> (f32, f32) {
        (self.x + x * self.scale, -y * self.scale)
    }
}

impl OutlineBuilder for Outline {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.at(x1, y1), self.at(x, y));
        self.path.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2), (x, y)) = (self.at(x1, y1), self.at(x2, y2), self.at(x, y));
        self.path.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}
