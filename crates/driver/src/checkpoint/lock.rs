//! The lock of a checkpoint folder: one run at a time keeps its checkpoints there.
//!
//! The file `running.json` names the run. It works on network file systems without locks, with
//! clocks that differ, and a lost node cannot hold it for ever:
//!
//! - It is made by an exclusive creation, which is one step on every file system.
//! - The run counts up the number at its start (the beat) through the descriptor that it has made the
//!   file with. So a run that was frozen and replaced never disturbs the lock of its successor.
//! - A newcomer on the same machine sees whether the process lives. One that is a later start of the
//!   same batch job knows that the earlier start is over. Any other newcomer watches the beat: if it
//!   stands still for long enough, by the newcomer's own clock, the run is lost.
//! - The lock of a lost run is renamed before it is removed, and put back if it turns out to be that
//!   of another newcomer.
//! - A run that was replaced notices before it writes the next list of checkpoints.

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{Builder, sleep};
use std::time::Duration;

use partwise_storage::{StorageError, traffic};
use serde::{Deserialize, Serialize};

use crate::error::{CheckpointError, DriverError};
use crate::monitor::FitMonitor;

/// The name of the lock, and the start of the name of one that is being taken away.
const NAME: &str = "running.json";
const TAKEN: &str = "running.json.taken-";
/// Larger files are no locks.
const MAX_BYTES: u64 = 4096;
/// Digits of the beat.
const DIGITS: usize = 20;
/// The time between two beats.
const BEAT: Duration = Duration::from_secs(2);
/// The time between two looks of a newcomer.
const LOOK: Duration = Duration::from_millis(200);
/// The time without a beat after which a run on another machine is lost. A server that is busy with
/// checkpoints may take a while for a beat.
pub(super) const PATIENCE: Duration = Duration::from_secs(40);

/// A start of a batch job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchJob {
    /// The job, as the batch system names it.
    pub id: String,
    /// How often the batch system had started it before. When it starts a job again, the earlier
    /// start is over.
    pub start: u64,
}

/// The run that holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Owner {
    host: String,
    pid: u32,
    /// When the process started, in the ticks of its machine: numbers of processes repeat.
    started: u64,
    /// The start of the machine, and the name space of its process numbers.
    machine: String,
    job: Option<BatchJob>,
    /// Different for each lock.
    token: u64,
}

impl Owner {
    fn this(job: Option<&BatchJob>) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let (boot, pids) = (read("/proc/sys/kernel/random/boot_id"), fs::read_link("/proc/self/ns/pid"));
        let (host, pid) = (read("/proc/sys/kernel/hostname"), std::process::id());
        Owner {
            host: if host.is_empty() { "an unknown host".into() } else { host },
            pid,
            started: started(pid).unwrap_or(0),
            machine: pids.map_or_else(|_| String::new(), |pids| format!("{boot} {}", pids.display())),
            job: job.cloned(),
            token: RandomState::new().build_hasher().finish(),
        }
    }

    /// Whether it runs, as far as `newcomer` can know without waiting.
    fn runs(&self, newcomer: &Owner) -> Option<bool> {
        if let (Some(job), Some(later)) = (&self.job, &newcomer.job)
            && job.id == later.id
            && job.start < later.start
        {
            return Some(false);
        }
        let same = !self.machine.is_empty() && self.machine == newcomer.machine;
        same.then(|| started(self.pid) == Some(self.started))
    }
}

/// When a process of this machine has started; `None` if there is none, or if it has ended.
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program, in brackets, may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if ["Z", "X"].contains(&state) { None } else { fields.nth(18)?.parse().ok() }
}

/// The content of a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    beat: String,
    /// `None` in a lock whose run has not yet written its name.
    owner: Option<Owner>,
}

/// Whether a run has locks of this name in a folder.
pub(super) fn is_lock(name: &str) -> bool {
    name == NAME || name.starts_with(TAKEN)
}

/// The lock of a folder. It is removed on drop.
#[derive(Debug)]
pub(super) struct Lock {
    folder: PathBuf,
    file: File,
    /// Ends the beats.
    _stop: Sender<()>,
}

impl Lock {
    /// Takes the lock of `folder`, which exists. Waits for at most `patience` to see whether a run on
    /// another machine is lost.
    pub(super) fn take(
        folder: &Path,
        job: Option<&BatchJob>,
        patience: Duration,
        monitor: &dyn FitMonitor,
    ) -> Result<Lock, DriverError> {
        let (path, me) = (folder.join(NAME), Owner::this(job));
        loop {
            if let Some(lock) = create(folder, &path, &me)? {
                return Ok(lock);
            }
            let Some(seen) = read(folder, &path)? else { continue };
            let runs = match seen.owner.as_ref().and_then(|owner| owner.runs(&me)) {
                Some(runs) => runs,
                None => beats(folder, &path, &seen, patience, monitor)?,
            };
            if runs {
                return Err(in_use(folder, read(folder, &path)?.and_then(|now| now.owner)));
            }
            take_away(folder, &path, &seen, me.token)?;
        }
    }

    /// Checks that no other run has taken the lock over.
    pub(super) fn check(&self) -> Result<(), DriverError> {
        let path = self.folder.join(NAME);
        match self.is_in_place() {
            Ok(false) => Err(in_use(&self.folder, read(&self.folder, &path)?.and_then(|seen| seen.owner))),
            _ => Ok(()),
        }
    }

    /// Whether the file at its path is its own, or there is none.
    fn is_in_place(&self) -> std::io::Result<bool> {
        let own = self.file.metadata()?;
        match fs::symlink_metadata(self.folder.join(NAME)) {
            Ok(there) => Ok((there.dev(), there.ino()) == (own.dev(), own.ino())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // An error has no receiver here. A lock that stays is taken over.
        if let Ok(true) = self.is_in_place() {
            let _ = fs::remove_file(self.folder.join(NAME));
        }
    }
}

fn in_use(folder: &Path, owner: Option<Owner>) -> DriverError {
    let (host, pid) = owner.map_or_else(|| ("an unknown host".into(), 0), |owner| (owner.host, owner.pid));
    CheckpointError::InUse { folder: folder.into(), host, pid }.into()
}

/// Makes the lock; `None` if there is one.
fn create(folder: &Path, path: &Path, me: &Owner) -> Result<Option<Lock>, DriverError> {
    let mut file = match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(None),
        Err(error) => return Err(StorageError::io("create", path, error).into()),
    };
    let content = format!("{:0DIGITS$} {}\n", 0, serde_json::to_string(me).expect("numbers and strings only"));
    let written = file.write_all(content.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| file.try_clone());
    let beating = written.map_err(|error| {
        let _ = fs::remove_file(path);
        StorageError::io("write", path, error)
    })?;
    let (stop, stopped) = channel();
    let beat = move || {
        let mut count = 0u64;
        while stopped.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
            count += 1;
            // A beat that cannot be written is one that others do not see.
            let _ = beating.write_all_at(format!("{count:0DIGITS$}").as_bytes(), 0).and_then(|()| beating.sync_data());
        }
    };
    let started = Builder::new().name("checkpoint lock".into()).stack_size(64 << 10).spawn(beat);
    let lock = Lock { folder: folder.into(), file, _stop: stop };
    match started {
        Ok(_) => Ok(Some(lock)),
        Err(error) => Err(DriverError::Threads { message: error.to_string() }),
    }
}

/// Reads the lock; `None` if there is none.
fn read(folder: &Path, path: &Path) -> Result<Option<Seen>, DriverError> {
    let foreign =
        || CheckpointError::Foreign { folder: folder.into(), found: format!("its {NAME} is of something else") };
    match fs::symlink_metadata(path) {
        Ok(meta) if !meta.is_file() || meta.len() > MAX_BYTES => return Err(foreign().into()),
        Ok(_) => (),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StorageError::io("read", path, error).into()),
    }
    let mut content = Vec::new();
    match File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut content)) {
        Ok(_) => (),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StorageError::io("read", path, error).into()),
    }
    traffic::ended();
    parse(&String::from_utf8_lossy(&content)).map(Some).ok_or_else(|| foreign().into())
}

/// The content of a lock, whole or not: a machine that lost its power may leave a part of it. `None` if it is of
/// something else.
fn parse(text: &str) -> Option<Seen> {
    let (beat, rest) = text.split_once(' ').unwrap_or((text, ""));
    let owner: Option<Owner> = serde_json::from_str(rest).ok();
    let is_beat = beat.len() == DIGITS || (rest.is_empty() && beat.len() < DIGITS);
    let is_ours = owner.is_some() || (is_beat && beat.bytes().all(|byte| byte.is_ascii_digit()));
    is_ours.then(|| Seen { beat: beat.into(), owner })
}

/// Whether the lock changes within `patience`, or is gone.
fn beats(
    folder: &Path,
    path: &Path,
    seen: &Seen,
    patience: Duration,
    monitor: &dyn FitMonitor,
) -> Result<bool, DriverError> {
    if let Some(owner) = &seen.owner {
        monitor.waiting(&owner.host, owner.pid);
    }
    // Looks are counted, so that a newcomer that is suspended meanwhile looks as often.
    for _ in 0..patience.as_millis().div_ceil(LOOK.as_millis()) {
        if monitor.cancelled() {
            return Err(DriverError::Cancelled);
        }
        sleep(LOOK);
        match read(folder, path)? {
            Some(now) if now == *seen => (),
            now => return Ok(now.is_some()),
        }
    }
    Ok(false)
}

/// Removes the lock of a lost run, unless another newcomer has done so.
fn take_away(folder: &Path, path: &Path, lost: &Seen, token: u64) -> Result<(), DriverError> {
    if read(folder, path)?.is_none_or(|now| now != *lost) {
        return Ok(());
    }
    let taken = folder.join(format!("{TAKEN}{token:016x}"));
    match fs::rename(path, &taken) {
        Ok(()) => (),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StorageError::io("rename", path, error).into()),
    }
    if read(folder, &taken)?.is_some_and(|now| now.owner != lost.owner) {
        // It is that of a newcomer who was faster. If this fails, that run notices.
        let _ = fs::hard_link(&taken, path);
    }
    fs::remove_file(&taken).map_err(|error| StorageError::io("remove", &taken, error).into())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use partwise_storage::{Monitor, Quiet};

    use super::*;

    const SOON: Duration = Duration::from_millis(600);

    #[test]
    fn a_part_of_a_lock_is_one_whose_owner_is_unknown() {
        let me = Owner::this(None);
        let whole = format!("{:0DIGITS$} {}\n", 7, serde_json::to_string(&me).unwrap());
        assert_eq!(parse(&whole), Some(Seen { beat: format!("{:0DIGITS$}", 7), owner: Some(me.clone()) }));
        for at in 0..whole.len() - 2 {
            assert_eq!(parse(&whole[..at]).expect("ours").owner, None, "cut at {at}");
        }
        let damaged = whole.replacen('0', "\u{fffd}", 1);
        assert_eq!(parse(&damaged).expect("ours").owner, Some(me));
        for other in ["thesis", "12 monkeys", "{}", "000000000000000000000000 {}"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    fn take(folder: &Path, job: Option<&BatchJob>) -> Result<Lock, DriverError> {
        Lock::take(folder, job, SOON, &Quiet)
    }

    fn elsewhere(folder: &Path, job: Option<&BatchJob>) -> Owner {
        let owner = Owner { host: "n17".into(), pid: 4711, machine: "another".into(), ..Owner::this(job) };
        write(folder, 7, &owner);
        owner
    }

    fn write(folder: &Path, beat: u64, owner: &Owner) {
        let text = format!("{beat:0DIGITS$} {}\n", serde_json::to_string(owner).unwrap());
        fs::write(folder.join(NAME), text).unwrap();
    }

    #[test]
    fn one_run_holds_it_until_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let lock = take(folder.path(), None).unwrap();
        let error = take(folder.path(), None).unwrap_err().to_string();
        assert!(error.contains(&format!("process {} on", std::process::id())), "{error}");
        lock.check().unwrap();
        drop(lock);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        take(folder.path(), None).unwrap();
    }

    #[test]
    fn a_dead_process_of_this_machine_holds_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let start = started(child.id()).unwrap();
        let owner = Owner { pid: child.id(), started: start, ..Owner::this(None) };
        write(folder.path(), 3, &owner);
        assert!(matches!(take(folder.path(), None), Err(DriverError::Checkpoint(CheckpointError::InUse { .. }))));
        child.kill().unwrap();
        // Nobody has asked for its exit code yet.
        while started(child.id()).is_some() {
            thread::yield_now();
        }
        drop(take(folder.path(), None).unwrap());
        child.wait().unwrap();
        // Another process that has got its number.
        write(folder.path(), 3, &Owner { started: 1, ..Owner::this(None) });
        take(folder.path(), None).unwrap();
    }

    #[test]
    fn elsewhere_the_beat_decides() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let owner = elsewhere(path, None);
        let ended = AtomicUsize::new(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                for beat in 8.. {
                    write(path, beat, &owner);
                    thread::sleep(SOON / 4);
                    if ended.load(Ordering::Relaxed) > 0 {
                        break;
                    }
                }
            });
            let error = take(path, None).unwrap_err().to_string();
            ended.store(1, Ordering::Relaxed);
            assert!(error.contains("process 4711 on n17"), "{error}");
        });
        // Without a beat it is lost; its own name makes no difference.
        drop(take(path, None).unwrap());
        // Nor has one that was killed before it wrote its name.
        fs::write(path.join(NAME), "").unwrap();
        take(path, None).unwrap();
    }

    #[test]
    fn a_later_start_of_a_batch_job_does_not_wait() {
        let folder = tempfile::tempdir().unwrap();
        let job = |start| BatchJob { id: "20".into(), start };
        elsewhere(folder.path(), Some(&job(0)));
        let began = std::time::Instant::now();
        drop(Lock::take(folder.path(), Some(&job(1)), Duration::from_secs(3600), &Quiet).unwrap());
        assert!(began.elapsed() < SOON);
    }

    #[test]
    fn a_run_that_was_replaced_notices_and_leaves_the_other_alone() {
        let folder = tempfile::tempdir().unwrap();
        let lock = take(folder.path(), None).unwrap();
        fs::remove_file(folder.path().join(NAME)).unwrap();
        elsewhere(folder.path(), None);
        let error = lock.check().unwrap_err().to_string();
        assert!(error.contains("process 4711 on n17"), "{error}");
        drop(lock);
        assert!(folder.path().join(NAME).exists());
    }

    #[test]
    fn waiting_ends_when_it_is_asked_to() {
        struct Stops;
        impl Monitor for Stops {
            fn cancelled(&self) -> bool {
                true
            }
        }
        impl FitMonitor for Stops {}
        let folder = tempfile::tempdir().unwrap();
        elsewhere(folder.path(), None);
        let ended = Lock::take(folder.path(), None, Duration::from_secs(3600), &Stops);
        assert!(matches!(ended, Err(DriverError::Cancelled)));
    }

    #[test]
    fn one_of_many_newcomers_takes_it() {
        let folder = tempfile::tempdir().unwrap();
        elsewhere(folder.path(), None);
        let taken: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| take(folder.path(), None))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(taken.iter().filter(|lock| lock.as_ref().is_ok_and(|lock| lock.check().is_ok())).count(), 1);
    }

    #[test]
    fn something_else_of_its_name_stays() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(NAME), "mine").unwrap();
        let error = take(folder.path(), None).unwrap_err().to_string();
        assert!(error.contains("is of something else"), "{error}");
    }
}
