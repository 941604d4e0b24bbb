//! The place of a store: named after its input and selection, whatever the results are called.
//!
//! All results of an input share its store. It lies beside the results, or is found there or beside
//! the input by the stamp that it carries. A name that belongs to another input is passed over for
//! the next free one: `matrix.pw`, `matrix.2.pw`, …

use std::path::{Path, PathBuf};

use partwise_storage::{ErrorKind, Inputs, Selection, SourceStamp, StorageError, Store};

use super::output;

/// Endings that say how a file is packed, not what it is called.
const ENDINGS: [&str; 2] = ["gz", "zip"];

/// The most stores of one name that are looked at.
const MOST: usize = 1000;

/// The place of the store of `selection` of `input`, if results lie in the folder `results`.
pub(super) fn of(inputs: &Inputs, selection: &Selection, results: &Path) -> PathBuf {
    let input = inputs.named_after();
    let name = name(&input, selection);
    let first = results.join(format!("{name}.pw"));
    // An input that does not exist is reported when it is opened.
    let Ok(stamp) = inputs.stamp(selection) else { return first };
    let mut own = None;
    for folder in [results, output::folder(&input)] {
        for path in places(folder, &name) {
            match look(&path, &stamp) {
                Place::Current => return path,
                Place::Ours => {
                    own.get_or_insert(path);
                }
                Place::Free => {
                    own.get_or_insert(path);
                    break;
                }
                Place::Others => (),
            }
        }
    }
    own.unwrap_or(first)
}

/// The store that was made from `inputs` as they are now, if there is one in `folder` or beside them.
pub fn find_store(inputs: &Inputs, selection: &Selection, folder: &Path) -> Option<PathBuf> {
    let stamp = inputs.stamp(selection).ok()?;
    let place = of(inputs, selection, folder);
    current(&place, &stamp).map(|_| place)
}

/// Whether the store at `path` was made from the input with this stamp, as it is now. Returns it.
pub(super) fn current(path: &Path, stamp: &SourceStamp) -> Option<Store> {
    Store::open(path).ok().filter(|store| store.source() == stamp)
}

/// What is at a place.
enum Place {
    /// A store of the input as it is now.
    Current,
    /// A store of the input as it was, or one that is unfinished or damaged.
    Ours,
    /// Nothing.
    Free,
    /// The store of another input or selection, or something else.
    Others,
}

fn look(path: &Path, stamp: &SourceStamp) -> Place {
    if path.symlink_metadata().is_err() {
        return Place::Free;
    }
    match Store::open(path) {
        Ok(store) if store.source() == stamp => Place::Current,
        Ok(store) if store.source().is_same_input(stamp) => Place::Ours,
        Ok(_) | Err(StorageError::NotAStore { .. }) => Place::Others,
        Err(StorageError::Unfinished { .. }) => Place::Ours,
        Err(error) if error.kind() == ErrorKind::BadData => Place::Ours,
        Err(_) => Place::Others,
    }
}

/// The places of that name in `folder`.
fn places(folder: &Path, name: &str) -> impl Iterator<Item = PathBuf> {
    let first = folder.join(format!("{name}.pw"));
    let numbered = (2..MOST).map(move |number| folder.join(format!("{name}.{number}.pw")));
    std::iter::once(first).chain(numbered)
}

/// `pbmc3k`; with a selection, `pbmc3k.counts`.
fn name(input: &Path, selection: &Selection) -> String {
    // `.` and `..` have no name, but the folders that they mean have one.
    let named = if input.file_name().is_none() { input.canonicalize().unwrap_or_default() } else { input.into() };
    let mut stem = named.clone();
    while stem.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known)) {
        stem.set_extension("");
    }
    if !named.is_dir() || stem.extension().is_some_and(|ending| ending == "zarr") {
        stem.set_extension("");
    }
    let mut name = stem.file_name().map_or_else(|| "matrix".into(), |name| name.to_string_lossy().into_owned());
    let Selection { layer, raw, transpose, modality, features, genome, dataset } = selection;
    let flag = |is_set: &bool, word: &str| is_set.then(|| word.to_owned());
    let parts = [
        modality.clone(),
        layer.clone(),
        flag(raw, "raw"),
        dataset.clone(),
        features.clone(),
        genome.clone(),
        flag(transpose, "transposed"),
    ];
    for part in parts.into_iter().flatten() {
        name.push('.');
        name.extend(part.chars().map(|c| if c.is_alphanumeric() || "-_+.".contains(c) { c } else { '_' }));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_are_named_after_input_and_selection() {
        let plain = Selection::default();
        let counts = Selection { layer: Some("counts/all".into()), ..Selection::default() };
        let raw = Selection { raw: true, transpose: true, ..Selection::default() };
        for (input, selection, expected) in [
            ("d/pbmc.v2.h5ad", &plain, "pbmc.v2"),
            ("d/pbmc.h5ad", &counts, "pbmc.counts_all"),
            ("pbmc.h5ad", &raw, "pbmc.raw.transposed"),
            ("atlas.zarr.zip", &plain, "atlas"),
            ("matrix.mtx.gz", &plain, "matrix"),
            ("x", &plain, "x"),
        ] {
            assert_eq!(name(Path::new(input), selection), expected, "{input}");
        }
    }
}
