//! The driver through which the HDF5 library writes files: it hands all reads and writes to a
//! [`Disk`].
//!
//! The files are those that the library's default driver writes, byte for byte.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_ulong, c_void};
use std::fs::OpenOptions;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::{ptr, slice};

use hdf5::plist::FileAccess;
use hdf5::sync::sync;
use hdf5::{File, Location, Result, from_id, h5check};
use hdf5_sys::h5f::{H5F_ACC_RDWR, H5F_ACC_TRUNC, H5Fcreate, H5Fopen};
use hdf5_sys::h5fd::{
    H5FD_FEAT_ACCUMULATE_METADATA, H5FD_FEAT_AGGREGATE_METADATA, H5FD_FEAT_AGGREGATE_SMALLDATA, H5FD_FEAT_DATA_SIEVE,
};
use hdf5_sys::h5i::hid_t;
use hdf5_sys::h5p::{H5P_DEFAULT, H5Pset_driver};

use super::disk::{Content, Disk};
use crate::StorageError;

/// The result of a function of the driver.
const OK: c_int = 0;
const FAILED: c_int = -1;

/// The type of memory that holds values (`H5FD_MEM_DRAW`). Names in the heap have another.
const VALUES: c_int = 3;

/// The files that are open, by the name that the library knows.
static OPEN: Mutex<BTreeMap<String, Arc<Disk>>> = Mutex::new(BTreeMap::new());

thread_local! {
    /// The file that this thread is creating.
    static NEXT: RefCell<Option<(String, Arc<Disk>)>> = const { RefCell::new(None) };
}

/// Creates an HDF5 file at `path`, which is UTF-8, and replaces any file there.
///
/// # Errors
///
/// - the file cannot be created
pub(super) fn create(path: &Path, access: &FileAccess) -> std::result::Result<(File, Arc<Disk>), StorageError> {
    begin(path, access, Beginning::Empty)
}

/// Opens the HDF5 file at `path`, which is UTF-8, to change it.
///
/// # Errors
///
/// - the file cannot be opened
pub(super) fn edit(path: &Path, access: &FileAccess) -> std::result::Result<(File, Arc<Disk>), StorageError> {
    begin(path, access, Beginning::Kept)
}

/// The content of a file when it is opened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beginning {
    /// None.
    Empty,
    /// The one that it has.
    Kept,
}

fn begin(
    path: &Path,
    access: &FileAccess,
    beginning: Beginning,
) -> std::result::Result<(File, Arc<Disk>), StorageError> {
    let action = if beginning == Beginning::Empty { "create" } else { "open" };
    let fail = |error| StorageError::io(action, path, error);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(beginning == Beginning::Empty).truncate(beginning == Beginning::Empty);
    let disk = Arc::new(Disk::new(options.open(path).map_err(fail)?));
    let begun = begin_on(&disk, &path.to_string_lossy(), access, beginning);
    if let Some(failure) = disk.failure() {
        return Err(fail(failure));
    }
    begun.map(|file| (file, disk)).map_err(|error| super::problem::problem(action, path, "/", &error))
}

fn begin_on(disk: &Arc<Disk>, name: &str, access: &FileAccess, beginning: Beginning) -> Result<File> {
    let c_name = CString::new(name).map_err(|_| "a path holds a zero byte")?;
    NEXT.set(Some((name.to_owned(), Arc::clone(disk))));
    // SAFETY: `access` is a live property list of this function's caller, the driver was registered
    // and is never removed, it takes no settings, and `c_name` outlives the call.
    let begun = sync(|| unsafe {
        if let Some(driver) = registered() {
            h5check(H5Pset_driver(access.id(), driver, ptr::null()))?;
        }
        from_id(h5check(match beginning {
            Beginning::Empty => H5Fcreate(c_name.as_ptr(), H5F_ACC_TRUNC, H5P_DEFAULT, access.id()),
            Beginning::Kept => H5Fopen(c_name.as_ptr(), H5F_ACC_RDWR, access.id()),
        })?)
    });
    NEXT.set(None);
    begun
}

/// The failure of the disk that the file of `at` is written to, as an error of the library.
///
/// # Errors
///
/// - a write to that file has failed
pub(super) fn check(at: &Location) -> Result<()> {
    // First the name: the library asks for the list of open files while it holds its own lock.
    let name = at.filename();
    let disk = OPEN.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
    match disk.and_then(|disk| disk.failure()) {
        Some(failure) => Err(super::problem::of_system(&failure)),
        None => Ok(()),
    }
}

/// The driver's identifier; `None` if the library has another interface for drivers than the one
/// that [`Class`] describes. Files are then written through the library's default driver.
fn registered() -> Option<hid_t> {
    static DRIVER: OnceLock<Option<hid_t>> = OnceLock::new();
    *DRIVER.get_or_init(|| {
        let (major, minor, _) = hdf5::library_version();
        if (major, minor) != (1, 10) && (major, minor) != (1, 12) {
            return None;
        }
        // SAFETY: the class has the layout of these releases, its name lives for ever, and the
        // library copies the rest.
        let id = sync(|| unsafe { H5FDregister(&raw const CLASS) });
        (id >= 0).then_some(id)
    })
}

unsafe extern "C" {
    // The binding has this function with another layout of the class.
    fn H5FDregister(class: *const Class) -> hid_t;
}

/// `H5FD_class_t` of the releases 1.10 and 1.12. Types of memory are integers here, because the
/// library may pass any.
#[repr(C)]
struct Class {
    name: *const c_char,
    max_address: u64,
    close_degree: c_int,
    terminate: Option<extern "C" fn() -> c_int>,
    superblock: [Option<extern "C" fn()>; 3],
    access_size: usize,
    access: [Option<extern "C" fn()>; 3],
    transfer_size: usize,
    transfer: [Option<extern "C" fn()>; 2],
    open: unsafe extern "C" fn(*const c_char, c_uint, hid_t, u64) -> *mut Opened,
    close: unsafe extern "C" fn(*mut Opened) -> c_int,
    compare: Option<extern "C" fn()>,
    query: unsafe extern "C" fn(*const Opened, *mut c_ulong) -> c_int,
    type_map: Option<extern "C" fn()>,
    allocate: Option<extern "C" fn()>,
    free: Option<extern "C" fn()>,
    get_end: unsafe extern "C" fn(*const Opened, c_int) -> u64,
    set_end: unsafe extern "C" fn(*mut Opened, c_int, u64) -> c_int,
    get_size: unsafe extern "C" fn(*const Opened, c_int) -> u64,
    handle: Option<extern "C" fn()>,
    read: unsafe extern "C" fn(*mut Opened, c_int, hid_t, u64, usize, *mut c_void) -> c_int,
    write: unsafe extern "C" fn(*mut Opened, c_int, hid_t, u64, usize, *const c_void) -> c_int,
    flush: Option<extern "C" fn()>,
    truncate: unsafe extern "C" fn(*mut Opened, hid_t, c_uint) -> c_int,
    lock: Option<extern "C" fn()>,
    unlock: Option<extern "C" fn()>,
    free_lists: [c_int; 7],
}

// SAFETY: the only pointer is to a constant.
unsafe impl Sync for Class {}

static CLASS: Class = Class {
    name: c"partwise".as_ptr(),
    max_address: i64::MAX as u64,
    // Weak, as in the default driver: the file is closed with its last object.
    close_degree: 1,
    terminate: None,
    superblock: [None; 3],
    access_size: 0,
    access: [None; 3],
    transfer_size: 0,
    transfer: [None; 2],
    open,
    close,
    // Without a comparison the library opens a new file once, not twice.
    compare: None,
    query,
    type_map: None,
    allocate: None,
    free: None,
    get_end,
    set_end,
    get_size,
    handle: None,
    read,
    write,
    flush: None,
    truncate,
    lock: None,
    unlock: None,
    // As in the default driver: values and heaps apart from all else.
    free_lists: [1, 1, 1, 3, 3, 1, 1],
};

/// An open file, as the library keeps it.
#[repr(C)]
struct Opened {
    /// The library's own part, `H5FD_t`: 80 bytes in the releases 1.10 and 1.12.
    library: [u64; 16],
    /// The end of the addresses in use.
    end: u64,
    /// The size of the file, as the library knows it.
    size: u64,
    name: String,
    disk: Arc<Disk>,
}

unsafe extern "C" fn open(name: *const c_char, _flags: c_uint, _access: hid_t, _max: u64) -> *mut Opened {
    // SAFETY: the library passes the name of the file, zero-terminated.
    let asked = unsafe { CStr::from_ptr(name) };
    // A file that `begin` has not opened is not written through this driver.
    let next = NEXT.take().filter(|(name, _)| name.as_bytes() == asked.to_bytes());
    let Some((name, disk)) = next else { return ptr::null_mut() };
    OPEN.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), Arc::clone(&disk));
    let size = disk.len();
    Box::into_raw(Box::new(Opened { library: [0; 16], end: 0, size, name, disk }))
}

unsafe extern "C" fn close(file: *mut Opened) -> c_int {
    // SAFETY: the library closes each file that `open` has returned once, and uses it no more.
    let file = unsafe { Box::from_raw(file) };
    OPEN.lock().unwrap_or_else(PoisonError::into_inner).remove(&file.name);
    OK
}

unsafe extern "C" fn query(_file: *const Opened, features: *mut c_ulong) -> c_int {
    let all = H5FD_FEAT_AGGREGATE_METADATA
        | H5FD_FEAT_ACCUMULATE_METADATA
        | H5FD_FEAT_DATA_SIEVE
        | H5FD_FEAT_AGGREGATE_SMALLDATA;
    // SAFETY: the library passes a place for the features, or null.
    if let Some(features) = unsafe { features.as_mut() } {
        *features = c_ulong::from(all);
    }
    OK
}

unsafe extern "C" fn get_end(file: *const Opened, _type: c_int) -> u64 {
    // SAFETY: the file is one that `open` has returned, and is open.
    unsafe { (*file).end }
}

unsafe extern "C" fn set_end(file: *mut Opened, _type: c_int, end: u64) -> c_int {
    // SAFETY: as in `get_end`; the library calls from one thread at a time.
    unsafe { (*file).end = end };
    OK
}

unsafe extern "C" fn get_size(file: *const Opened, _type: c_int) -> u64 {
    // SAFETY: as in `get_end`.
    unsafe { (*file).size }
}

unsafe extern "C" fn read(
    file: *mut Opened,
    _type: c_int,
    _transfer: hid_t,
    at: u64,
    count: usize,
    out: *mut c_void,
) -> c_int {
    if count == 0 {
        return OK;
    }
    // SAFETY: as in `set_end`; the library passes a buffer of `count` bytes.
    let (file, out) = unsafe { (&*file, slice::from_raw_parts_mut(out.cast::<u8>(), count)) };
    if file.disk.read(at, out).is_ok() { OK } else { FAILED }
}

unsafe extern "C" fn write(
    file: *mut Opened,
    kind: c_int,
    _transfer: hid_t,
    at: u64,
    count: usize,
    bytes: *const c_void,
) -> c_int {
    if count == 0 {
        return OK;
    }
    // SAFETY: as in `read`.
    let (file, bytes) = unsafe { (&mut *file, slice::from_raw_parts(bytes.cast::<u8>(), count)) };
    file.disk.write(at, bytes, if kind == VALUES { Content::Values } else { Content::Structure });
    file.size = file.size.max(at + count as u64);
    OK
}

unsafe extern "C" fn truncate(file: *mut Opened, _transfer: hid_t, _closing: c_uint) -> c_int {
    // SAFETY: as in `set_end`.
    let file = unsafe { &mut *file };
    if file.size != file.end {
        file.disk.set_len(file.end);
        file.size = file.end;
    }
    OK
}
