//! The timeline that `--timeline` writes: when each thread did what, in the format of Chrome's traces.
//!
//! The library marks its stages as spans of [`tracing`](https://docs.rs/tracing); here they go to a file.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use partwise::StorageError;
use partwise::job::OutputKind;
use tracing_chrome::{ChromeLayerBuilder, FlushGuard};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::failure::{Code, Failure};

/// The kind of the file: an array of events, of which the first names a thread.
pub(super) const KIND: OutputKind = OutputKind::Text { what: "a timeline", begins: &["[\n{\"args\":{\"name\":\""] };

/// A timeline under way.
pub(super) struct Timeline {
    /// Ends the file when it is dropped.
    writing: Mutex<FlushGuard>,
    path: PathBuf,
    file: Arc<Mutex<Events>>,
}

impl Timeline {
    /// Records what all threads do from now on, for the file at `path`. Once in a process.
    pub(super) fn record(path: &Path) -> Result<Self, Failure> {
        let file = Arc::default();
        let events = Shared(Arc::clone(&file));
        let builder = ChromeLayerBuilder::new().writer(events).include_args(true).include_locations(false);
        let (layer, writing) = builder.build();
        // The libraries below have spans of their own.
        let ours = Targets::new().with_target("partwise", LevelFilter::INFO);
        let begun = tracing_subscriber::registry().with(layer.with_filter(ours)).try_init();
        begun.map_err(|error| Failure::new(Code::Defect, format!("cannot record a timeline: {error}")))?;
        Ok(Timeline { writing: Mutex::new(writing), path: path.into(), file })
    }

    /// Makes the file, once nothing is in its way, with what has been recorded.
    pub(super) fn open(&self) -> Result<(), Failure> {
        let opened = File::create(&self.path).and_then(|file| lock(&self.file).open(file));
        opened.map_err(|error| StorageError::io("write", &self.path, error).into())
    }

    /// Ends the file.
    pub(super) fn end(self) -> Result<(), Failure> {
        let Timeline { writing, path, file } = self;
        drop(writing);
        match lock(&file).failed.take() {
            None => Ok(()),
            Some(error) => Err(StorageError::io("write", &path, error).into()),
        }
    }
}

/// The events so far: in memory until there is a file.
#[derive(Default)]
struct Events {
    waiting: Vec<u8>,
    file: Option<File>,
    failed: Option<io::Error>,
}

impl Events {
    fn open(&mut self, mut file: File) -> io::Result<()> {
        file.write_all(&std::mem::take(&mut self.waiting))?;
        self.file = Some(file);
        Ok(())
    }
}

/// A writer that keeps its first error: the thread that writes events expects none.
struct Shared(Arc<Mutex<Events>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Events { waiting, file, failed } = &mut *lock(&self.0);
        match file {
            None => waiting.extend_from_slice(bytes),
            Some(file) if failed.is_none() => *failed = file.write_all(bytes).err(),
            Some(_) => (),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn lock(events: &Mutex<Events>) -> MutexGuard<'_, Events> {
    events.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_is_kept_and_the_writer_never_fails() {
        let file = Arc::default();
        let mut writer = Shared(Arc::clone(&file));
        assert_eq!(writer.write(b"[\n").expect("no error"), 2);
        let full = || File::options().write(true).open("/dev/full").expect("/dev/full");
        let opened = lock(&file).open(full()).expect_err("a full disk");
        assert_eq!(opened.kind(), io::ErrorKind::StorageFull);
        lock(&file).file = Some(full());
        assert_eq!(writer.write(b"more").expect("no error"), 4);
        let failed = lock(&file).failed.take().expect("a full disk");
        assert_eq!(failed.kind(), io::ErrorKind::StorageFull);
    }
}
