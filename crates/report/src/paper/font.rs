//! The font of the pictures: Liberation Sans. Its letters have the widths of Arial's, so that texts of an SVG take the
//! same room in either font. The PNG files are drawn with it, on every machine alike.

use std::sync::LazyLock;

use ttf_parser::Face;

/// The font, under the SIL Open Font License (`fonts/OFL.txt`).
const FILE: &[u8] = include_bytes!("../../fonts/LiberationSans-Regular.ttf");
/// How much more room a text gets than this font takes. Where neither Arial nor a font of its widths is installed, a
/// viewer takes another one, and the usual ones are wider.
const SPARE: f64 = 1.15;
/// The middle of a letter above the base line, beside the size of the type.
pub(super) const MIDDLE: f64 = 0.35;

pub(super) static FACE: LazyLock<Face<'static>> =
    LazyLock::new(|| Face::parse(FILE, 0).expect("the font of the program is whole"));

/// The width of a character in type of size 1.
pub(super) fn advance(character: char) -> f64 {
    let glyph = FACE.glyph_index(character).unwrap_or_default();
    f64::from(FACE.glyph_hor_advance(glyph).unwrap_or(0)) / f64::from(FACE.units_per_em())
}

/// The width of a text.
pub(super) fn width(text: &str, size: f64) -> f64 {
    text.chars().map(advance).sum::<f64>() * size
}

/// The room that a text gets.
pub(super) fn room(text: &str, size: f64) -> f64 {
    SPARE * width(text, size)
}

/// The text without line breaks and control characters, which no line of type has.
pub(super) fn printable(text: &str) -> String {
    text.replace("\r\n", " ")
        .chars()
        .map(|character| match character {
            '\n' | '\r' | '\t' | '\u{85}' | '\u{2028}' | '\u{2029}' => ' ',
            '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
            control if control.is_control() => '\u{fffd}',
            other => other,
        })
        .collect()
}

/// The text, cut to `most` points.
pub(super) fn cut(text: &str, size: f64, most: f64) -> String {
    let text = printable(text);
    if room(&text, size) <= most {
        return text;
    }
    let (mut kept, mut taken) = (String::new(), SPARE * advance('…') * size);
    for character in text.chars() {
        taken += SPARE * advance(character) * size;
        if taken > most {
            break;
        }
        kept.push(character);
    }
    kept.push('…');
    kept
}

/// The text in lines of at most `most` points, broken between words.
pub(super) fn lines(text: &str, size: f64, most: f64) -> Vec<String> {
    // A number and its percent sign stay together.
    let text = printable(text).replace(" %", "\u{a0}%");
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if room(line, size) + room(" ", size) + room(word, size) <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.iter().map(|line| cut(line, size, most)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_and_broken_to_their_room() {
        assert!((width("Hello", 10.0) - 22.78).abs() < 0.01, "the widths are Arial's: {}", width("Hello", 10.0));
        assert_eq!(cut("short", 8.0, 100.0), "short");
        let long = cut("a name that is much too long", 8.0, 60.0);
        assert!(long.ends_with('…') && room(&long, 8.0) <= 60.0, "{long}");
        let broken = lines("cluster, 3 smaller groups not shown", 8.0, 60.0);
        assert!(broken.len() > 1 && broken.iter().all(|line| room(line, 8.0) <= 60.0), "{broken:?}");
        assert_eq!(printable("a\r\nb\tc\u{1}\u{ffff}"), "a b c\u{fffd}\u{fffd}");
    }
}
