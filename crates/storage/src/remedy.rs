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
    /// Name one of several.
    ChooseOne {
        /// The choice to make.
        choice: Choice,
        /// The names to choose from, some with a remark in parentheses.
        names: Vec<String>,
    },
    /// Name a column of `var` with a unique text for each gene, the same in all files.
    ChooseGeneKey {
        /// The columns of one of the files.
        columns: Vec<String>,
    },
    /// Leave away choices that the format of the file does not have.
    LeaveAway(Vec<Choice>),
    /// Start from a result of a fit, or without one.
    ChooseStart {
        /// Why this file is not one, in half a sentence.
        reason: String,
    },
}

/// A choice of a matrix in a file: a field of the selection of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Choice {
    /// A layer.
    Layer,
    /// The matrix under `raw`.
    Raw,
    /// Exchange cells and genes.
    Transpose,
    /// The modality of a MuData file.
    Modality,
    /// The feature type of a 10x file.
    Features,
    /// The genome of a 10x file.
    Genome,
    /// The path of a matrix.
    Dataset,
}

impl Choice {
    /// The choice in neutral words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Layer => "layer",
            Self::Raw => "raw",
            Self::Transpose => "transpose",
            Self::Modality => "modality",
            Self::Features => "features",
            Self::Genome => "genome",
            Self::Dataset => "dataset",
        }
    }
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

/// Choices that a message lists at most.
const CHOICES: usize = 16;

/// A list of choices as the end of a message, each in the words of `shown`.
pub fn listed(names: &[String], shown: impl Fn(&str) -> String) -> String {
    let mut list: Vec<String> = names.iter().take(CHOICES).map(|name| shown(name)).collect();
    list.extend((names.len() > CHOICES).then(|| format!("{} others", names.len() - CHOICES)));
    list.join(", ")
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
            Self::LeaveAway(choices) => {
                let names: Vec<&str> = choices.iter().map(|choice| choice.name()).collect();
                write!(f, "do not choose {}", names.join(" and "))
            }
            Self::ChooseOne { choice, names } => {
                write!(f, "choose one: {}", listed(names, |name| format!("{} {name}", choice.name())))
            }
            Self::ChooseGeneKey { columns } if columns.is_empty() => {
                f.write_str("make the names of genes unique in each file")
            }
            Self::ChooseGeneKey { columns } => {
                write!(f, "choose a column with unique ids as key of the genes: {}", listed(columns, str::to_owned))
            }
            Self::ChooseStart { reason } => write!(f, "{reason}; start from one that is, or from a sample"),
        }
    }
}
