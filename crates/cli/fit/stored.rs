//! The store of a fit: the input itself, one made from it earlier, or one made now.

use std::path::Path;
use std::time::{Duration, Instant};

use partwise::driver::Machine;
use partwise::storage::convert::{ConvertSpec, convert};
use partwise::storage::source::Source;
use partwise::storage::store::remove_leftovers;
use partwise::storage::{ErrorKind, Overwrite, StorageError, Store};

use crate::failure::{Code, Failure};
use crate::progress::Progress;

/// A store to read, and how long making it took.
pub(super) struct Stored {
    pub(super) store: Store,
    pub(super) converting: Duration,
}

/// What lies where the store is to be.
enum Found {
    /// Nothing, or nothing of worth: what a conversion that did not finish has left.
    Free,
    /// A store of this input as it is now.
    Current(Box<Store>),
    /// A store of this input as it was.
    Outdated,
}

impl Stored {
    /// Uses the store at `path` if it was made from `source` as it is now, and converts into it otherwise.
    pub(super) fn of(
        source: &mut dyn Source,
        path: &Path,
        resources: &Machine,
        force: bool,
        progress: &Progress,
    ) -> Result<Self, Failure> {
        let shown = path.display();
        match look(source, path, force)? {
            Found::Current(store) => {
                progress.note(&format!("{shown}: made from this input earlier and used again"));
                // Where it may not be removed it does no harm.
                let _ = remove_leftovers(path);
                return Ok(Stored { store: *store, converting: Duration::ZERO });
            }
            Found::Outdated => progress.note(&format!("{shown}: the input has changed since; converting it again")),
            Found::Free => (),
        }
        let began = Instant::now();
        let spec = ConvertSpec {
            block_rows: None,
            memory: resources.memory,
            threads: resources.threads,
            overwrite: Overwrite::Replace,
        };
        let store = convert(source, path, &spec, progress)?;
        Ok(Stored { store, converting: began.elapsed() })
    }
}

/// Looks at `path`. What is of another input is replaced only with `force`.
fn look(source: &dyn Source, path: &Path, force: bool) -> Result<Found, Failure> {
    if path.symlink_metadata().is_err() {
        return Ok(Found::Free);
    }
    let store = match Store::open(path) {
        Ok(store) => store,
        // Whether it may be replaced is for the conversion to say: a folder with anything else in it may not.
        Err(StorageError::Unfinished { .. } | StorageError::NotAStore { .. }) => return Ok(Found::Free),
        // Damaged, or of another version: nothing that a conversion would not make anew.
        Err(error) if force && error.kind() == ErrorKind::BadData => return Ok(Found::Free),
        Err(error) => return Err(error.into()),
    };
    let (had, now) = (store.source(), source.stamp());
    if *had == now {
        Ok(Found::Current(Box::new(store)))
    } else if force || (&had.path, &had.selection) == (&now.path, &now.selection) {
        Ok(Found::Outdated)
    } else {
        Err(Failure::new(
            Code::CannotCreate,
            format!(
                "{}: is the store of another matrix (made from {}); choose another --store or overwrite it with --force",
                path.display(),
                had.path.display()
            ),
        ))
    }
}
