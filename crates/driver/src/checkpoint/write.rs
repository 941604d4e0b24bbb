//! Writing a checkpoint.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use partwise_storage::{Unit, traffic};

use super::file::{Seal, check_size};
use super::folder::{self, Unfinished};
use super::manifest::{Entry, Manifest, Stamp};
use super::rows::{self, Part};
use super::{Checkpoints, Snapshot};
use crate::comm::{Comm, CommError, agree};
use crate::error::{CheckpointError, DriverError};
use crate::monitor::CheckpointEvent;
use crate::usages::Usages;

/// How long process 0 waits until it sees the files of the others: a shared disk may cache for a
/// while that a file is missing.
const PATIENCE: Duration = Duration::from_secs(30);

impl Checkpoints<'_> {
    /// Writes `moment`. If anything fails, the checkpoints before it stay as they are.
    pub(super) fn write(&mut self, moment: &impl Snapshot) -> Result<(), DriverError> {
        let began = Instant::now();
        let bytes = self.bytes(moment);
        self.monitor.start("checkpoint", bytes, Unit::Bytes);
        let mut unfinished = Unfinished::default();
        let written = self.write_files(moment, &mut unfinished);
        // If a process is lost, process 0 may have written the manifest nevertheless, and it names
        // these files.
        if matches!(written, Ok(()) | Err(DriverError::Comm(_))) {
            unfinished.0.clear();
        }
        written?;
        let passes = moment.passes();
        self.saved = passes;
        let seconds = began.elapsed().as_secs_f64();
        match moment.is_typical() {
            true => self.clock.wrote(bytes, seconds),
            false => self.clock.start_anew(),
        }
        self.monitor.finish();
        self.tell(&CheckpointEvent::Written { passes, bytes, seconds });
        Ok(())
    }

    /// Writes the files of all processes, and finally the manifest.
    fn write_files(&mut self, moment: &impl Snapshot, unfinished: &mut Unfinished) -> Result<(), DriverError> {
        let mut parts = Vec::new();
        if let Some(usages) = moment.usages() {
            let sealed = agree(self.comm, self.write_rows(moment.passes(), usages, unfinished))?;
            parts = gather_parts(self.comm, moment.passes(), self.run.own.clone(), sealed)?;
        }
        let completed = if self.comm.rank() == 0 { self.complete(moment, parts, unfinished) } else { Ok(()) };
        agree(self.comm, completed)
    }

    /// Writes the rows of this process.
    fn write_rows(&self, passes: usize, usages: &Usages, unfinished: &mut Unfinished) -> Result<Seal, DriverError> {
        let path = self.folder().join(folder::usages_name(passes, self.comm.rank()));
        unfinished.0.push(path.clone());
        rows::write(&path, usages, self.run.own.clone(), self.monitor)
    }

    /// Writes all the rest and the manifest, then removes everything older than the two newest.
    fn complete(
        &mut self,
        moment: &impl Snapshot,
        usages: Vec<Part>,
        unfinished: &mut Unfinished,
    ) -> Result<(), DriverError> {
        let folder = self.folder.clone();
        let name = folder::state_name(moment.passes());
        let path = folder.join(&name);
        unfinished.0.push(path.clone());
        let seal = moment.write(&path)?;
        self.monitor.advance(seal.bytes);
        for part in &usages {
            wait_for(&folder.join(&part.name), part.seal.bytes)?;
        }
        self.entries.insert(0, Entry { passes: moment.passes(), state: Stamp { name, seal }, usages });
        let manifest = Manifest::new(&self.run.identity, &self.entries);
        self.claim.check()?;
        manifest.write(&folder)?;
        unfinished.0.clear();
        self.entries.truncate(manifest.checkpoints.len());
        folder::remove_unwanted(&folder, |name| manifest.names(name));
        Ok(())
    }
}

/// The files of all processes, by rank.
fn gather_parts(
    comm: &dyn Comm,
    passes: usize,
    own: std::ops::Range<usize>,
    sealed: Seal,
) -> Result<Vec<Part>, CommError> {
    let mut all = vec![[0i64; 4]; comm.size()];
    all[comm.rank()] = [own.start as i64, own.len() as i64, sealed.bytes as i64, i64::from(sealed.crc32c)];
    comm.all_reduce_sum(&mut [all.as_flattened_mut()])?;
    let part = |(rank, [first, blocks, bytes, crc32c]): (usize, [i64; 4])| Part {
        name: folder::usages_name(passes, rank),
        first_block: first as u64,
        blocks: blocks as u64,
        seal: Seal { bytes: bytes as u64, crc32c: crc32c as u32 },
    };
    Ok(all.into_iter().enumerate().map(part).collect())
}

/// Waits until this process sees the file that another process has written.
fn wait_for(path: &Path, bytes: u64) -> Result<(), CheckpointError> {
    let began = Instant::now();
    while check_size(path, bytes).is_err() {
        if began.elapsed() > PATIENCE {
            return Err(CheckpointError::Unseen { path: path.into() });
        }
        traffic::ended();
        sleep(Duration::from_millis(50));
    }
    Ok(())
}
