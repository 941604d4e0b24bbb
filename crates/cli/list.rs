//! Lists of numbers on the command line: `5,8,10..14`.

use std::fmt::Display;
use std::str::FromStr;

/// More values than anybody fits together.
const MOST: u64 = 10_000;

/// A list: numbers and ranges `a..b`, both ends included, between commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct List<T>(pub(crate) Vec<T>);

impl<T: Copy> List<T> {
    /// The only value, if there is one.
    pub(crate) fn only(&self) -> Option<T> {
        match self.0[..] {
            [value] => Some(value),
            _ => None,
        }
    }
}

impl<T: TryFrom<u64>> FromStr for List<T> {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        let number = |text: &str| {
            text.trim().parse::<u64>().map_err(|_| format!("\"{text}\" is not a number; write 5,8 or 10..14"))
        };
        let mut values = Vec::new();
        for part in typed.split(',') {
            let (first, last) = match part.split_once("..") {
                Some((first, last)) => (number(first)?, number(last.trim_start_matches('='))?),
                None => (number(part)?, number(part)?),
            };
            if first > last {
                return Err(format!("the range {part} is empty; write the smaller number first"));
            }
            if last - first >= MOST || values.len() as u64 + (last - first) >= MOST {
                return Err(format!("more than {MOST} values"));
            }
            for value in first..=last {
                values.push(T::try_from(value).map_err(|_| format!("{value} is too large"))?);
            }
        }
        Ok(List(values))
    }
}

impl<T: Display> Display for List<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let values: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&values.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ranges_with_both_ends() {
        let list = |typed: &str| typed.parse::<List<usize>>().map(|list| list.0);
        assert_eq!(list("5,8,10..14"), Ok(vec![5, 8, 10, 11, 12, 13, 14]));
        assert_eq!(list("3"), Ok(vec![3]));
        assert_eq!(list("3..=4, 9"), Ok(vec![3, 4, 9]));
        let seed = "18446744073709551615".parse::<List<u64>>().map(|list| list.0);
        assert_eq!(seed, Ok(vec![u64::MAX]));
        for (typed, said) in [
            ("", "is not a number"),
            ("5,", "is not a number"),
            ("a", "\"a\" is not a number"),
            ("-1", "is not a number"),
            ("9..5", "is empty"),
            ("1..99999999", "more than 10000"),
        ] {
            let error = list(typed).expect_err(typed);
            assert!(error.contains(said), "{typed}: {error}");
        }
    }
}
