//! Names and columns of the cells of several files.
//!
//! A column is kept if every file has it. Each file's table is written in current encodings first, as it
//! would be for that file alone; its columns are then appended to temporary files, one for each column.
//! Texts and categories become categories, numbers the wider type, missing values stay missing.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use hdf5::Group;

use super::{Joined, stored};
use crate::anndata::column::{CATEGORIES, Fault, Kind, Value, visit};
use crate::hdf::attribute;
use crate::hdf::problem::problem;
use crate::monitor::Warning;
use crate::{AnnDataWriter, Axis, FrameWriter, Monitor, Overwrite, StorageError};

/// The column that says which file a cell is from.
const SAMPLE: &str = "sample";

/// Bytes in memory for the columns: buffers of the temporary files, and the categories of one.
pub(super) const RESIDENT: u64 = 6 << 20;

/// The most columns that are joined. A warning names the others.
const MOST_COLUMNS: usize = 256;

/// Bytes of the buffer of a temporary file.
const BUFFER: usize = 8 << 10;

/// Writes names, samples and columns.
pub(super) fn write(joined: &Joined, table: &mut FrameWriter, monitor: &dyn Monitor) -> Result<(), StorageError> {
    let folder = table.folder().to_path_buf();
    let mut gathered = Gathered::new(&folder)?;
    let mut samples = Samples::default();
    let files = joined.inputs.list_of_files();
    let once = Once { monitor, said: Mutex::default() };
    for (at, file) in files.iter().enumerate() {
        let of_file = |error| joined.inputs.at(at, error);
        let source = joined.open_file(at)?;
        // Written as for this file alone, and read back.
        let alone = Alone(table.scratch("file"));
        let mut writer = AnnDataWriter::create(&alone.0, Overwrite::Replace)?;
        let mut frame = writer.dataframe(Axis::Cells, source.cells())?;
        source.write_table(Axis::Cells, &mut frame, &once).map_err(of_file)?;
        let mut columns = frame.columns().to_vec();
        let mut prefix = joined.inputs.joining().prefix_cells.then_some(file.sample.as_str());
        if stored::is_store(&file.path) && columns.iter().any(|column| column == SAMPLE) {
            // The store is of several files: its cells keep their samples and names.
            (columns, prefix) = (columns.into_iter().filter(|column| column != SAMPLE).collect(), None);
            let read = visit(frame.group(), SAMPLE, &mut |value| {
                let Value::Text(text) = value else { return Ok(()) };
                samples.add(&String::from_utf8_lossy(text.unwrap_or_default()), 1);
                Ok(())
            });
            drop(read.map_err(|fault| of_file(of_fault(fault, source.path(), &folder)))?);
        } else {
            samples.add(&file.sample, source.cells());
        }
        let added = gathered.add(frame.group(), &columns, prefix, at == 0);
        added.map_err(|fault| of_file(of_fault(fault, source.path(), &folder)))?;
        if monitor.cancelled() {
            return Err(StorageError::Cancelled);
        }
    }
    gathered.names.finish(&folder)?.copy(|texts| table.names(texts.map(Option::unwrap_or_default)))?;
    let codes = samples.runs.iter().flat_map(|&(code, cells)| std::iter::repeat_n(code, cells));
    table.categorical(SAMPLE, &samples.names, codes)?;
    for column in gathered.columns {
        let (name, problem) = (column.name.clone(), column.problem.clone());
        let written = match problem {
            Some(reason) => Err(reason),
            None => column.write(table, &folder)?,
        };
        if let Err(reason) = written {
            monitor.warn(&Warning::SkippedAnnotation { dataset: format!("obs/{name}"), reason });
        }
    }
    Ok(())
}

/// Passes each warning on once: what is true of one file is often true of all.
struct Once<'m> {
    monitor: &'m dyn Monitor,
    said: Mutex<HashSet<String>>,
}

impl Monitor for Once<'_> {
    fn warn(&self, warning: &Warning) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() < MOST_SAID && said.insert(warning.to_string()) {
            self.monitor.warn(warning);
        }
    }

    fn cancelled(&self) -> bool {
        self.monitor.cancelled()
    }
}

/// Different warnings of files that are passed on.
const MOST_SAID: usize = 64;

/// The samples of the cells, in runs of one sample.
#[derive(Default)]
struct Samples {
    names: Vec<String>,
    places: HashMap<String, usize>,
    runs: Vec<(usize, usize)>,
}

impl Samples {
    /// Adds `cells` cells of a sample.
    fn add(&mut self, name: &str, cells: usize) {
        let place = self.places.get(name).copied().unwrap_or_else(|| {
            self.places.insert(name.to_owned(), self.names.len());
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        match self.runs.last_mut() {
            Some((last, count)) if *last == place => *count += cells,
            _ => self.runs.push((place, cells)),
        }
    }
}

/// The table of one file, removed in the end.
struct Alone(PathBuf);

impl Drop for Alone {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The error of a file at `path` whose columns are put aside in `folder`.
fn of_fault(fault: Fault, path: &Path, folder: &Path) -> StorageError {
    match fault {
        Fault::Library(column, error) => problem("read", path, &format!("obs/{column}"), &error),
        Fault::System(error) => StorageError::io("write", folder, error),
    }
}

/// Names and columns, put aside.
struct Gathered {
    names: Aside,
    columns: Vec<Column>,
    folder: PathBuf,
}

struct Column {
    name: String,
    /// What its values are, in all files so far.
    kind: Kind,
    aside: Aside,
    /// Entries, and those that are missing.
    len: u64,
    missing: u64,
    /// Why the column cannot be joined.
    problem: Option<String>,
}

/// A temporary file of values: texts with their length before them, numbers as f64 and as i64.
struct Aside {
    file: BufWriter<File>,
}

/// The length of a text that is missing.
const MISSING: u32 = u32::MAX;

impl Aside {
    fn new(folder: &Path) -> Result<Self, StorageError> {
        let file = tempfile::tempfile_in(folder).map_err(|e| StorageError::io("create", folder, e))?;
        Ok(Aside { file: BufWriter::with_capacity(BUFFER, file) })
    }

    fn text(&mut self, text: Option<&[u8]>) -> std::io::Result<()> {
        let len = text.map_or(MISSING, |text| text.len() as u32);
        self.file.write_all(&len.to_ne_bytes())?;
        self.file.write_all(text.unwrap_or_default())
    }

    /// A number as a float, and as an integer if it is one; `None` if it is missing.
    fn number(&mut self, number: Option<(f64, i64)>) -> std::io::Result<()> {
        let (float, whole) = number.unwrap_or((f64::NAN, 0));
        self.file.write_all(&float.to_ne_bytes())?;
        self.file.write_all(&whole.to_ne_bytes())
    }

    fn finish(self, folder: &Path) -> Result<Reading, StorageError> {
        let file = self.file.into_inner().map_err(|e| StorageError::io("write", folder, e.into_error()))?;
        Ok(Reading { file, folder: folder.into() })
    }
}

/// The same, to be read.
struct Reading {
    file: File,
    folder: PathBuf,
}

impl Reading {
    /// Reads all texts through `write`.
    fn copy<T>(
        &self,
        write: impl FnOnce(&mut dyn Iterator<Item = Option<String>>) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        self.each(
            |file| {
                let mut len = [0; 4];
                file.read_exact(&mut len)?;
                let len = u32::from_ne_bytes(len);
                if len == MISSING {
                    return Ok(None);
                }
                let mut text = vec![0; len as usize];
                file.read_exact(&mut text)?;
                Ok(Some(String::from_utf8_lossy(&text).into_owned()))
            },
            write,
        )
    }

    /// Reads all numbers through `write`.
    fn numbers<T>(
        &self,
        write: impl FnOnce(&mut dyn Iterator<Item = (f64, i64)>) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        self.each(
            |file| {
                let (mut float, mut whole) = ([0; 8], [0; 8]);
                file.read_exact(&mut float)?;
                file.read_exact(&mut whole)?;
                Ok((f64::from_ne_bytes(float), i64::from_ne_bytes(whole)))
            },
            write,
        )
    }

    fn each<V: Default, T>(
        &self,
        mut read: impl FnMut(&mut BufReader<&File>) -> std::io::Result<V>,
        write: impl FnOnce(&mut dyn Iterator<Item = V>) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let io = |e| StorageError::io("read", &self.folder, e);
        (&self.file).seek(SeekFrom::Start(0)).map_err(io)?;
        let mut file = BufReader::with_capacity(1 << 16, &self.file);
        let mut failed = None;
        // The writer takes as many as there are rows; after an error it gets values without meaning.
        let written = write(&mut std::iter::repeat_with(|| match failed {
            Some(_) => V::default(),
            None => read(&mut file).unwrap_or_else(|error| {
                failed = Some(error);
                V::default()
            }),
        }));
        failed.map_or(written, |error| Err(io(error)))
    }
}

impl Gathered {
    fn new(folder: &Path) -> Result<Self, StorageError> {
        Ok(Gathered { names: Aside::new(folder)?, columns: Vec::new(), folder: folder.into() })
    }

    /// Adds the cells of the next file, whose table is `group`.
    fn add(&mut self, group: &Group, columns: &[String], prefix: Option<&str>, is_first: bool) -> Result<(), Fault> {
        let index = attribute::text(group, "_index").unwrap_or_else(|| "_index".into());
        let names = &mut self.names;
        let mut whole = Vec::new();
        let kind = visit(group, &index, &mut |value| {
            let Value::Text(text) = value else { return Ok(()) };
            let text = text.unwrap_or_default();
            let Some(prefix) = prefix else { return names.text(Some(text)) };
            whole.clear();
            whole.extend_from_slice(prefix.as_bytes());
            whole.push(b'_');
            whole.extend_from_slice(text);
            names.text(Some(&whole))
        })?;
        if kind != Ok(Kind::Texts) {
            return Err(Fault::Library(index, "holds names that are no texts".into()));
        }
        if is_first {
            for name in columns.iter().filter(|name| **name != index) {
                let problem = if name == SAMPLE {
                    Some("the column of samples has its name".into())
                } else if self.columns.len() >= MOST_COLUMNS {
                    Some(format!("more than {MOST_COLUMNS} columns of several files are not joined"))
                } else {
                    None
                };
                let aside = Aside::new(&self.folder).map_err(|error| match error {
                    StorageError::Io { source, .. } => Fault::System(source),
                    other => Fault::System(std::io::Error::other(other.to_string())),
                })?;
                let name = name.clone();
                self.columns.push(Column { name, kind: Kind::Booleans, aside, len: 0, missing: 0, problem });
            }
        }
        for column in &mut self.columns {
            if column.problem.is_none() && !columns.contains(&column.name) {
                column.problem = Some("not all files have it".into());
            }
            if column.problem.is_none() {
                column.add(group)?;
            }
        }
        Ok(())
    }
}

impl Column {
    /// Adds the values of the next file.
    fn add(&mut self, group: &Group) -> Result<(), Fault> {
        let (aside, before) = (&mut self.aside, self.len);
        let (mut len, mut missing) = (0, 0);
        let kind = visit(group, &self.name, &mut |value| {
            len += 1;
            match value {
                Value::Text(text) => {
                    missing += u64::from(text.is_none());
                    aside.text(text)
                }
                Value::Number(number) => {
                    missing += u64::from(number.is_none());
                    aside.number(number)
                }
            }
        })?;
        self.len += len;
        self.missing += missing;
        match kind {
            Err(reason) => self.problem = Some(reason),
            Ok(kind) if before == 0 => self.kind = kind,
            Ok(kind) => match (self.kind, kind) {
                (a, b) if a == b => {}
                (Kind::Integers | Kind::Floats, Kind::Integers | Kind::Floats) => self.kind = Kind::Floats,
                _ => self.problem = Some("it has texts in one file and numbers or truth values in another".into()),
            },
        }
        Ok(())
    }

    /// Writes the column, or returns the reason why it cannot be written.
    fn write(self, table: &mut FrameWriter, folder: &Path) -> Result<Result<(), String>, StorageError> {
        let aside = self.aside.finish(folder)?;
        match self.kind {
            Kind::Floats => aside.numbers(|numbers| table.floats(&self.name, numbers.map(|(float, _)| float)))?,
            // As pandas shows integers of which some are missing.
            Kind::Integers if self.missing > 0 => {
                aside.numbers(|numbers| table.floats(&self.name, numbers.map(|(float, _)| float)))?;
            }
            Kind::Integers => aside.numbers(|numbers| table.integers(&self.name, numbers.map(|(_, whole)| whole)))?,
            Kind::Booleans if self.missing > 0 => return Ok(Err("some of its truth values are missing".into())),
            Kind::Booleans => aside.numbers(|numbers| table.booleans(&self.name, numbers.map(|(_, v)| v != 0)))?,
            Kind::Texts => return self::categories(&aside, &self.name, (self.len, self.missing), table),
        }
        Ok(Ok(()))
    }
}

/// Writes a column of texts: as categories if these are few.
fn categories(
    aside: &Reading,
    name: &str,
    (len, missing): (u64, u64),
    table: &mut FrameWriter,
) -> Result<Result<(), String>, StorageError> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut labels: Vec<String> = Vec::new();
    let mut bytes = 0;
    aside.copy(|texts| {
        for text in texts.take(len as usize).flatten() {
            if bytes > CATEGORIES {
                break;
            }
            if !places.contains_key(&text) {
                bytes += 2 * text.len() + 64;
                places.insert(text.clone(), labels.len());
                labels.push(text);
            }
        }
        Ok(())
    })?;
    let are_few = (labels.len() as u64) < len.div_ceil(2).max(2);
    if bytes <= CATEGORIES && (are_few || missing > 0) {
        aside.copy(|texts| {
            table.categorical_or_missing(
                name,
                &labels,
                texts.map(|text| text.and_then(|text| places.get(&text).copied())),
            )
        })?;
    } else if missing > 0 {
        return Ok(Err("it has too many different texts, and some are missing".into()));
    } else {
        aside.copy(|texts| table.texts(name, texts.map(Option::unwrap_or_default)))?;
    }
    Ok(Ok(()))
}
