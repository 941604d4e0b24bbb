//! Turns text into entries.
//!
//! A line holds a row, a column and a value, separated by blanks. Rows and columns count from 1.
//! Digits are read by hand, because most values are counts.

use super::header::Shown;
use crate::number::{Number, Rounding};
use crate::source::Entries;
use crate::source::subset::Subset;

/// The numbers that a line may hold.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) rows: u32,
    pub(super) columns: u32,
    /// Entries have no value. Each is 1.
    pub(super) is_pattern: bool,
    /// Rows of the file are cells.
    pub(super) by_cell: bool,
    /// The genes that are kept; all without one.
    pub(super) genes: Option<Subset>,
}

/// What was found in a text beside the entries.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Found {
    pub(super) lines: u64,
    /// Entries, with those of genes that are left out.
    pub(super) entries: u64,
    pub(super) rounding: Rounding,
}

/// A line that no matrix may hold.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fault {
    /// Its number in the text, counted from 0.
    pub(super) line: u64,
    /// Entries before it.
    pub(super) entries: u64,
    pub(super) kind: FaultKind,
}

/// The reason why a line is refused.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum FaultKind {
    /// It is not made of the right numbers; the problem as a predicate.
    Form(String),
    /// Its value is negative, NaN, infinite or beyond f32.
    Value(f64),
}

/// Appends the entries of `text`, which is whole lines.
pub(super) fn parse(text: &[u8], rules: &Rules, out: &mut Entries) -> Result<Found, Fault> {
    let mut found = Found::default();
    let mut cursor = Cursor { text, at: 0 };
    while cursor.at < text.len() {
        let start = cursor.at;
        cursor.skip_blanks();
        if !cursor.end_line() {
            entry(&mut cursor, rules, &mut found.rounding, out).map_err(|wrong| {
                let kind = wrong.unwrap_or_else(|| FaultKind::Form(form_of(line_at(text, start), rules)));
                Fault { line: found.lines, entries: found.entries, kind }
            })?;
            found.entries += 1;
        }
        found.lines += 1;
    }
    Ok(found)
}

/// Reads a line that is not blank. An error without a kind is one of form.
fn entry(
    cursor: &mut Cursor<'_>,
    rules: &Rules,
    rounding: &mut Rounding,
    out: &mut Entries,
) -> Result<(), Option<FaultKind>> {
    let row = cursor.place(rules.rows).ok_or(None)?;
    let column = cursor.place(rules.columns).ok_or(None)?;
    let value = if rules.is_pattern { Value::Whole(1) } else { cursor.value().ok_or(None)? };
    cursor.skip_blanks();
    if !cursor.end_line() {
        return Err(None);
    }
    let (cell, mut gene) = if rules.by_cell { (row, column) } else { (column, row) };
    if let Some(genes) = &rules.genes {
        let Some(place) = genes.place(gene) else { return Ok(()) };
        gene = place;
    }
    let value = match value {
        Value::Whole(whole @ 0..=0xFF_FFFF) => whole as f32,
        Value::Whole(whole) => accept(whole, rounding)?,
        Value::Other(other) => accept(other, rounding)?,
    };
    out.push(cell, gene, value);
    Ok(())
}

fn accept<T: Number>(value: T, rounding: &mut Rounding) -> Result<f32, Option<FaultKind>> {
    let kept = value.accept().ok_or(Some(FaultKind::Value(value.widen())))?;
    if value.differs(kept) {
        rounding.add(Rounding { count: 1, example: value.widen() });
    }
    Ok(kept)
}

/// A value as it is written.
enum Value {
    Whole(u64),
    Other(f64),
}

/// A position in a text.
struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    /// Goes on to the next line, if this one is at its end.
    fn end_line(&mut self) -> bool {
        match self.peek() {
            None => true,
            Some(b'\n') => {
                self.at += 1;
                true
            }
            Some(_) => false,
        }
    }

    /// Reads digits, at most 19 of them.
    fn digits(&mut self) -> Option<u64> {
        let start = self.at;
        let mut number = 0_u64;
        while let Some(digit) = self.peek().map(|byte| byte.wrapping_sub(b'0')).filter(|&digit| digit < 10) {
            // Wraps beyond 19 digits only, which are refused.
            number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
            self.at += 1;
        }
        (1..=19).contains(&(self.at - start)).then_some(number)
    }

    /// Whether a number ends here.
    fn is_end(&self) -> bool {
        matches!(self.peek(), None | Some(b' ' | b'\t' | b'\r' | b'\n'))
    }

    /// Reads a place that counts from 1, as one that counts from 0.
    fn place(&mut self, limit: u32) -> Option<u32> {
        let number = self.digits()?;
        let is_inside = self.is_end() && (1..=u64::from(limit)).contains(&number);
        self.skip_blanks();
        is_inside.then(|| (number - 1) as u32)
    }

    fn value(&mut self) -> Option<Value> {
        let start = self.at;
        if let (Some(whole), true) = (self.digits(), self.is_end()) {
            return Some(Value::Whole(whole));
        }
        while !self.is_end() {
            self.at += 1;
        }
        fast_float2::parse(&self.text[start..self.at]).ok().map(Value::Other)
    }
}

/// The line that begins at `start`.
fn line_at(text: &[u8], start: usize) -> &[u8] {
    let rest = &text[start..];
    &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())]
}

/// The problem of a line whose numbers are not those of an entry.
fn form_of(line: &[u8], rules: &Rules) -> String {
    let line = String::from_utf8_lossy(line);
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    for (at, (name, limit)) in [("row", rules.rows), ("column", rules.columns)].into_iter().enumerate() {
        match words.get(at).and_then(|word| word.parse::<i128>().ok()) {
            Some(number) if !(1..=i128::from(limit)).contains(&number) => {
                return format!("has the {name} {number}, but {name}s are 1 to {limit}");
            }
            Some(_) => {}
            None => break,
        }
    }
    let expected = if rules.is_pattern { "a row and a column" } else { "a row, a column and a value" };
    format!("is \"{}\", expected {expected}", Shown(&line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rules(is_pattern: bool) -> Rules {
        Rules { rows: 3, columns: 5, is_pattern, by_cell: false, genes: None }
    }

    /// Cell, gene and value of each entry.
    type Triples = Vec<(u32, u32, f32)>;

    fn parsed(text: &str, rules: &Rules) -> Result<(Found, Triples), Fault> {
        let mut out = Entries::default();
        let found = parse(text.as_bytes(), rules, &mut out)?;
        Ok((found, (0..out.len()).map(|at| (out.cells[at], out.genes[at], out.values[at])).collect()))
    }

    #[test]
    fn lines_are_entries_of_columns_and_rows() {
        let (found, entries) = parsed(" 1\t2  7 \r\n\n3 5 0.5\n2 1 1e3", &rules(false)).unwrap();
        assert_eq!(entries, [(1, 0, 7.0), (4, 2, 0.5), (0, 1, 1000.0)]);
        assert_eq!((found.lines, found.entries, found.rounding.count), (4, 3, 0));
        let by_cell = Rules { by_cell: true, ..rules(false) };
        assert_eq!(parsed("1 2 7\n", &by_cell).unwrap().1, [(0, 1, 7.0)]);
        assert_eq!(parsed("1 2\n3 5", &rules(true)).unwrap().1, [(1, 0, 1.0), (4, 2, 1.0)]);
    }

    #[test]
    fn genes_that_are_left_out_count_as_entries() {
        let mut genes = Subset::default();
        assert!(genes.keep(1));
        let rules = Rules { genes: Some(genes), ..rules(false) };
        let (found, entries) = parsed("1 1 -1\n2 4 6\n3 1 16777217\n", &rules).unwrap();
        assert_eq!((found.entries, found.rounding.count, entries), (3, 0, vec![(3, 0, 6.0)]));
    }

    #[test]
    fn large_numbers_are_rounded_and_counted() {
        let text = "1 1 16777216\n1 1 16777217\n1 1 0.1\n1 1 9223372036854775807\n";
        let (found, entries) = parsed(text, &rules(false)).unwrap();
        let values: Vec<f32> = entries.iter().map(|entry| entry.2).collect();
        assert_eq!(values, [16_777_216.0, 16_777_216.0, 0.1, 9_223_372_036_854_775_808.0]);
        assert_eq!(found.rounding, Rounding { count: 3, example: 16_777_217.0 });
    }

    #[test]
    fn other_lines_are_refused_with_their_number() {
        let refused = |text: &str, rules: &Rules| parsed(&format!("1 1 1\n\n{text}"), rules).unwrap_err();
        for (text, word) in [
            ("0 1 1", "has the row 0, but rows are 1 to 3"),
            ("4 1 1\n", "has the row 4"),
            ("1 6 1", "has the column 6, but columns are 1 to 5"),
            ("-1 6 1", "has the row -1"),
            ("1 99999999999999999999 1", "has the column 99999999999999999999"),
            ("1 1", "is \"1 1\", expected a row, a column and a value"),
            ("1 1 \n", "is \"1 1\""),
            ("1 1 1 1", "is \"1 1 1 1\""),
            ("1 1 a", "is \"1 1 a\""),
            ("1.0 1 1", "is \"1.0 1 1\""),
            ("1 1 1.5D3", "is \"1 1 1.5D3\""),
            ("% no comment", "is \"% no comment\""),
            ("1 1 1\0", "is \"1 1 1\u{fffd}\""),
        ] {
            let fault = refused(text, &rules(false));
            let FaultKind::Form(said) = &fault.kind else { panic!("{fault:?}") };
            assert!(fault.line == 2 && fault.entries == 1 && said.starts_with(word), "{fault:?}");
        }
        for (text, value) in [("1 1 -1", -1.0), ("1 1 1e40", 1e40), ("1 1 inf", f64::INFINITY)] {
            assert_eq!(refused(text, &rules(false)).kind, FaultKind::Value(value));
        }
        assert!(matches!(parsed("1 1 7", &rules(true)), Err(Fault { kind: FaultKind::Form(_), .. })));
    }

    proptest! {
        #[test]
        fn any_value_is_what_the_standard_library_reads(value in any::<f64>()) {
            let value = value.abs();
            prop_assume!(value < f64::from(f32::MAX));
            for text in [format!("{value}"), format!("{value:e}")] {
                let (_, entries) = parsed(&format!("1 1 {text}\n"), &rules(false)).unwrap();
                prop_assert_eq!(entries[0].2, value as f32);
            }
        }

        #[test]
        fn any_bytes_are_parsed_or_refused(text in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = parse(&text, &rules(false), &mut Entries::default());
        }
    }
}
