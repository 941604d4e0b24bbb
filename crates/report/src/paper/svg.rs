//! A sheet as SVG. Texts stay texts, so that an editor can change them.

use std::fmt::Write;

use super::sheet::{Anchor, Shape, Sheet};

/// Millimetres of a point.
const MM: f64 = 25.4 / 72.0;

/// What a sheet lies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ground {
    White,
    /// Whatever is behind it.
    Clear,
}

/// The file. Its title is for programs that read it aloud.
pub(crate) fn write(sheet: &Sheet, title: &str, ground: Ground) -> String {
    let (width, height) = (round(sheet.width), round(sheet.height));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}mm\" height=\"{}mm\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"Arial, Helvetica, 'Liberation Sans', Arimo, sans-serif\">\n<title>{}</title>\n",
        round(sheet.width * MM),
        round(sheet.height * MM),
        escaped(&super::font::printable(title)),
    );
    if ground == Ground::White {
        svg.push_str(&format!("<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"));
    }
    for shape in &sheet.shapes {
        add(&mut svg, shape).expect("a text takes all texts");
    }
    svg.push_str("</svg>\n");
    svg
}

fn add(svg: &mut String, shape: &Shape) -> std::fmt::Result {
    match shape {
        Shape::Line { points, width, colour } => {
            let mut path = String::new();
            for (at, [x, y]) in points.iter().enumerate() {
                write!(path, "{}{} {}", if at == 0 { 'M' } else { 'L' }, round(*x), round(*y))?;
            }
            writeln!(svg, "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"/>")
        }
        Shape::Boxes { boxes, colour } => {
            let mut path = String::new();
            for &[x, y, width, height] in boxes {
                // Edges that two boxes share are rounded alike.
                let (left, top, right, bottom) = (round(x), round(y), round(x + width), round(y + height));
                write!(path, "M{left} {top}H{right}V{bottom}H{left}z")?;
            }
            writeln!(svg, "<path d=\"{path}\" fill=\"{colour}\" shape-rendering=\"crispEdges\"/>")
        }
        Shape::Dots { at, diameter, colour, opacity } => {
            // A line of almost no length has round ends: a dot, in a few bytes.
            let mut path = String::new();
            for &[x, y] in at {
                write!(path, "M{} {}h.01", round(x), round(y))?;
            }
            let opacity = if *opacity < 1.0 { format!(" opacity=\"{opacity}\"") } else { String::new() };
            writeln!(
                svg,
                "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{}\" stroke-linecap=\"round\"{opacity}/>",
                round(*diameter)
            )
        }
        Shape::Text { at: [x, y], text, size, anchor, turned, colour } => {
            let anchor = match anchor {
                Anchor::Start => "start",
                Anchor::Middle => "middle",
                Anchor::End => "end",
            };
            let (x, y) = (round(*x), round(*y));
            let turn = if *turned { format!(" transform=\"rotate(-90 {x} {y})\"") } else { String::new() };
            let text = escaped(text);
            writeln!(
                svg,
                "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\" text-anchor=\"{anchor}\" fill=\"{colour}\"{turn}>{text}</text>"
            )
        }
    }
}

/// Hundredths of a point are finer than any printer. Without −0, which is 0.
fn round(number: f64) -> f64 {
    (number * 100.0).round() / 100.0 + 0.0
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
