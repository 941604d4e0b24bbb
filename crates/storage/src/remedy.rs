//! Remedies of errors, as data.
//!
//! The library knows no command line. A remedy that depends on a choice of the caller (another
//! layer, a larger budget) is a variant of [`Remedy`]. Its `Display` describes the choice in
//! neutral words; a program that has options matches on the variant and names them.

use std::fmt;

/// The remedy of an error. `Display` completes the sentence of the error, without a full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// Advice that depends on no option of a program.
    Text(String),
    /// Choose another name for the output, or allow it to be overwritten.
    AllowOverwrite,
    /// Raise the memory budget.
    RaiseMemory {
        /// The smallest budget that works, in bytes.
        smallest: u64,
        /// A limit of this promise, such as ` for any values`; empty if there is none.
        condition: String,
    },
    /// Use fewer threads.
    FewerThreads,
    /// Choose a block height that is a multiple of the tile's height.
    ChooseBlockRows,
    /// Choose one of the matrices that the file has.
    ChooseMatrix(Matrices),
    /// Choose a matrix of finite values of at least 0. The file has these other matrices.
    ChooseValues(Matrices),
    /// Do not select the matrix under `raw`. The file has these other matrices.
    LeaveRawAway(Matrices),
    /// Select neither a layer nor the matrix under `raw`.
    LeaveLayerAndRawAway,
    /// Do not transpose the matrix.
    LeaveTransposeAway,
    /// Start from a result of a fit, or without one.
    ChooseStart {
        /// Why this file is not one, in half a sentence.
        reason: String,
    },
}

/// The other matrices of an AnnData file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matrices {
    /// Names of layers.
    pub layers: Vec<String>,
    /// Whether there is a matrix under `raw`.
    pub raw: bool,
}

/// Layers that a message lists at most.
const LISTED: usize = 8;

impl Matrices {
    /// The matrices in parentheses, as the end of a message; empty if there are none.
    ///
    /// `layer` precedes the name of each layer, `raw` stands for the matrix under `raw`. At most
    /// eight layers are listed.
    ///
    /// ```
    /// let others = partwise_storage::Matrices { layers: vec!["counts".into()], raw: true };
    /// assert_eq!(others.phrase("layer ", "raw"), " (the file also has layer counts, raw)");
    /// ```
    pub fn phrase(&self, layer: &str, raw: &str) -> String {
        let mut options: Vec<String> = self.layers.iter().take(LISTED).map(|name| format!("{layer}{name}")).collect();
        options.extend(self.raw.then(|| raw.to_owned()));
        if options.is_empty() { String::new() } else { format!(" (the file also has {})", options.join(", ")) }
    }

    /// Whether the file has no other matrix.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty() && !self.raw
    }
}

impl From<&str> for Box<Remedy> {
    fn from(text: &str) -> Self {
        Box::new(Remedy::Text(text.into()))
    }
}

impl From<String> for Box<Remedy> {
    fn from(text: String) -> Self {
        Box::new(Remedy::Text(text))
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phrase = |others: &Matrices| others.phrase("layer ", "raw");
        match self {
            Self::Text(text) => f.write_str(text),
            Self::AllowOverwrite => f.write_str("choose another name or allow it to be overwritten"),
            Self::RaiseMemory { smallest, condition } => {
                write!(f, "the smallest budget is {smallest} bytes{condition}")
            }
            Self::FewerThreads => f.write_str("try fewer threads"),
            Self::ChooseBlockRows => f.write_str("choose a multiple of it"),
            Self::ChooseMatrix(others) => write!(f, "choose one{}", phrase(others)),
            Self::ChooseValues(others) => write!(f, "NMF needs finite values of at least 0{}", phrase(others)),
            Self::LeaveRawAway(others) => write!(f, "do not ask for it{}", phrase(others)),
            Self::LeaveLayerAndRawAway => f.write_str("ask neither for a layer nor for raw"),
            Self::LeaveTransposeAway => {
                f.write_str("read it as it is, or save the transposed data from Python (adata.T.write)")
            }
            Self::ChooseStart { reason } => write!(f, "{reason}; start from one that is, or from a sample"),
        }
    }
}
