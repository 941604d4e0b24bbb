//! The kinds of results, one file each: a kind says which pictures its page has, and in which order.
//!
//! | file   | shows                                            |
//! |--------|--------------------------------------------------|
//! | `fit`  | a result of `fit`                                |
//! | `consensus` | a result of `consensus`                     |
//! | `fits` | a folder of results of `fit`                     |
//! | `pca`  | a result of `pca`                                |
//! | `sweep` | the folder of a sweep                           |

mod consensus;
mod fit;
mod fits;
mod pca;
mod sweep;

use std::path::Path;

use partwise_storage::StorageError;

use crate::error::ReportError;
use crate::page::Page;
use crate::read::{Consensus, Embedding, Sample, Story, Sweep};
use crate::{Note, ReportSpec};

pub use sweep::CLEAR_LEAD;

/// A page, and what its reader should know besides.
type Made = (Page, Vec<Note>);

/// A kind of result, with what its file tells about the run.
enum Kind {
    Fit(Story),
    Consensus(Story),
    Fits,
    Pca(Story),
    Sweep,
}

/// The names of the figures that a page of what is at `path` can have.
pub(crate) fn figures(path: &Path) -> Result<&'static [&'static str], ReportError> {
    Ok(match kind(path)? {
        Kind::Fit(_) => &fit::FIGURES,
        Kind::Consensus(_) => &consensus::FIGURES,
        Kind::Fits => &fits::FIGURES,
        Kind::Pca(_) => &pca::FIGURES,
        Kind::Sweep => &sweep::FIGURES,
    })
}

/// The page of what is at `path`.
pub(crate) fn page(path: &Path, spec: &ReportSpec) -> Result<Made, ReportError> {
    match kind(path)? {
        Kind::Fit(story) => fit::page(path, story, spec),
        Kind::Consensus(story) => consensus::page(path, story, spec),
        Kind::Pca(story) => pca::page(path, story, spec),
        Kind::Fits if !spec.labels.is_empty() || spec.embedding.is_some() => {
            Err(ReportError::OneResultOnly { path: path.into() })
        }
        Kind::Fits => fits::page(path),
        Kind::Sweep if !spec.labels.is_empty() || spec.embedding.is_some() => {
            Err(ReportError::NoCells { path: path.into() })
        }
        Kind::Sweep => sweep::page(path),
    }
}

/// The kind of what is at `path`.
fn kind(path: &Path) -> Result<Kind, ReportError> {
    let meta = std::fs::metadata(path).map_err(|error| StorageError::io("read", path, error))?;
    let no_result = |found: &str| ReportError::NoResult { path: path.into(), found: found.into() };
    if meta.is_dir() {
        // Two of its files identify a store, because other folders have a manifest.json too.
        if ["manifest.json", "table.bin"].iter().all(|name| path.join(name).is_file()) {
            return Err(no_result("is a store, which has no result in it"));
        }
        return Ok(if Sweep::is_at(path) { Kind::Sweep } else { Kind::Fits });
    }
    if let Some(story) = Story::read(path, "nmf")? {
        return Ok(if Consensus::is(&story) { Kind::Consensus(story) } else { Kind::Fit(story) });
    }
    if let Some(story) = Story::read(path, "partwise_pca")? {
        return Ok(Kind::Pca(story));
    }
    Err(no_result("holds neither uns[\"nmf\"] nor uns[\"partwise_pca\"]"))
}

/// The name of a file or folder, without the folders that it lies in.
fn name_of(path: &Path) -> String {
    let name = path.file_name().or_else(|| path.components().next_back().map(|part| part.as_os_str()));
    name.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// The embedding that the reader asked for.
fn embedding(
    path: &Path,
    spec: &ReportSpec,
    sample: &Sample,
    names: &[String],
    notes: &mut Vec<Note>,
) -> Result<Option<Embedding>, ReportError> {
    let Some(asked) = &spec.embedding else { return Ok(None) };
    let found = Embedding::read(&asked.path, asked.key.as_deref(), path, sample, names)?;
    if let Some(example) = &found.lost {
        notes.push(Note::LostCells {
            path: asked.path.clone(),
            lost: found.places.iter().filter(|place| place.is_none()).count(),
            of: names.len(),
            example: example.clone(),
        });
    }
    Ok(Some(found))
}

/// The sentence on which cells the pictures show.
fn on_sample(sample: &Sample) -> String {
    let thousands = crate::picture::thousands;
    match sample.is_whole() {
        true => format!("Pictures of single cells show all {} cells.", thousands(sample.cells())),
        false => format!(
            "Pictures of single cells show {} of the {} cells, evenly spaced; means and sums are over all of them.",
            thousands(sample.rows().len()),
            thousands(sample.cells())
        ),
    }
}

/// The sentence on cells that the embedding does not have.
fn on_lost(notes: &[Note]) -> Option<String> {
    let Note::LostCells { lost, of, .. } = notes.first()?;
    Some(format!("{lost} of the {of} cells shown have no place in the embedding."))
}
