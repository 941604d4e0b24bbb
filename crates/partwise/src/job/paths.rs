//! The paths of a run, compared before any work: no output is an input or another output, nothing
//! that cannot be replaced is in its way, and its folder is there.
//!
//! Paths are compared by the file that they reach (device and inode), so that links and other
//! spellings do not hide a meeting.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use partwise_storage::anndata::check_destination;
use partwise_storage::{Overwrite, StorageError, traffic};

use super::{JobError, output};

/// Links that are followed before they count as a circle; Linux follows as many.
const MOST_LINKS: usize = 40;

/// The purpose of a path in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// The file or the store that is read.
    Input,
    /// The earlier result that a fit starts from.
    Start,
    /// The result whose spectra are used.
    Spectra,
    /// The AnnData file that a copy with the result is made of.
    Into,
    /// A list of names of genes or cells.
    Names,
    /// The store that the input is converted into.
    Store,
    /// The result of a fit.
    Result,
    /// The folder of the results of several fits.
    Results,
    /// The table of passes.
    Trace,
    /// When each thread did what.
    Timeline,
    /// The folder of the checkpoints.
    Checkpoints,
    /// The table of the genes that mark each program.
    TopGenes,
    /// The files that cNMF writes, or their folder.
    CnmfFiles,
    /// A picture.
    Plot,
    /// The only output of other work.
    Output,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Input => "the input",
            Role::Start => "the result to start from",
            Role::Spectra => "the result with the spectra",
            Role::Into => "the file to add to",
            Role::Names => "the list of names",
            Role::Store => "the store",
            Role::Result => "the result",
            Role::Results => "the folder of the results",
            Role::Trace => "the trace",
            Role::Timeline => "the timeline",
            Role::Checkpoints => "the folder of the checkpoints",
            Role::TopGenes => "the table of top genes",
            Role::CnmfFiles => "the files for readers of cNMF",
            Role::Plot => "the plot",
            Role::Output => "the output",
        })
    }
}

/// The kind of an output, which decides what it may replace.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutputKind {
    /// An AnnData file. It replaces HDF5 files.
    AnnData,
    /// A text that is written in place. It replaces empty files, and texts of the same kind.
    Text {
        /// The kind, such as `a table of passes`.
        what: &'static str,
        /// The beginnings that a text of this kind can have.
        begins: &'static [&'static str],
    },
    /// A picture in PNG. It replaces empty files, and other such pictures.
    Png,
    /// A store. The work that writes it decides which folders it may replace.
    Store,
    /// A folder whose other files stay.
    Folder,
}

/// A path that a run writes.
#[derive(Debug, Clone)]
pub struct Output {
    /// Its purpose.
    pub role: Role,
    /// The path.
    pub path: PathBuf,
    /// Its kind.
    pub kind: OutputKind,
    /// Whether it may replace a file of its kind.
    pub overwrite: Overwrite,
}

/// The paths that a run reads and writes.
#[derive(Debug, Clone, Default)]
pub struct Paths {
    reads: Vec<(Role, PathBuf)>,
    writes: Vec<Output>,
}

impl Paths {
    /// Adds a path that is read.
    pub fn reading(mut self, role: Role, path: &Path) -> Self {
        self.reads.push((role, path.into()));
        self
    }

    /// Adds a path that is written.
    pub fn writing(mut self, output: Output) -> Self {
        self.writes.push(output);
        self
    }

    /// Refuses the outputs that cannot be written. Changes nothing.
    ///
    /// # Errors
    ///
    /// - an output has no name, is an input or another output, or lies inside a store
    /// - something is in its way that it may not replace
    /// - its folder does not exist
    pub fn check(&self) -> Result<(), JobError> {
        let mut known: BTreeMap<Place, (Role, &Path)> =
            self.reads.iter().map(|(role, path)| (place(path), (*role, path.as_path()))).collect();
        let places: Vec<Place> = self.writes.iter().map(|output| place(&output.path)).collect();
        for (output, place) in self.writes.iter().zip(&places) {
            let Output { role, path, .. } = output;
            output::check_name(path)?;
            if let Some(&(other_role, other)) = known.get(place) {
                let (path, other) = (path.clone(), other.to_path_buf());
                return Err(JobError::Overwrites { role: *role, path, other_role, other });
            }
            known.insert(place.clone(), (*role, path));
        }
        let of_kind = |kind: OutputKind| self.writes.iter().zip(&places).filter(move |(output, _)| output.kind == kind);
        // The results of many fits share a folder.
        let mut folders = BTreeMap::new();
        for output in &self.writes {
            let folder = output::folder(&output.path);
            let above: &Vec<Place> = folders.entry(folder).or_insert_with(|| folders_above(folder));
            if let Some((store, _)) = of_kind(OutputKind::Store).find(|(_, place)| above.contains(place)) {
                return Err(JobError::InsideStore { path: output.path.clone(), store: store.path.clone() });
            }
            output.check_occupant()?;
            traffic::ended();
            // A folder of results that is missing will be made.
            let will_be_made = || of_kind(OutputKind::Folder).any(|(_, place)| above.first() == Some(place));
            if folder.exists() || !will_be_made() {
                output::check_folder(&output.path)?;
            }
        }
        Ok(())
    }
}

impl Output {
    /// Refuses an output if something is in its way that it may not replace.
    fn check_occupant(&self) -> Result<(), JobError> {
        let path = &self.path;
        let refuse = |reason: String| Err(StorageError::NotReplaceable { path: path.clone(), reason }.into());
        match &self.kind {
            OutputKind::AnnData => return Ok(check_destination(path, self.overwrite)?),
            OutputKind::Folder if path.symlink_metadata().is_ok() && !path.is_dir() => {
                return refuse("it is a file, and a folder is needed here".into());
            }
            OutputKind::Folder => return Ok(()),
            OutputKind::Store if path.exists() && !path.is_dir() => return refuse("it is not a store".into()),
            OutputKind::Store => (),
            OutputKind::Text { .. } | OutputKind::Png => {
                let occupant = match &self.kind {
                    OutputKind::Text { what, begins } => {
                        occupant(path, what, &begins.iter().map(|begin| begin.as_bytes()).collect::<Vec<_>>())
                    }
                    _ => occupant(path, "a PNG picture", &[b"\x89PNG\r\n\x1a\n"]),
                };
                match occupant {
                    Ok(None) => (),
                    Ok(Some(reason)) => return refuse(reason),
                    Err(error) => return Err(StorageError::io("read", path, error).into()),
                }
            }
        }
        match self.overwrite == Overwrite::Refuse && path.symlink_metadata().is_ok() {
            true => Err(StorageError::Exists { path: path.clone() }.into()),
            false => Ok(()),
        }
    }
}

/// Why the file `what` may not replace what is at `path`; `None` if it may.
fn occupant(path: &Path, what: &str, begins: &[&[u8]]) -> io::Result<Option<String>> {
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if meta.is_dir() {
        return Ok(Some("it is a folder".into()));
    }
    if !meta.is_file() {
        return Ok(Some("it is a pipe or a device, not a file".into()));
    }
    let longest = begins.iter().map(|begin| begin.len()).max().unwrap_or(0);
    let mut start = Vec::new();
    File::open(path)?.take(longest as u64).read_to_end(&mut start)?;
    // A killed run may have left a part of the first line.
    let is_of_kind = begins.iter().any(|begin| begin.starts_with(&start) || start.starts_with(begin));
    Ok((!is_of_kind).then(|| format!("it is not {what}")))
}

/// What identifies the file at a path, or the file that would be made there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// A file or folder, by device and inode.
    Taken(u64, u64),
    /// A name in a folder, by the device and inode of the folder.
    Free(u64, u64, OsString),
    /// A name in a folder that does not exist.
    Nowhere(PathBuf),
}

/// Whether both paths reach one file or folder, or would.
pub(super) fn same(a: &Path, b: &Path) -> bool {
    place(a) == place(b)
}

fn place(path: &Path) -> Place {
    let found = fs::metadata(path);
    traffic::ended();
    if let Ok(meta) = found {
        return Place::Taken(meta.dev(), meta.ino());
    }
    let end = end_of_links(path);
    match (fs::metadata(output::folder(&end)), end.file_name()) {
        (Ok(folder), Some(name)) => Place::Free(folder.dev(), folder.ino(), name.into()),
        _ => Place::Nowhere(std::path::absolute(&end).unwrap_or(end)),
    }
}

/// `folder` and the folders that it lies in.
fn folders_above(folder: &Path) -> Vec<Place> {
    let whole = folder.canonicalize().or_else(|_| std::path::absolute(folder)).unwrap_or_else(|_| folder.into());
    whole.ancestors().map(place).collect()
}

/// The path at the end of a chain of links, where there may be nothing.
fn end_of_links(path: &Path) -> PathBuf {
    let mut end = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        let Ok(next) = fs::read_link(&end) else { break };
        end = output::folder(&end).join(next);
    }
    end
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const TABLE: OutputKind = OutputKind::Text { what: "a table", begins: &["pass,loss"] };

    fn output(path: PathBuf, kind: OutputKind, overwrite: Overwrite) -> Output {
        Output { role: Role::Trace, path, kind, overwrite }
    }

    #[test]
    fn a_path_is_known_by_the_file_that_it_reaches() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir(at("a")).unwrap();
        fs::write(at("a/x"), "x").unwrap();
        fs::hard_link(at("a/x"), at("hard")).unwrap();
        symlink("a", at("b")).unwrap();
        symlink("b/x", at("soft")).unwrap();
        for other in ["b/x", "soft", "hard", "a/../b/./x"] {
            assert_eq!(place(&at("a/x")), place(&at(other)), "{other}");
        }
        // Where there is nothing yet.
        symlink("b/new", at("to")).unwrap();
        symlink("to", at("to-to")).unwrap();
        for other in ["b/new", "to", "to-to", "a/./new"] {
            assert_eq!(place(&at("a/new")), place(&at(other)), "{other}");
        }
        assert_ne!(place(&at("a/new")), place(&at("new")));
        symlink("circle", at("circle")).unwrap();
        assert_eq!(place(&at("circle")), place(&at("circle")));
    }

    #[test]
    fn outputs_meet_neither_inputs_nor_one_another() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::write(at("x"), "pass,loss").unwrap();
        symlink("x", at("link")).unwrap();
        let trace = |name| output(at(name), TABLE, Overwrite::Replace);
        let x = Paths::default().reading(Role::Input, &at("x"));
        let error = x.clone().writing(trace("link")).check().unwrap_err().to_string();
        assert!(error.contains("link: the trace would overwrite the input") && error.contains("/x;"), "{error}");
        let twice = Paths::default().writing(trace("t")).writing(trace("./t"));
        assert!(twice.check().unwrap_err().to_string().contains("would overwrite the trace"));
        x.writing(trace("t")).check().unwrap();
        let store = output(at("s.pw"), OutputKind::Store, Overwrite::Replace);
        fs::create_dir(at("s.pw")).unwrap();
        let inside = Paths::default().writing(store).writing(trace("s.pw/t"));
        assert!(matches!(inside.check(), Err(JobError::InsideStore { .. })));
    }

    #[test]
    fn only_what_is_of_the_same_kind_is_replaced() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for (name, content) in
            [("table", "pass,loss,more\n"), ("begun", "pass"), ("empty", ""), ("thesis", "pass/loss")]
        {
            fs::write(at(name), content).unwrap();
        }
        fs::create_dir(at("folder")).unwrap();
        fs::write(at("picture"), b"\x89PNG\r\n\x1a\nmore").unwrap();
        let png = |name| Paths::default().writing(output(at(name), OutputKind::Png, Overwrite::Replace)).check();
        assert!(png("picture").is_ok() && png("empty").is_ok());
        assert!(png("thesis").unwrap_err().to_string().contains("it is not a PNG picture"));
        let check = |path: PathBuf, overwrite| Paths::default().writing(output(path, TABLE, overwrite)).check();
        for name in ["table", "begun", "empty"] {
            check(at(name), Overwrite::Replace).unwrap();
            assert!(check(at(name), Overwrite::Refuse).unwrap_err().to_string().contains("exists already"), "{name}");
        }
        for (path, said) in [
            (at("thesis"), "it is not a table"),
            (at("folder"), "it is a folder"),
            ("/dev/null".into(), "a pipe or a device"),
        ] {
            for overwrite in [Overwrite::Replace, Overwrite::Refuse] {
                let error = check(path.clone(), overwrite).unwrap_err().to_string();
                assert!(error.contains(said), "{error}");
            }
        }
    }
}
