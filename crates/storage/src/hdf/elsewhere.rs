//! Values that lie in other files: whether they can be read.
//!
//! Where the source of a virtual dataset is missing, the library reads fill values without an
//! error. That is correct for the format and wrong for a reader.

use std::path::{Path, PathBuf};

use hdf5::plist::dataset_create::Layout;
use hdf5::{Dataset, File, OpenMode};

use super::raw;

/// The longest chain of virtual datasets that is followed.
const DEEPEST: usize = 8;

/// The source of values of `dataset` that cannot be found, as messages name it: `"y" of part.h5`.
pub(crate) fn missing(dataset: &Dataset) -> Option<String> {
    missing_at(dataset, 0)
}

fn missing_at(dataset: &Dataset, depth: usize) -> Option<String> {
    let created = dataset.create_plist().ok()?;
    if created.layout() != Layout::Virtual {
        return None;
    }
    if depth == DEEPEST {
        return Some(format!("source behind {DEEPEST} others"));
    }
    let Ok(sources) = raw::virtual_sources(dataset) else { return Some("source that it names".to_owned()) };
    let main = dataset.filename();
    sources.iter().find_map(|(file, name)| {
        let source = match file.as_str() {
            "." => dataset.file().and_then(|file| file.dataset(name)),
            _ => match found(Path::new(&main), Path::new(file)) {
                Some(path) => File::open_as(path, OpenMode::Read).and_then(|file| file.dataset(name)),
                None => return Some(format!("\"{name}\" of {file}")),
            },
        };
        source.map_or_else(|_| Some(format!("\"{name}\" of {file}")), |source| missing_at(&source, depth + 1))
    })
}

/// The place of a file that `main` names: beside it, or as it stands.
fn found(main: &Path, name: &Path) -> Option<PathBuf> {
    let beside = main.parent().unwrap_or(Path::new("")).join(name);
    [beside, name.to_owned()].into_iter().find(|path| path.is_file())
}
