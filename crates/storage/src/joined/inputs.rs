//! Which files are read as one matrix, and what each of them is called.

use std::path::{Path, PathBuf};

use super::Joined;
use crate::source::{self, Source};
use crate::store::{JoinedStamp, Joining, SampleStamp, Selection, SourceStamp};
use crate::{StorageError, detect};

/// A file, and the sample that its cells belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputFile {
    /// The value of `obs["sample"]`.
    pub sample: String,
    /// The file or folder.
    pub path: PathBuf,
    /// Its line in a list of files, counted from 1.
    line: Option<usize>,
}

/// An input: a file, or several files as one matrix.
///
/// The cells of several files follow one another in the order of the files. Their column `sample` is
/// the name that a list gives, or the name of the file.
///
/// ```
/// use partwise_storage::Joining;
/// use partwise_storage::joined::Inputs;
///
/// let inputs = Inputs::files([("old", "a.h5ad"), ("new", "b.h5ad")], Joining::default());
/// assert_eq!(inputs.named_after().to_str(), Some("a+1.h5ad"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inputs {
    files: Vec<InputFile>,
    joining: Joining,
    /// The list that named the files.
    list: Option<PathBuf>,
    /// Whether it is one file, read as it is.
    is_one: bool,
}

/// The largest list of files that is read.
const LIST_BYTES: u64 = 64 << 20;

impl Inputs {
    /// One file or folder, read as it is.
    pub fn one(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let files = vec![InputFile { sample: stem(&path), path, line: None }];
        Inputs { files, joining: Joining::default(), list: None, is_one: true }
    }

    /// Files with the names of their samples, as one matrix.
    pub fn files<S: Into<String>, P: Into<PathBuf>>(files: impl IntoIterator<Item = (S, P)>, joining: Joining) -> Self {
        let files = files.into_iter();
        let files = files.map(|(sample, path)| InputFile { sample: sample.into(), path: path.into(), line: None });
        Inputs { files: files.collect(), joining, list: None, is_one: false }
    }

    /// What the words of a user mean: files and folders, patterns such as `*.h5ad`, and lists of files.
    ///
    /// A list is a text with a line for each file: the name of a sample, a tab, and a path, which is
    /// relative to the folder of the list. Empty lines and lines that begin with `#` are left out.
    ///
    /// # Errors
    ///
    /// - there are no words; no file fits a pattern
    /// - a list cannot be read, or a line of it is none of a list
    /// - one file is given twice, or one file is to be joined
    pub fn expand<P: AsRef<Path>>(words: &[P], joining: Joining) -> Result<Self, StorageError> {
        let (mut files, mut list) = (Vec::new(), None);
        for word in words.iter().map(AsRef::as_ref) {
            if let Some(listed) = read_list(word)? {
                files.extend(listed);
                list = Some(word.to_path_buf());
            } else if let Some(found) = matches(word)? {
                files.extend(found.into_iter().map(|path| InputFile { sample: String::new(), path, line: None }));
            } else {
                files.push(InputFile { sample: String::new(), path: word.into(), line: None });
            }
        }
        if let ([file], None) = (files.as_slice(), &list) {
            if joining != Joining::default() {
                let message = format!("{}: is one file, and there is none to join it with", file.path.display());
                return Err(StorageError::Usage { message });
            }
            return Ok(Inputs::one(file.path.clone()));
        }
        if files.is_empty() {
            return Err(StorageError::Usage { message: "there is no input".into() });
        }
        name_samples(&mut files);
        refuse_repeats(&files)?;
        // Outputs are named after a list only if it names all files.
        Ok(Inputs { files, joining, list: list.filter(|_| words.len() == 1), is_one: false })
    }

    /// The files, in the order of their cells.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|file| file.path.as_path())
    }

    /// Refuses files that do not exist.
    ///
    /// # Errors
    ///
    /// - there is nothing at one of the paths
    pub fn check_exist(&self) -> Result<(), StorageError> {
        for (at, file) in self.files.iter().enumerate() {
            if !file.path.exists() {
                return Err(self.at(at, StorageError::NotFound { path: file.path.clone() }));
            }
        }
        Ok(())
    }

    /// The file, if there is one alone.
    pub fn single(&self) -> Option<&Path> {
        self.is_one.then(|| self.files[0].path.as_path())
    }

    /// The path after which outputs are named: that of one file, that of a list, or that of the first
    /// file with the number of the others.
    pub fn named_after(&self) -> PathBuf {
        if let Some(list) = &self.list {
            return list.clone();
        }
        let first = &self.files[0].path;
        if self.is_one {
            return first.clone();
        }
        let mut name = first.file_stem().unwrap_or_default().to_owned();
        name.push(format!("+{}", self.files.len() - 1));
        if let Some(ending) = first.extension() {
            name.push(".");
            name.push(ending);
        }
        first.with_file_name(name)
    }

    /// Opens the matrix that `selection` names: in each of the files, if there are several.
    ///
    /// Costs one look at each file: its shape and its genes.
    ///
    /// # Errors
    ///
    /// - as for [`source::open`], with the line of a list that names the file
    /// - several genes of a file have one key, or there is no such key; no gene is in all files
    pub fn open(&self, selection: &Selection) -> Result<Box<dyn Source>, StorageError> {
        match self.single() {
            Some(path) => source::open(path, selection),
            None => Ok(Box::new(Joined::open(self.clone(), selection)?)),
        }
    }

    /// Identifies the files, the selection and the way in which they are joined, without opening them.
    ///
    /// # Errors
    ///
    /// - a file is not there, or cannot be read
    pub fn stamp(&self, selection: &Selection) -> Result<SourceStamp, StorageError> {
        if let Some(path) = self.single() {
            return source::stamp(path, selection);
        }
        let named = self.named_after();
        let path = std::path::absolute(&named).map_err(|e| StorageError::io("read", &named, e))?;
        let mut stamp = SourceStamp { path, selection: selection.clone(), ..SourceStamp::default() };
        let mut files = Vec::new();
        for (at, file) in self.files.iter().enumerate() {
            let of_file = source::stamp(&file.path, selection).map_err(|error| self.at(at, error))?;
            let SourceStamp { path, bytes, modified_ns, .. } = of_file;
            stamp.bytes = stamp.bytes.saturating_add(bytes);
            stamp.modified_ns = stamp.modified_ns.max(modified_ns);
            files.push(SampleStamp { sample: file.sample.clone(), path, bytes, modified_ns });
        }
        stamp.joined = Some(JoinedStamp { joining: self.joining.clone(), files });
        Ok(stamp)
    }

    pub(super) fn joining(&self) -> &Joining {
        &self.joining
    }

    pub(super) fn list_of_files(&self) -> &[InputFile] {
        &self.files
    }

    /// `error` of file `at`, with its line in the list.
    pub(super) fn at(&self, at: usize, error: StorageError) -> StorageError {
        match (&self.list, self.files[at].line) {
            (Some(list), Some(line)) if !matches!(error, StorageError::Cancelled) => {
                StorageError::Listed { list: list.clone(), line, error: Box::new(error) }
            }
            _ => error,
        }
    }
}

impl From<&Path> for Inputs {
    fn from(path: &Path) -> Self {
        Inputs::one(path)
    }
}

impl From<PathBuf> for Inputs {
    fn from(path: PathBuf) -> Self {
        Inputs::one(path)
    }
}

impl From<&PathBuf> for Inputs {
    fn from(path: &PathBuf) -> Self {
        Inputs::one(path)
    }
}

impl From<&String> for Inputs {
    fn from(path: &String) -> Self {
        Inputs::one(path)
    }
}

impl From<&str> for Inputs {
    fn from(path: &str) -> Self {
        Inputs::one(path)
    }
}

/// The files that fit `pattern`, sorted; `None` if it is a path, not a pattern.
fn matches(pattern: &Path) -> Result<Option<Vec<PathBuf>>, StorageError> {
    let Some(text) = pattern.to_str().filter(|text| text.contains(['*', '?', '['])) else { return Ok(None) };
    if pattern.symlink_metadata().is_ok() {
        return Ok(None);
    }
    let Ok(found) = glob::glob(text) else { return Ok(None) };
    let found: Result<Vec<PathBuf>, _> = found.collect();
    let found = found.map_err(|error| {
        let path = error.path().to_path_buf();
        StorageError::io("read", &path, error.into())
    })?;
    if found.is_empty() {
        return Err(StorageError::NotFound { path: pattern.into() });
    }
    Ok(Some(found))
}

/// The files of the list at `path`; `None` if it is something else.
fn read_list(path: &Path) -> Result<Option<Vec<InputFile>>, StorageError> {
    let io = |error| StorageError::io("read", path, error);
    let Ok(meta) = path.metadata() else { return Ok(None) };
    if !meta.is_file() || meta.len() > LIST_BYTES || !detect::is_list(path).map_err(io)? {
        return Ok(None);
    }
    let text = std::fs::read_to_string(path).map_err(io)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut files = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        match line.split_once('\t').map(|(name, path)| (name.trim(), path.trim())) {
            Some((name, file)) if !name.is_empty() && !file.is_empty() => {
                files.push(InputFile { sample: name.into(), path: folder.join(file), line: Some(at + 1) });
            }
            _ => {
                return Err(StorageError::InvalidLine {
                    path: path.into(),
                    line: at as u64 + 1,
                    problem: "is not the name of a sample, a tab and a path, as the first line is".into(),
                    remedy: "complete the line, or begin it with #".into(),
                });
            }
        }
    }
    Ok(Some(files))
}

/// The name of a file without its ending, or of a folder.
fn stem(path: &Path) -> String {
    let mut stem = path.to_path_buf();
    if !path.is_dir() {
        stem.set_extension("");
        if path.extension().is_some_and(|ending| ending == "gz" || ending == "zip") {
            stem.set_extension("");
        }
    }
    let name = stem.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let sample = name.strip_suffix("matrix").map(|sample| sample.trim_end_matches(['_', '.', '-']));
    sample.filter(|sample| !sample.is_empty() && !path.is_dir()).map_or(name.clone(), str::to_owned)
}

/// Names the samples of files that no list has named: after the file, or after the last folder in which
/// the paths differ, where all files have one name (as those of Cell Ranger do).
fn name_samples(files: &mut [InputFile]) {
    let unnamed: Vec<usize> = (0..files.len()).filter(|&at| files[at].line.is_none()).collect();
    let mut parts: Vec<Vec<String>> = Vec::new();
    for &at in &unnamed {
        let path = &files[at].path;
        let folders = path.parent().into_iter().flat_map(Path::components);
        let mut names: Vec<String> = folders.map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
        names.push(stem(path));
        parts.push(names);
    }
    while let Some(last) = parts.first().and_then(|names| names.last().cloned()) {
        let same = parts.iter().all(|names| names.last() == Some(&last) && names.len() > 1);
        if parts.len() < 2 || !same {
            break;
        }
        parts.iter_mut().for_each(|names| drop(names.pop()));
    }
    for (&at, names) in unnamed.iter().zip(parts) {
        files[at].sample = names.last().cloned().unwrap_or_default();
    }
}

/// Refuses a file that is there twice: its cells would count twice.
fn refuse_repeats(files: &[InputFile]) -> Result<(), StorageError> {
    let mut seen = std::collections::HashSet::new();
    for file in files {
        let Ok(real) = file.path.canonicalize() else { continue };
        if !seen.insert(real) {
            let message = format!("{}: is given twice; its cells would count twice", file.path.display());
            return Err(StorageError::Usage { message });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Join;

    fn samples(paths: &[&str]) -> Vec<String> {
        let mut files: Vec<InputFile> =
            (paths.iter()).map(|path| InputFile { sample: String::new(), path: path.into(), line: None }).collect();
        name_samples(&mut files);
        files.into_iter().map(|file| file.sample).collect()
    }

    #[test]
    fn samples_are_named_after_the_part_of_the_path_that_differs() {
        assert_eq!(samples(&["d/a.h5ad", "d/b.v2.h5ad"]), ["a", "b.v2"]);
        assert_eq!(samples(&["s1/outs/m.h5", "s2/outs/m.h5"]), ["s1", "s2"]);
        assert_eq!(samples(&["m.h5", "s2/m.h5"]), ["m", "m"]);
        assert_eq!(samples(&["only/m.mtx.gz"]), ["m"]);
    }

    #[test]
    fn lists_patterns_and_paths_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["a.csv", "b.csv"] {
            std::fs::write(at(name), "gene,x\nc,1\n").unwrap();
        }
        std::fs::write(at("table.tsv"), "gene\tx\nc\t1\n").unwrap();
        std::fs::write(at("list.txt"), "# a comment\nold one\ta.csv\n\nnew\tb.csv\n").unwrap();
        let expand = |words: &[&str]| {
            let words: Vec<PathBuf> = words.iter().map(|word| at(word)).collect();
            Inputs::expand(&words, Joining::default())
        };
        let listed = expand(&["list.txt"]).unwrap();
        let of = |file: &InputFile| (file.sample.clone(), file.path.clone(), file.line);
        let wanted = [("old one", "a.csv", 2), ("new", "b.csv", 4)];
        let wanted = wanted.map(|(sample, path, line)| (sample.to_owned(), at(path), Some(line)));
        assert_eq!(listed.files.iter().map(of).collect::<Vec<_>>(), wanted);
        assert_eq!(listed.named_after(), at("list.txt"));
        assert_eq!(expand(&["table.tsv"]).unwrap(), Inputs::one(at("table.tsv")));
        let found = expand(&["?.csv"]).unwrap();
        assert_eq!(found.paths().collect::<Vec<_>>(), [at("a.csv"), at("b.csv")]);
        assert_eq!(found.named_after(), at("a+1.csv"));
        assert!(matches!(expand(&["*.h5"]), Err(StorageError::NotFound { .. })));
        assert!(expand(&["a.csv", "./a.csv"]).unwrap_err().to_string().contains("given twice"));
        std::fs::write(at("list.txt"), "old\ta.csv\nnew b.csv\n").unwrap();
        assert!(expand(&["list.txt"]).unwrap_err().to_string().contains("line 2"), "a line without a tab");
        let one = Inputs::expand(&[at("a.csv")], Joining { join: Join::Outer, ..Joining::default() });
        assert!(one.unwrap_err().to_string().contains("one file"));
    }
}
