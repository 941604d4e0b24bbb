//! Aligns the genes of several files.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use hdf5::{Dataset, Group};

use crate::hdf::problem::problem;
use crate::hdf::text::TextColumn;
use crate::hdf::{attribute, number::NumberType};
use crate::number::{Number, with_scalar};
use crate::remedy::Remedy;
use crate::source::Source;
use crate::store::Join;
use crate::{AnnDataWriter, Axis, Overwrite, Quiet, StorageError};

/// The column of a gene that a matrix does not have.
pub(super) const NONE: u32 = u32::MAX;

/// The most genes of all files together.
const MOST: usize = 1 << 22;

/// Duplicates that an error lists.
const LISTED: usize = 8;

/// The genes of a matrix of several files.
#[derive(Debug, Default)]
pub(super) struct Genes {
    /// The column of `var` that holds the keys; `None`: the names are the keys.
    pub(super) key: Option<String>,
    /// The name of each gene, as the first file that has it calls it.
    pub(super) names: Vec<String>,
    /// Its key, in the same order.
    pub(super) keys: Vec<String>,
    /// The place of each key.
    places: HashMap<String, u32>,
}

/// The genes of the files that were looked at.
#[derive(Debug, Default)]
pub(super) struct Survey {
    genes: Genes,
    /// The number of files that have each gene, and the last of them.
    seen: Vec<(u32, u32)>,
    /// The list of the last file and the places of its genes: most files have the genes of the file before.
    last: Option<(ListId, Vec<u32>)>,
    files: u32,
}

impl Survey {
    pub(super) fn new(key: Option<String>) -> Self {
        Survey { genes: Genes { key, ..Genes::default() }, ..Survey::default() }
    }

    /// Adds the genes of the next file. Returns what identifies their list.
    ///
    /// # Errors
    ///
    /// - they cannot be read; there is no such column
    /// - two have one key
    pub(super) fn add(&mut self, source: &dyn Source) -> Result<ListId, StorageError> {
        let lists = read(source, self.genes.key.as_deref())?;
        let (keys, names) = (lists.keys, lists.names);
        let id = ListId::of(&keys);
        if let Some((_, places)) = self.last.as_ref().filter(|(last, _)| *last == id) {
            for &place in places {
                let (files, last) = &mut self.seen[place as usize];
                (*files, *last) = (*files + 1, self.files);
            }
            self.files += 1;
            return Ok(id);
        }
        let (mut repeated, mut places) = (Vec::new(), Vec::with_capacity(keys.len()));
        for (at, key) in keys.into_iter().enumerate() {
            if let Some(&place) = self.genes.places.get(&key) {
                places.push(place);
                let (files, last) = &mut self.seen[place as usize];
                if *last == self.files {
                    repeated.push(key);
                } else {
                    (*files, *last) = (*files + 1, self.files);
                }
                continue;
            }
            let place = self.genes.keys.len();
            places.push(place as u32);
            if place == MOST {
                return Err(invalid(source, format!("and those before it have more than {MOST} different genes")));
            }
            self.genes.places.insert(key.clone(), place as u32);
            self.genes.names.push(names.as_ref().map_or_else(|| key.clone(), |names| names[at].clone()));
            self.genes.keys.push(key);
            self.seen.push((1, self.files));
        }
        self.files += 1;
        if repeated.is_empty() {
            self.last = Some((id, places));
            return Ok(id);
        }
        let columns = match lists.columns {
            Some(columns) => columns,
            None => read_table(source, None)?.columns.unwrap_or_default(),
        };
        let mut shown: Vec<&str> = repeated.iter().take(LISTED).map(String::as_str).collect();
        shown.sort_unstable();
        shown.dedup();
        let more = if repeated.len() > LISTED { ", …" } else { "" };
        let by = self.genes.key.as_ref().map_or("name".into(), |key| format!("\"{key}\""));
        Err(StorageError::NoneChosen {
            path: source.path().into(),
            problem: format!(
                "{} genes have a {by} that another gene of the file has ({}{more}), so genes of several files cannot be \
                 matched by it",
                repeated.len(),
                shown.join(", ")
            ),
            remedy: Remedy::ChooseGeneKey { columns }.into(),
        })
    }

    /// The genes of the matrix.
    pub(super) fn finish(self, join: Join) -> Genes {
        let Survey { mut genes, seen, files, last: _ } = self;
        if join == Join::Inner {
            let mut kept = seen.iter().map(|(count, _)| *count == files);
            genes.names.retain(|_| kept.next() == Some(true));
            let mut kept = seen.iter().map(|(count, _)| *count == files);
            genes.keys.retain(|_| kept.next() == Some(true));
            genes.places = (0..).zip(&genes.keys).map(|(place, key)| (key.clone(), place)).collect();
        }
        genes
    }
}

impl Genes {
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The column of each gene of `source`, or [`NONE`].
    pub(super) fn columns(&self, source: &dyn Source) -> Result<Vec<u32>, StorageError> {
        let keys = read(source, self.key.as_deref())?.keys;
        Ok(keys.iter().map(|key| self.places.get(key).copied().unwrap_or(NONE)).collect())
    }

    /// Bytes in memory.
    pub(super) fn resident_bytes(&self) -> u64 {
        let text = |list: &[String]| list.iter().map(|text| text.len() as u64 + 24).sum::<u64>();
        text(&self.names) + 2 * text(&self.keys) + 16 * self.keys.len() as u64
    }
}

/// Identifies the keys of a file and their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ListId {
    len: usize,
    hash: u64,
}

impl ListId {
    fn of(keys: &[String]) -> Self {
        let mut hasher = DefaultHasher::new();
        keys.hash(&mut hasher);
        let hash = hasher.finish();
        ListId { len: keys.len(), hash }
    }
}

/// The lists of one file.
struct Lists {
    keys: Vec<String>,
    /// The names, if they are not the keys.
    names: Option<Vec<String>>,
    /// Columns of the table, if they are known.
    columns: Option<Vec<String>>,
}

/// Reads the lists: directly, where the format has them as plain lists.
fn read(source: &dyn Source, key: Option<&str>) -> Result<Lists, StorageError> {
    let genes = source.genes();
    if let Some(names) = source.texts(Axis::Genes, None).filter(|names| names.len() == genes) {
        match key {
            None => return Ok(Lists { keys: names, names: None, columns: None }),
            Some(key) => {
                if let Some(keys) = source.texts(Axis::Genes, Some(key)).filter(|keys| keys.len() == genes) {
                    return Ok(Lists { keys, names: Some(names), columns: None });
                }
            }
        }
    }
    read_table(source, key)
}

/// Reads the lists through the table that a result would have: all formats have that in common.
fn read_table(source: &dyn Source, key: Option<&str>) -> Result<Lists, StorageError> {
    let folder = tempfile::tempdir().map_err(|e| StorageError::io("create", &std::env::temp_dir(), e))?;
    let path = folder.path().join("genes.h5ad");
    let mut writer = AnnDataWriter::create(&path, Overwrite::Replace)?;
    let mut table = writer.dataframe(Axis::Genes, source.genes())?;
    source.write_table(Axis::Genes, &mut table, &Quiet)?;
    let group = table.group();
    let columns = table.columns().to_vec();
    let index = attribute::text(group, "_index").unwrap_or_else(|| "_index".into());
    let fail = |e: hdf5::Error| problem("read", source.path(), "var", &e);
    let names = texts(group, &index).map_err(fail)?.unwrap_or_default();
    let lists = match key {
        None => Lists { keys: names, names: None, columns: Some(columns) },
        Some(key) => {
            let keys = match columns.iter().any(|column| column == key) {
                true => texts(group, key).map_err(fail)?,
                false => None,
            };
            let Some(keys) = keys else {
                return Err(StorageError::NoneChosen {
                    path: source.path().into(),
                    problem: format!("its table of genes has no column of texts or integers called \"{key}\""),
                    remedy: Remedy::ChooseGeneKey { columns }.into(),
                });
            };
            Lists { keys, names: Some(names), columns: Some(columns) }
        }
    };
    let genes = source.genes();
    if lists.keys.len() != genes || lists.names.as_ref().is_some_and(|names| names.len() != genes) {
        return Err(invalid(source, format!("has {genes} genes, but {} names of them", lists.keys.len())));
    }
    Ok(lists)
}

fn invalid(source: &dyn Source, problem: String) -> StorageError {
    StorageError::InvalidDataset {
        path: source.path().into(),
        dataset: "var".into(),
        problem,
        remedy: "check that the files hold the same kind of genes".into(),
    }
}

/// The texts of a column of any encoding; `None` if it holds neither texts nor integers. A missing text
/// is empty.
fn texts(group: &Group, name: &str) -> hdf5::Result<Option<Vec<String>>> {
    if let Ok(list) = group.dataset(name) {
        return list_of(&list);
    }
    let Ok(parts) = group.group(name) else { return Ok(None) };
    if let Ok(values) = parts.dataset("values") {
        return list_of(&values);
    }
    let (Ok(codes), Ok(categories)) = (parts.dataset("codes"), parts.dataset("categories")) else { return Ok(None) };
    let Some(categories) = list_of(&categories)? else { return Ok(None) };
    let mut texts = Vec::with_capacity(codes.size());
    integers(&codes, |code| {
        let text = usize::try_from(code).ok().and_then(|code| categories.get(code));
        texts.push(text.cloned().unwrap_or_default());
    })?;
    Ok(Some(texts))
}

fn list_of(list: &Dataset) -> hdf5::Result<Option<Vec<String>>> {
    let mut texts = Vec::with_capacity(list.size());
    if let Some(column) = TextColumn::of(list, None)? {
        column.visit_all(|text| texts.push(String::from_utf8_lossy(text).into_owned()))?;
        return Ok(Some(texts));
    }
    let is_whole = integers(list, |number| texts.push(number.to_string()))?;
    Ok(is_whole.then_some(texts))
}

/// Calls `each` with the integers of a list. Returns false if it holds something else.
fn integers(list: &Dataset, mut each: impl FnMut(i128)) -> hdf5::Result<bool> {
    use crate::number::Scalar;
    let Some(number) = NumberType::of(&list.dtype()?)? else { return Ok(false) };
    if matches!(number.scalar, Scalar::F32 | Scalar::F64) {
        return Ok(false);
    }
    number.visit(list, None, |_, bytes| {
        with_scalar!(number.scalar, T => {
            bytes.chunks_exact(size_of::<T>()).for_each(|value| each(bytemuck::pod_read_unaligned::<T>(value).whole()));
        });
        Ok(())
    })?;
    Ok(true)
}
