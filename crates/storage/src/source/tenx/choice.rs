//! Chooses the features that are read: those of a type, of a genome, or all.

use std::path::Path;

use super::names::{Names, Part};
use crate::remedy::Choice;
use crate::source::subset::Subset;
use crate::store::Selection;
use crate::{Monitor, Remedy, StorageError, Warning};

/// The type of genes.
pub(super) const GENES: &str = "Gene Expression";

/// The word for features of all types.
const ALL: &str = "all";

/// The most types, or genomes, of a file, and bytes of the longest.
const MOST_KINDS: usize = 256;

/// The features that are read.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    /// Their places; all without one.
    pub(super) subset: Option<Subset>,
    /// The number of features of other types, and these types, if nobody asked for a type.
    left_out: Option<(u64, Vec<String>)>,
}

impl Chosen {
    /// The features of `names` that `selection` chooses.
    ///
    /// # Errors
    ///
    /// - there is no such type, or no such genome
    /// - there are several types, none of them genes, and none was chosen
    pub(super) fn of(names: &dyn Names, path: &Path, selection: &Selection) -> Result<Chosen, StorageError> {
        let types = tally(names, Part::Type, path)?;
        let mut chosen = Chosen::default();
        match selection.features.as_deref() {
            Some(ALL) => {}
            None if types.len() <= 1 => {}
            asked => {
                let kept = asked.unwrap_or(GENES);
                chosen.subset = choose(names, Part::Type, kept, &types, path)?;
                if asked.is_none() {
                    let others = types.iter().filter(|(name, _)| name != kept);
                    let count = others.clone().map(|(_, count)| count).sum();
                    chosen.left_out = Some((count, others.map(|(name, _)| name.clone()).collect()));
                }
            }
        }
        if let Some(genome) = &selection.genome {
            let genomes = tally(names, Part::Genome, path)?;
            let of_genome = choose(names, Part::Genome, genome, &genomes, path)?;
            chosen.subset = match (chosen.subset, of_genome) {
                (Some(of_type), Some(of_genome)) => Some(of_type.both(&of_genome)),
                (of_type, of_genome) => of_type.or(of_genome),
            };
        }
        Ok(chosen)
    }

    /// Warns of features that were left out although nobody chose.
    #[cfg_attr(not(feature = "hdf5"), expect(dead_code, reason = "no names are written without the library"))]
    pub(super) fn report(&self, monitor: &dyn Monitor) {
        if let Some((count, types)) = &self.left_out {
            monitor.warn(&Warning::OtherFeatures { kept: GENES.into(), count: *count, types: types.clone() });
        }
    }
}

/// The kinds of features and the number of each, in the order of the file. Features without a type
/// are genes.
fn tally(names: &dyn Names, part: Part, path: &Path) -> Result<Vec<(String, u64)>, StorageError> {
    if !names.has(part) {
        return Ok(if part == Part::Type { vec![(GENES.into(), 0)] } else { Vec::new() });
    }
    let mut kinds: Vec<(String, u64)> = Vec::new();
    let (mut last, mut too_many) = (0, false);
    names.visit(part, &mut |text| {
        // Features of a kind follow one another.
        let is = |kind: &(String, u64)| kind.0.as_bytes() == text;
        if !kinds.get(last).is_some_and(is) {
            let shown = String::from_utf8_lossy(text);
            last = kinds.iter().position(|(name, _)| *name == shown).unwrap_or(kinds.len());
            if last == kinds.len() {
                if last == MOST_KINDS || text.len() > MOST_KINDS {
                    too_many = true;
                    last = 0;
                    return;
                }
                kinds.push((shown.into_owned(), 0));
            }
        }
        kinds[last].1 += 1;
    })?;
    if too_many {
        return Err(damaged(path, part, format!("are more than {MOST_KINDS} kinds, or one of them is longer")));
    }
    Ok(kinds)
}

/// The features of one kind; `None` if all are.
fn choose(
    names: &dyn Names,
    part: Part,
    kept: &str,
    kinds: &[(String, u64)],
    path: &Path,
) -> Result<Option<Subset>, StorageError> {
    if !kinds.iter().any(|(name, _)| name == kept) {
        return Err(unknown(part, kept, kinds.iter().map(|(name, _)| name.clone()).collect(), path));
    }
    if kinds.len() == 1 {
        return Ok(None);
    }
    let (mut subset, mut at, mut fits) = (Subset::default(), 0, true);
    names.visit(part, &mut |text| {
        if text == kept.as_bytes() {
            fits &= subset.keep(at);
        }
        at += 1;
    })?;
    if fits {
        Ok(Some(subset))
    } else {
        Err(damaged(path, part, "change too often from one feature to the next".into()))
    }
}

/// The error of a kind that no feature is of.
fn unknown(part: Part, kept: &str, kinds: Vec<String>, path: &Path) -> StorageError {
    let (choice, what) = match part {
        Part::Genome => (Choice::Genome, "genome"),
        _ => (Choice::Features, "feature type"),
    };
    let remedy = match kinds.is_empty() {
        true => Remedy::LeaveAway(vec![choice]),
        false => Remedy::ChooseOne { choice, names: kinds },
    };
    StorageError::NoneChosen { path: path.into(), problem: format!("no {what} is {kept}"), remedy: remedy.into() }
}

fn damaged(path: &Path, part: Part, problem: String) -> StorageError {
    let dataset = if part == Part::Genome { "genomes" } else { "feature types" };
    let remedy = "the file is damaged, create it again".into();
    StorageError::InvalidDataset { path: path.into(), dataset: dataset.into(), problem, remedy }
}
