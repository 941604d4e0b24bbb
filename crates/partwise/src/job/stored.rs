//! The store of a job: the input itself, one made from it earlier, or one made now.

use std::path::Path;
use std::time::{Duration, Instant};

use partwise_driver::Machine;
use partwise_storage::convert::{ConvertSpec, convert};
use partwise_storage::source::Source;
use partwise_storage::store::remove_leftovers;
use partwise_storage::{ErrorKind, Inputs, Overwrite, Selection, StorageError, Store};

use super::host::{Host, Note};
use super::input::Input;
use super::{JobError, input, store_place};

/// A store to read, and how long making it took.
pub(super) struct Stored {
    pub(super) store: Store,
    pub(super) converting: Duration,
}

/// The input of a job, opened.
pub(super) enum Opened {
    /// It is a store.
    Given(Box<Store>),
    /// A store of it, as it is now, was found.
    Found(Box<Store>),
    /// It has to be converted.
    Source(Box<dyn Source>),
}

impl Opened {
    /// Opens `input`, or the store of it at `place` if that is current.
    pub(super) fn of(inputs: &Inputs, selection: &Selection, place: &Path) -> Result<Self, JobError> {
        if !input::is_store(inputs)
            && let Some(store) = store_place::current(place, &inputs.stamp(selection)?)
        {
            return Ok(Opened::Found(Box::new(store)));
        }
        Ok(match Input::open(inputs, selection)? {
            Input::Store(store) => Opened::Given(store),
            Input::Source(source) => Opened::Source(source),
        })
    }
}

/// What lies in the place of the store.
enum Found {
    /// Nothing, or what a conversion that did not finish has left.
    Free,
    /// A store of this input as it was.
    Outdated,
}

impl Stored {
    /// The store of `input`. If it has to be made, process 0 makes it at `path` while the others wait.
    pub(super) fn of<H: Host>(
        input: Opened,
        path: &Path,
        machine: &Machine,
        overwrite: Overwrite,
        host: &H,
    ) -> Result<Self, H::Error> {
        let ready = |store| Stored { store, converting: Duration::ZERO };
        match input {
            Opened::Given(store) => Ok(ready(*store)),
            Opened::Found(store) if host.comm().rank() == 0 => {
                host.note(&Note::StoreUsedAgain { path });
                // If they cannot be removed they do no harm.
                let _ = remove_leftovers(path);
                host.agree(Ok(ready(*store)))
            }
            Opened::Source(source) if host.comm().rank() == 0 => {
                host.agree(Self::make(source, path, machine, overwrite, host).map_err(H::Error::from))
            }
            other => {
                // Process 0 decides which store is read.
                drop(other);
                host.agree(Ok(()))?;
                Ok(ready(Store::open(path).map_err(JobError::from)?))
            }
        }
    }

    /// Converts `source` into the store at `path`, which is not there or not of this source as it is now.
    fn make<H: Host>(
        source: Box<dyn Source>,
        path: &Path,
        machine: &Machine,
        overwrite: Overwrite,
        host: &H,
    ) -> Result<Self, JobError> {
        match look(source.as_ref(), path, overwrite)? {
            Found::Outdated => host.note(&Note::StoreOutdated { path }),
            Found::Free => (),
        }
        let began = Instant::now();
        let spec = ConvertSpec {
            block_rows: None,
            memory: machine.memory,
            threads: machine.threads,
            overwrite: Overwrite::Replace,
        };
        let store = convert(source, path, &spec, host)?;
        Ok(Stored { store, converting: began.elapsed() })
    }
}

/// Looks at `path`. The store of another input is replaced only if `overwrite` allows it.
fn look(source: &dyn Source, path: &Path, overwrite: Overwrite) -> Result<Found, JobError> {
    let may_replace = overwrite == Overwrite::Replace;
    if path.symlink_metadata().is_err() {
        return Ok(Found::Free);
    }
    let store = match Store::open(path) {
        Ok(store) => store,
        // The conversion decides whether it may be replaced: a folder with anything else in it may not.
        Err(StorageError::Unfinished { .. } | StorageError::NotAStore { .. }) => return Ok(Found::Free),
        // Damaged, or of another version: a conversion makes all of it anew.
        Err(error) if may_replace && error.kind() == ErrorKind::BadData => return Ok(Found::Free),
        Err(error) => return Err(error.into()),
    };
    let (had, now) = (store.source(), source.stamp());
    if may_replace || had.is_same_input(&now) {
        Ok(Found::Outdated)
    } else {
        Err(JobError::OtherStore { path: path.into(), made_from: had.path.clone() })
    }
}
