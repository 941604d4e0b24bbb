//! The record of a fit, pass by pass: one table of columns, from which the CSV file, the
//! checkpoint, the result and the documentation are made.

use serde::Serialize;

/// A value of the trace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell {
    /// A number of things.
    Count(u64),
    /// A measure; NaN if unknown.
    Real(f64),
    /// Yes or no.
    Flag(bool),
}

impl std::fmt::Display for Cell {
    /// With the digits that give the same bits back; nothing if the value is unknown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Cell::Count(count) => write!(f, "{count}"),
            Cell::Real(value) if value.is_finite() => write!(f, "{value}"),
            Cell::Real(_) => Ok(()),
            Cell::Flag(flag) => write!(f, "{flag}"),
        }
    }
}

/// What a column says of the run: equal fits have equal columns, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nature {
    /// Follows from data and settings. The result file holds it.
    Model,
    /// Follows from the machine and its load. The CSV file and the checkpoint hold it.
    Machine,
}

/// A column of the trace.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name, in CSV and result alike.
    pub name: &'static str,
    /// Its meaning, in Markdown.
    pub meaning: &'static str,
    /// Whether it repeats.
    pub nature: Nature,
}

/// A type that the trace has columns of.
trait Field: Copy {
    fn cell(self) -> Cell;
    fn word(self) -> u64;
    fn of_word(word: u64) -> Self;
}

impl Field for usize {
    fn cell(self) -> Cell {
        Cell::Count(self as u64)
    }
    fn word(self) -> u64 {
        self as u64
    }
    fn of_word(word: u64) -> Self {
        word as usize
    }
}

impl Field for u64 {
    fn cell(self) -> Cell {
        Cell::Count(self)
    }
    fn word(self) -> u64 {
        self
    }
    fn of_word(word: u64) -> Self {
        word
    }
}

impl Field for f64 {
    fn cell(self) -> Cell {
        Cell::Real(self)
    }
    fn word(self) -> u64 {
        self.to_bits()
    }
    fn of_word(word: u64) -> Self {
        f64::from_bits(word)
    }
}

impl Field for bool {
    fn cell(self) -> Cell {
        Cell::Flag(self)
    }
    fn word(self) -> u64 {
        u64::from(self)
    }
    fn of_word(word: u64) -> Self {
        word != 0
    }
}

/// Declares [`TraceRow`] and [`COLUMNS`] together, so that neither can miss a column of the other.
macro_rules! trace {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty = $nature:ident,)+) => {
        /// One full pass over X.
        #[derive(Debug, Clone, Copy, PartialEq, Serialize)]
        pub struct TraceRow {
            $($(#[doc = $doc])+ pub $name: $type,)+
        }

        /// The columns of the trace, in order.
        pub const COLUMNS: &[Column] = &[
            $(Column {
                name: stringify!($name),
                meaning: concat!($($doc),+),
                nature: Nature::$nature,
            },)+
        ];

        impl TraceRow {
            /// The values, in the order of [`COLUMNS`].
            pub fn cells(&self) -> [Cell; COLUMNS.len()] {
                [$(self.$name.cell(),)+]
            }

            /// The values as 64 bits each, in the order of [`COLUMNS`].
            pub(crate) fn words(&self) -> [u64; COLUMNS.len()] {
                [$(self.$name.word(),)+]
            }

            /// The row of these words.
            pub(crate) fn of_words(words: [u64; COLUMNS.len()]) -> Self {
                let [$($name,)+] = words;
                TraceRow { $($name: <$type as Field>::of_word($name),)+ }
            }

            /// The row with every column of [`Nature::Machine`] zero: equal fits have equal rows.
            pub fn without_machine(&self) -> Self {
                TraceRow {
                    $($name: match Nature::$nature {
                        Nature::Model => self.$name,
                        Nature::Machine => <$type as Field>::of_word(0),
                    },)+
                }
            }
        }
    };
}

trace! {
    /// Number of the pass, from 1, in reads of all of X. Reading all of X for a sample counts, so the
    /// first row of such a fit is 2. Where the store keeps a sample that serves, it is 1.
    pass: usize = Model,
    /// ½‖X−WH‖² of the matrix factorized (after scaling of genes), from the sums of the pass.
    loss: f64 = Model,
    /// ‖X−WH‖ / ‖X‖ (Frobenius norms).
    relative_error: f64 = Model,
    /// Decrease of the loss since the last accepted pass, relative to the loss then, or to
    /// 1e-6 ‖X‖² if that is more; unknown in the first row.
    relative_decrease: f64 = Model,
    /// max &#124;min(H, ∂H)&#124; / max &#124;WᵀX&#124; for the H that the pass started from
    /// (extrapolated, if it is) and the W that it made: zero if both are stationary.
    kkt_residual: f64 = Model,
    /// Whether the pass was accepted. A pass in which the loss rose is undone, and the next one
    /// starts from the last accepted pass.
    accepted: bool = Model,
    /// Weight of the extrapolation that the pass started from; 0: none.
    extrapolation: f64 = Model,
    /// Largest change of an entry of W (against W after the last accepted pass).
    usages_change: f64 = Model,
    /// Largest change of an entry of H (against H after the last accepted pass, both in the scale
    /// of this pass).
    spectra_change: f64 = Model,
    /// Fraction of W's entries that are not zero.
    usages_nonzero: f64 = Model,
    /// Fraction of H's entries that are not zero.
    spectra_nonzero: f64 = Model,
    /// Bytes of packed blocks that the pass went through.
    bytes: u64 = Machine,
    /// Wall time of the pass, seconds. Fits that share a pass share its time.
    seconds: f64 = Machine,
    /// Time that compute threads have waited for data from the disk, seconds, summed over the
    /// threads of all processes: `seconds` times threads if the disk decides, 0 if the store
    /// is mapped into memory.
    waiting_seconds: f64 = Machine,
    /// Time that this process has waited for slower ones at the end of the pass, seconds.
    joining_seconds: f64 = Machine,
    /// Time that the sum over all processes then took, seconds; 0 if one works alone.
    summing_seconds: f64 = Machine,
}

/// Why a fit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum StopReason {
    /// Two accepted passes in a row decreased the loss by less than the tolerance.
    Converged,
    /// H is stationary, to the precision of the arithmetic, for the W that was solved for it: the
    /// KKT residual is below 1e-7.
    Stationary,
    /// As many passes as were allowed.
    MaxPasses,
    /// The monitor asked for a stop: W and H are those of the last accepted pass.
    Cancelled,
}

impl std::fmt::Display for StopReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            StopReason::Converged => "converged",
            StopReason::Stationary => "stationary",
            StopReason::MaxPasses => "max-passes",
            StopReason::Cancelled => "cancelled",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_comes_back_from_its_words() {
        let words: [u64; COLUMNS.len()] = std::array::from_fn(|i| match COLUMNS[i].name {
            "accepted" => 1,
            "pass" | "bytes" => i as u64,
            _ => (i as f64 / 3.0).to_bits(),
        });
        let row = TraceRow::of_words(words);
        assert_eq!(row.words(), words);
        assert_eq!((row.pass, row.accepted, row.summing_seconds), (0, true, 5.0));
    }

    #[test]
    fn the_documentation_has_every_column_as_it_is_here() {
        let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/trace.md");
        let page = std::fs::read_to_string(page).expect("docs/trace.md");
        for Column { name, meaning, nature } in COLUMNS {
            let place = match nature {
                Nature::Model => "CSV, result",
                Nature::Machine => "CSV",
            };
            let row = format!("| `{name}` | {place} | {} |", meaning.trim());
            assert!(page.contains(&row), "docs/trace.md lacks this row:\n{row}");
        }
    }
}
