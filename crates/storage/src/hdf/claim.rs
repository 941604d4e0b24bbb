//! Checks what a file claims about its data against the size of the file, before memory is taken.
//!
//! The rule: a number from a file decides no allocation alone. Sizes that a file of this length
//! cannot have are bad data, and are found here. Sizes that it can have are counted against the
//! budget, by the plan of the work that reads them. Lists are read in pieces of bounded size, so
//! that their length costs nothing.

use hdf5::Dataset;
use hdf5::plist::dataset_create::{FillTime, FillValue, Layout};

use super::filter;
use super::raw::{self, Class};

/// The most bytes into which deflate unpacks a byte. The other filters of the library unpack less.
const UNPACKED: u64 = 1032;

/// Bytes that may be claimed of any file: headers and tiny chunks.
const SMALL: u64 = 1 << 20;

/// Why a file as long as that of `dataset` cannot hold it, if it cannot, as a predicate.
pub(crate) fn wrong(dataset: &Dataset) -> Option<String> {
    let file = std::fs::metadata(dataset.filename()).ok()?.len();
    let element = dataset.dtype().map_or(1, |datatype| datatype.size());
    let stored = dataset.storage_size();
    if let Some(problem) = unwritten(dataset, stored) {
        return Some(problem);
    }
    let Some(chunk) = dataset.chunk() else {
        return (lies_here(dataset) && stored > file)
            .then(|| format!("has {stored} bytes, but the file has only {file}"));
    };
    let bytes = chunk.iter().product::<usize>().saturating_mul(element) as u64;
    let most = match dataset.filters().is_empty() {
        // Nothing is known of the filters of plugins, and a dataset without values has no chunk.
        _ if stored == 0 || !filter::are_exact(dataset) => return None,
        true => file,
        false => file.saturating_mul(UNPACKED),
    };
    if bytes > most.max(SMALL) {
        return Some(format!("has chunks of {bytes} bytes, which a file of {file} bytes cannot hold"));
    }
    // Strings of any length and the like have other sizes in the file than in memory.
    let is_plain = dataset.dtype().is_ok_and(|datatype| {
        matches!(raw::class(&datatype), Class::Integer { .. } | Class::Float | Class::Enum | Class::FixedString)
    });
    misplaced(dataset, &chunk, is_plain.then_some(bytes))
}

/// Why values would be whatever the memory held, if they would: some were never written, and there is no
/// value in their place.
fn unwritten(dataset: &Dataset, stored: u64) -> Option<String> {
    let created = dataset.create_plist().ok()?;
    let has_other = match created.get_fill_time().ok()? {
        FillTime::Never => false,
        FillTime::IfSet => created.get_fill_value_defined().ok()? != FillValue::Undefined,
        FillTime::Alloc => true,
    };
    if has_other || dataset.size() == 0 || !lies_here(dataset) {
        return None;
    }
    let missing = match dataset.chunk() {
        None => stored == 0,
        Some(chunk) => {
            let grid = dataset.shape().into_iter().zip(chunk).map(|(side, chunk)| side.div_ceil(chunk.max(1)));
            grid.product::<usize>() > dataset.num_chunks().unwrap_or(0)
        }
    };
    missing.then(|| "has values that were never written, and no fill value for them".into())
}

/// The most chunks whose records are checked: each check walks over all of them.
const MOST_CHUNKS: usize = 1 << 13;

/// Why chunks of `dataset` would be misread, if they would. A chunk whose place in the index is damaged is
/// not found, and the library reads it as zeros; so it does if the list of its filters is. Of a chunk that
/// no filter has changed it reads as much as the record says, and leaves the rest as the memory was.
///
/// `bytes`: the size of a chunk that no filter has changed, if it is known.
fn misplaced(dataset: &Dataset, chunk: &[usize], bytes: Option<u64>) -> Option<String> {
    let shape = dataset.shape();
    if chunk.len() != shape.len() {
        return Some(format!("has chunks of {} dimensions, but {} itself", chunk.len(), shape.len()));
    }
    let grid: Vec<usize> = shape.iter().zip(chunk).map(|(&side, &chunk)| side.div_ceil(chunk.max(1))).collect();
    let places = grid.iter().try_fold(1_usize, |all, &side| all.checked_mul(side))?;
    let stored = dataset.num_chunks()?;
    if places > MOST_CHUNKS || stored == 0 {
        return None;
    }
    let filters = dataset.filters().len() as u32;
    let (mut found, mut first) = (0, vec![0; chunk.len()]);
    for place in 0..places {
        let mut rest = place;
        for axis in (0..grid.len()).rev() {
            first[axis] = rest % grid[axis] * chunk[axis];
            rest /= grid[axis];
        }
        if let Some(record) = raw::chunk_record(dataset, &first).ok()? {
            if record.left_out.checked_shr(filters).is_some_and(|beyond| beyond != 0) {
                return Some(format!("has a chunk that leaves out filters that it does not have, at {first:?}"));
            }
            let expected = bytes.filter(|&bytes| record.left_out.count_ones() == filters && record.bytes != bytes);
            if let Some(expected) = expected {
                return Some(format!("has a chunk of {} bytes at {first:?}, expected {expected}", record.bytes));
            }
            found += 1;
        }
        if found == stored {
            return None;
        }
    }
    Some(format!("has {stored} chunks, but only {found} of them are where its index says"))
}

/// Whether the values of a dataset lie in its own file.
fn lies_here(dataset: &Dataset) -> bool {
    let created = dataset.create_plist();
    created.is_ok_and(|created| created.layout() != Layout::Virtual && created.external().is_empty())
}

#[cfg(test)]
mod tests {
    use hdf5::plist::dataset_create::AllocTime;

    use super::*;

    #[test]
    fn values_that_were_never_written_need_a_fill_value() {
        let folder = tempfile::tempdir().unwrap();
        let file = hdf5::File::create(folder.path().join("x.h5")).unwrap();
        let list = |name: &str, chunk: Option<usize>, fill_time| {
            let mut list = file.new_dataset::<f32>().shape(100).fill_time(fill_time);
            list = match chunk {
                Some(chunk) => list.chunk(chunk).alloc_time(Some(AllocTime::Incr)),
                None => list.no_chunk().alloc_time(Some(AllocTime::Late)),
            };
            list.create(name).unwrap()
        };
        for (name, chunk) in [("chunks", Some(30)), ("whole", None)] {
            let never = list(name, chunk, FillTime::Never);
            assert!(wrong(&never).is_some_and(|problem| problem.contains("never written")), "{name}");
            assert_eq!(wrong(&list(&format!("{name} of zeros"), chunk, FillTime::IfSet)), None);
            never.write_raw(&[1.0_f32; 100]).unwrap();
            assert_eq!(wrong(&never), None, "{name}");
        }
    }
}
