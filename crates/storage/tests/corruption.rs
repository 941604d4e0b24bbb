//! Damage is reported or harmless: one bit is flipped at every byte of every file of small stores,
//! and every file is cut at every length. No case panics, gives another answer, or allocates out of
//! proportion.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod planted;

use std::alloc::{GlobalAlloc, Layout as Request, System};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use partwise_storage::sampling::SampledRow;
use partwise_storage::{CellMoments, ErrorKind, GeneMoments, Quiet, StorageError, Store, Summary};
use planted::Planted;

/// The largest allocation so far.
static LARGEST: AtomicUsize = AtomicUsize::new(0);

/// More than reading these stores takes.
const LARGEST_ALLOWED: usize = 2 << 20;

struct Watched;

// SAFETY: every call is passed on unchanged.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, request: Request) -> *mut u8 {
        LARGEST.fetch_max(request.size(), Ordering::Relaxed);
        // SAFETY: the caller's contract is the same.
        unsafe { System.alloc(request) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, request: Request) {
        // SAFETY: the caller's contract is the same.
        unsafe { System.dealloc(memory, request) }
    }
}

#[global_allocator]
static WATCHED: Watched = Watched;

/// All answers of a store.
#[derive(Debug, PartialEq)]
struct Answer {
    values: Vec<f32>,
    summary: Summary,
    genes: Vec<GeneMoments>,
    cells: Vec<CellMoments>,
    fingerprint: String,
    sample: Vec<(SampledRow, Vec<f32>)>,
}

fn ask(path: &Path) -> Result<Answer, StorageError> {
    let store = Store::open(path)?;
    store.annotations()?;
    Ok(Answer {
        values: planted::values(&store)?,
        summary: store.summary(),
        genes: store.gene_moments().to_vec(),
        cells: store.cell_moments(0..store.cells())?,
        fingerprint: store.fingerprint(),
        sample: planted::sample(&store)?,
    })
}

/// Checks a damaged store: its answer, if it gives one, is unchanged, and its verification fails.
fn assert_noticed(path: &Path, whole: &Answer, damage: &str) {
    match ask(path) {
        Ok(answer) => assert!(answer == *whole, "another answer after {damage}"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::BadData, "after {damage}: {error}"),
    }
    let verified = Store::open(path).and_then(|store| store.verify(&Quiet));
    assert!(verified.is_err(), "{damage} was not noticed");
}

fn files(store: &Path) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = fs::read_dir(store).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn assert_damage_is_noticed(planted: &Planted, hurt: impl Fn(&Path, &[u8], &dyn Fn(&str))) {
    let folder = tempfile::tempdir().unwrap();
    let path = planted.store(folder.path());
    let whole = ask(&path).unwrap();
    assert!(whole.values == planted.values);
    Store::open(&path).unwrap().verify(&Quiet).unwrap();
    let files = files(&path);
    assert_eq!(files.len(), if planted.name == "dense" { 7 } else { 8 });
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let content = fs::read(&file).unwrap();
        hurt(&file, &content, &|damage| assert_noticed(&path, &whole, &format!("{damage} of {}/{name}", planted.name)));
        fs::write(&file, content).unwrap();
    }
    assert_eq!(ask(&path).unwrap(), whole);
    let largest = LARGEST.load(Ordering::Relaxed);
    assert!(largest <= LARGEST_ALLOWED, "{largest} bytes were asked for at once");
}

fn flip_every_byte(file: &Path, content: &[u8], check: &dyn Fn(&str)) {
    // One byte is changed in place: rewriting the file would sync it each time.
    let open = fs::OpenOptions::new().write(true).open(file).unwrap();
    for (place, &byte) in content.iter().enumerate() {
        let bit = place * 5 % 8;
        open.write_all_at(&[byte ^ 1 << bit], place as u64).unwrap();
        check(&format!("flipping bit {bit} of byte {place}"));
        open.write_all_at(&[byte], place as u64).unwrap();
    }
}

fn cut_at_every_length(file: &Path, content: &[u8], check: &dyn Fn(&str)) {
    let open = fs::OpenOptions::new().write(true).open(file).unwrap();
    for length in (0..content.len()).rev() {
        open.set_len(length as u64).unwrap();
        check(&format!("cutting to {length} bytes"));
    }
}

#[test]
fn a_flipped_bit_in_a_sparse_store() {
    assert_damage_is_noticed(&planted::sparse(), flip_every_byte);
}

#[test]
fn a_flipped_bit_in_a_store_of_packed_rows() {
    assert_damage_is_noticed(&planted::shallow(), flip_every_byte);
}

#[test]
fn a_flipped_bit_in_a_dense_store() {
    assert_damage_is_noticed(&planted::dense(), flip_every_byte);
}

#[test]
fn a_sparse_store_cut_short() {
    assert_damage_is_noticed(&planted::sparse(), cut_at_every_length);
}

#[test]
fn a_dense_store_cut_short() {
    assert_damage_is_noticed(&planted::dense(), cut_at_every_length);
}

#[test]
fn a_missing_file() {
    for planted in [planted::sparse(), planted::dense()] {
        let folder = tempfile::tempdir().unwrap();
        let path = planted.store(folder.path());
        for file in files(&path) {
            let content = fs::read(&file).unwrap();
            fs::remove_file(&file).unwrap();
            let error = Store::open(&path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadData, "without {}: {error}", file.display());
            fs::write(&file, content).unwrap();
        }
    }
}
