//! HDF5 calls that the binding lacks in the form that bulk reading needs. All `unsafe` code around
//! HDF5 is here and in `driver`.
//!
//! Calls that write values return an error once the disk has failed.
//!
//! The binding reads a box into a new array. Streaming needs the caller's buffer, a memory type
//! chosen at run time (one field of a compound, an enum as its integers), strings visited one at a
//! time, and a chunk cache per dataset. Every call takes the library's process-wide lock through
//! [`sync`], which also counts it for the [watch](crate::crash::call_under_way).

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr;

use super::cache::ChunkNeed;
use super::{decoders, driver};
use crate::{crash, traffic};
use bytemuck::Pod;
use hdf5::{Attribute, Dataset, Dataspace, Datatype, Group, Location, Result, from_id, h5check};
use hdf5_sys::h5::{HADDR_UNDEF, herr_t, hsize_t};
use hdf5_sys::h5a::{H5Acreate2, H5Aread, H5Awrite};
use hdf5_sys::h5d::H5Dget_chunk_info_by_coord;
use hdf5_sys::h5d::{
    H5D_layout_t, H5Dcreate2, H5Dget_create_plist, H5Dopen2, H5Dread, H5Dread_chunk1, H5Dvlen_reclaim, H5Dwrite,
};
use hdf5_sys::h5i::hid_t;
use hdf5_sys::h5p::{
    H5P_CLS_DATASET_ACCESS, H5P_CLS_DATASET_CREATE, H5P_CLS_DATASET_XFER, H5P_DEFAULT, H5Pclose, H5Pcreate,
    H5Pget_layout, H5Pget_virtual_count, H5Pget_virtual_dsetname, H5Pget_virtual_filename, H5Pset_buffer,
    H5Pset_chunk_cache, H5Pset_obj_track_times, H5Pset_vlen_mem_manager,
};
use hdf5_sys::h5s::{H5S_SELECT_SET, H5Sselect_hyperslab, H5Sselect_none};
use hdf5_sys::h5t::{
    H5T_class_t, H5T_direction_t, H5T_sign_t, H5T_str_t, H5Tcopy, H5Tcreate, H5Tdetect_class, H5Tget_class,
    H5Tget_member_name, H5Tget_member_type, H5Tget_native_type, H5Tget_nmembers, H5Tget_sign, H5Tget_size, H5Tinsert,
    H5Tis_variable_str, H5Tset_strpad,
};

/// Calls the library under its lock.
fn sync<T>(call: impl FnOnce() -> T) -> T {
    crash::count_call();
    let done = hdf5::sync::sync(call);
    traffic::ended();
    done
}

/// The kinds of datatypes that readers distinguish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Signed or unsigned integer.
    Integer { signed: bool },
    /// Floating point.
    Float,
    /// Enumeration; h5py stores booleans as one.
    Enum,
    /// Strings of one length, padded.
    FixedString,
    /// Strings of any length, in the file's heap.
    VariableString,
    /// A record of named fields.
    Compound,
    /// A reference to another object of the file.
    Reference,
    /// Anything else.
    Other,
}

/// The class of a datatype.
pub(crate) fn class(datatype: &Datatype) -> Class {
    let id = datatype.id();
    // SAFETY: `id` is a live datatype for as long as `datatype` is borrowed; these calls only
    // inspect it.
    sync(|| unsafe {
        match H5Tget_class(id) {
            H5T_class_t::H5T_INTEGER => Class::Integer { signed: H5Tget_sign(id) == H5T_sign_t::H5T_SGN_2 },
            H5T_class_t::H5T_FLOAT => Class::Float,
            H5T_class_t::H5T_ENUM => Class::Enum,
            H5T_class_t::H5T_STRING if H5Tis_variable_str(id) > 0 => Class::VariableString,
            H5T_class_t::H5T_STRING => Class::FixedString,
            H5T_class_t::H5T_COMPOUND => Class::Compound,
            H5T_class_t::H5T_REFERENCE => Class::Reference,
            _ => Class::Other,
        }
    })
}

/// The type of the same values in memory, with the machine's byte order and alignment.
pub(crate) fn native(datatype: &Datatype) -> Result<Datatype> {
    // SAFETY: the id is live while `datatype` is borrowed; the new id is owned by the returned
    // handle.
    sync(|| unsafe { from_id(h5check(H5Tget_native_type(datatype.id(), H5T_direction_t::H5T_DIR_ASCEND))?) })
}

/// The fields of a compound datatype in their order in the file.
pub(crate) fn fields(datatype: &Datatype) -> Result<Vec<(String, Datatype)>> {
    let id = datatype.id();
    // SAFETY: the id is live while `datatype` is borrowed, members are asked for within the count
    // just read, and the name returned by the library is copied, then freed with the library's own
    // function.
    sync(|| unsafe {
        let count = h5check(H5Tget_nmembers(id))?;
        (0..count as u32)
            .map(|i| {
                let name = H5Tget_member_name(id, i);
                if name.is_null() {
                    return Err(format!("field {i} has no name").into());
                }
                let owned = CStr::from_ptr(name).to_string_lossy().into_owned();
                hdf5_sys::h5::H5free_memory(name.cast());
                Ok((owned, from_id(h5check(H5Tget_member_type(id, i))?)?))
            })
            .collect()
    })
}

/// A compound type of one field. Reading a dataset of records with it reads only that field.
pub(crate) fn record_of(field: &str, datatype: &Datatype) -> Result<Datatype> {
    let name = CString::new(field).map_err(|_| "a field's name holds a zero byte")?;
    // SAFETY: both ids are live during the call, `name` outlives it, and the field fills the record
    // exactly.
    sync(|| unsafe {
        let size = H5Tget_size(datatype.id());
        let id = h5check(H5Tcreate(H5T_class_t::H5T_COMPOUND, size))?;
        let record: Datatype = from_id(id)?;
        h5check(H5Tinsert(record.id(), name.as_ptr(), 0, datatype.id()))?;
        Ok(record)
    })
}

/// Opens a dataset with a chunk cache of its own that holds `need.chunks` chunks.
///
/// Chunks that were read whole leave the cache first.
pub(crate) fn open_dataset(parent: &Group, name: &str, need: ChunkNeed) -> Result<Dataset> {
    let c_name = CString::new(name).map_err(|_| "a name holds a zero byte")?;
    // More slots than chunks, so that neighbours do not drive each other out.
    let slots = (2 * need.chunks + 1).max(521);
    // SAFETY: the property list is created here and closed on every path; `c_name` outlives the
    // call.
    sync(|| unsafe {
        let list = h5check(H5Pcreate(*H5P_CLS_DATASET_ACCESS))?;
        let opened = h5check(H5Pset_chunk_cache(list, slots, need.cache, 1.0))
            .and_then(|_| h5check(H5Dopen2(parent.id(), c_name.as_ptr(), list)));
        H5Pclose(list);
        from_id(opened?)
    })
}

/// Reads the box `first .. first + counts` into `out`.
///
/// # Panics
///
/// When `out` does not have exactly the bytes of the box in the memory type.
pub(crate) fn read<T: Pod>(
    dataset: &Dataset,
    memory: &Datatype,
    first: &[usize],
    counts: &[usize],
    out: &mut [T],
) -> Result<()> {
    assert_eq!(
        size_of_val(out),
        counts.iter().product::<usize>() * memory.size(),
        "buffer and box have the same bytes"
    );
    if out.is_empty() {
        return Ok(());
    }
    let (in_file, in_memory) = spaces(dataset, first, counts)?;
    decoders::reading(dataset, || {
        // SAFETY: `out` is plain old data with exactly the bytes of the box in the memory type
        // (asserted). That type holds no pointers (variable-length strings have their own function).
        sync(|| unsafe {
            let out = out.as_mut_ptr().cast();
            h5check(H5Dread(dataset.id(), memory.id(), in_memory.id(), in_file.id(), H5P_DEFAULT, out))
        })
    })?;
    Ok(())
}

/// Reads the packed bytes of the chunk that begins with the element `first` of a list. Returns which
/// filters were left out for it, a bit for each.
///
/// # Errors
///
/// - there is no such chunk, it has more than `most` bytes, or it cannot be read
pub(crate) fn read_chunk(dataset: &Dataset, first: usize, most: usize, out: &mut Vec<u8>) -> Result<u32> {
    let at = first as hsize_t;
    let (mut bytes, mut mask) = (0, 0);
    // SAFETY: the id is live while `dataset` is borrowed, and `at` and `bytes` outlive the call. The
    // dataset has one dimension, so that one number is a place in it.
    sync(|| unsafe { h5check(H5Dget_chunk_storage_size(dataset.id(), &raw const at, &raw mut bytes)) })?;
    let bytes = usize::try_from(bytes).ok().filter(|&bytes| bytes > 0 && bytes <= most);
    let Some(bytes) = bytes else { return Err("a chunk has no usable size".into()) };
    out.resize(bytes, 0);
    // SAFETY: as above. The library writes the packed bytes of the chunk, whose number it has just
    // given, into `out`.
    sync(|| unsafe {
        let out = out.as_mut_ptr().cast();
        h5check(H5Dread_chunk1(dataset.id(), H5P_DEFAULT, &raw const at, &raw mut mask, out))
    })?;
    Ok(mask)
}

/// The record of a chunk in the index of its dataset.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChunkRecord {
    /// Which filters were left out for it, a bit for each.
    pub(crate) left_out: u32,
    /// Its bytes in the file.
    pub(crate) bytes: u64,
}

/// The record of the chunk that begins at the element `first`; `None` if no chunk is stored there. Costs a
/// walk over the index of chunks.
///
/// # Errors
///
/// - the index cannot be read
pub(crate) fn chunk_record(dataset: &Dataset, first: &[usize]) -> Result<Option<ChunkRecord>> {
    assert_eq!(first.len(), dataset.ndim(), "a place in the dataset");
    let at: Vec<hsize_t> = first.iter().map(|&at| at as hsize_t).collect();
    let (mut mask, mut place, mut bytes) = (0, HADDR_UNDEF, 0);
    // SAFETY: the id is live while `dataset` is borrowed; `at` has a number for each dimension (asserted),
    // and all of them outlive the call.
    sync(|| unsafe {
        let (mask, place, bytes) = (&raw mut mask, &raw mut place, &raw mut bytes);
        h5check(H5Dget_chunk_info_by_coord(dataset.id(), at.as_ptr(), mask, place, bytes))
    })?;
    Ok((place != HADDR_UNDEF && bytes > 0).then_some(ChunkRecord { left_out: mask, bytes }))
}

unsafe extern "C" {
    /// Since HDF5 1.10.2; the binding lacks it.
    fn H5Dget_chunk_storage_size(dataset: hid_t, offset: *const hsize_t, bytes: *mut hsize_t) -> herr_t;
}

/// Writes `data` into the box `first .. first + counts`.
///
/// # Panics
///
/// When `data` does not have exactly the bytes of the box in the memory type.
pub(crate) fn write<T: Pod>(
    dataset: &Dataset,
    memory: &Datatype,
    first: &[usize],
    counts: &[usize],
    data: &[T],
) -> Result<()> {
    assert_eq!(size_of_val(data), counts.iter().product::<usize>() * memory.size(), "data and box have the same bytes");
    driver::check(dataset)?;
    if data.is_empty() {
        return Ok(());
    }
    let (in_file, in_memory) = spaces(dataset, first, counts)?;
    // SAFETY: `data` holds exactly the bytes that the box takes in the memory type (asserted).
    sync(|| unsafe {
        h5check(H5Dwrite(dataset.id(), memory.id(), in_memory.id(), in_file.id(), H5P_DEFAULT, data.as_ptr().cast()))
    })?;
    Ok(())
}

/// A string type of one length, whose values in memory are padded with zero bytes.
pub(crate) fn zero_padded(datatype: &Datatype) -> Result<Datatype> {
    // SAFETY: the id is live while `datatype` is borrowed; the new id is owned by the handle.
    sync(|| unsafe {
        let copy: Datatype = from_id(h5check(H5Tcopy(datatype.id()))?)?;
        h5check(H5Tset_strpad(copy.id(), H5T_str_t::H5T_STR_NULLPAD))?;
        Ok(copy)
    })
}

/// Memory of one size for the strings of a box.
pub(crate) struct Arena {
    bytes: Vec<u8>,
    used: usize,
    /// Whether a string did not fit.
    full: bool,
}

impl Arena {
    /// Memory for strings of `size` bytes together, with the zero byte after each.
    pub(crate) fn new(size: usize) -> Arena {
        Arena { bytes: vec![0; size], used: 0, full: false }
    }
}

/// Gives the library memory of an [`Arena`].
///
/// # Safety
///
/// `arena` is a live `Arena` that nothing else uses during the call.
unsafe extern "C" fn take(size: usize, arena: *mut c_void) -> *mut c_void {
    // SAFETY: the caller's contract.
    let arena = unsafe { &mut *arena.cast::<Arena>() };
    if size > arena.bytes.len() - arena.used {
        arena.full = true;
        return ptr::null_mut();
    }
    // SAFETY: at least `size` bytes follow, as was just checked.
    let free = unsafe { arena.bytes.as_mut_ptr().add(arena.used) };
    arena.used += size;
    free.cast()
}

/// Takes memory back from the library: an arena is freed as a whole.
unsafe extern "C" fn give_back(_memory: *mut c_void, _arena: *mut c_void) {}

/// Bytes of the buffer in which the library converts strings, instead of a MiB or two that it clears for
/// each call.
const CONVERTED: usize = 64 << 10;

/// Reads the variable-length strings of a box and calls `each` with the bytes of each in order.
/// Returns false, without a call, if they do not fit into `arena`.
///
/// A scalar string is the box `[]` at `[]`. `memory` is a variable-length string type, or a record
/// with one field of that type.
///
/// # Panics
///
/// When `memory` is not the size of a pointer.
pub(crate) fn visit_strings(
    dataset: &Dataset,
    memory: &Datatype,
    first: &[usize],
    counts: &[usize],
    arena: &mut Arena,
    mut each: impl FnMut(&[u8]),
) -> Result<bool> {
    assert_eq!(memory.size(), size_of::<*mut c_char>(), "a string type is a pointer in memory");
    let count = counts.iter().product();
    if count == 0 {
        return Ok(true);
    }
    let (in_file, in_memory) = spaces(dataset, first, counts)?;
    let mut strings: Vec<*mut c_char> = vec![ptr::null_mut(); count];
    (arena.used, arena.full) = (0, false);
    let place = ptr::from_mut(arena).cast();
    // SAFETY: the list of properties is created here and closed after the only call that uses it.
    // The library fills `count` pointers, each null or a zero-terminated string in memory that
    // `take` gave it from `arena`. The arena is borrowed for the whole call, is not touched here
    // meanwhile, and the strings are not used after.
    unsafe {
        let read = decoders::reading(dataset, || {
            sync(|| {
                let list = h5check(H5Pcreate(*H5P_CLS_DATASET_XFER))?;
                let read = h5check(H5Pset_vlen_mem_manager(list, Some(take), place, Some(give_back), place))
                    .and_then(|_| h5check(H5Pset_buffer(list, CONVERTED, ptr::null_mut(), ptr::null_mut())))
                    .and_then(|_| {
                        let out = strings.as_mut_ptr().cast();
                        h5check(H5Dread(dataset.id(), memory.id(), in_memory.id(), in_file.id(), list, out))
                    });
                H5Pclose(list);
                read
            })
        });
        if arena.full {
            return Ok(false);
        }
        read?;
        for &s in &strings {
            each(if s.is_null() { b"" } else { CStr::from_ptr(s).to_bytes() });
        }
    }
    Ok(true)
}

/// Writes variable-length strings from `first` on.
pub(crate) fn write_strings(dataset: &Dataset, memory: &Datatype, first: usize, strings: &[CString]) -> Result<()> {
    assert_eq!(memory.size(), size_of::<*const c_char>(), "a string type is a pointer in memory");
    driver::check(dataset)?;
    if strings.is_empty() {
        return Ok(());
    }
    let (in_file, in_memory) = spaces(dataset, &[first], &[strings.len()])?;
    let pointers: Vec<*const c_char> = strings.iter().map(|s| s.as_ptr()).collect();
    // SAFETY: the list of properties is created here and closed after the only call that uses it. Each
    // pointer is a zero-terminated string that outlives the call, and there are as many as the box has
    // elements.
    sync(|| unsafe {
        let list = h5check(H5Pcreate(*H5P_CLS_DATASET_XFER))?;
        let written = h5check(H5Pset_buffer(list, CONVERTED, ptr::null_mut(), ptr::null_mut())).and_then(|_| {
            let values = pointers.as_ptr().cast();
            h5check(H5Dwrite(dataset.id(), memory.id(), in_memory.id(), in_file.id(), list, values))
        });
        H5Pclose(list);
        written.map(drop)
    })
}

/// Creates the dataset `name` in `to` with the type of `source` and this shape, without its values and
/// attributes. With `chunks` it has the chunks and filters of `source`, otherwise none.
///
/// The new dataset has no modification times, and its values lie in its own file. `None` if values
/// are references.
pub(crate) fn create_like(
    source: &Dataset,
    to: &Group,
    name: &str,
    shape: &[usize],
    chunks: bool,
) -> Result<Option<Dataset>> {
    let c_name = CString::new(name).map_err(|_| "a name holds a zero byte")?;
    let (datatype, space) = (source.dtype()?, Dataspace::try_new(shape)?);
    if holds_references(&datatype) {
        return Ok(None);
    }
    // SAFETY: all ids are live during the calls, the list and the copy of the type are owned here
    // and closed on every path, and `c_name` outlives the call that reads it.
    sync(|| unsafe {
        // A copy is independent of the source's file, where the type may have a name.
        let datatype: Datatype = from_id(h5check(H5Tcopy(datatype.id()))?)?;
        let mut list = h5check(H5Dget_create_plist(source.id()))?;
        if !chunks || H5Pget_layout(list) != H5D_layout_t::H5D_CHUNKED {
            H5Pclose(list);
            list = h5check(H5Pcreate(*H5P_CLS_DATASET_CREATE))?;
        }
        let created = h5check(H5Pset_obj_track_times(list, 0)).and_then(|_| {
            let (at, kind) = (to.id(), datatype.id());
            h5check(H5Dcreate2(at, c_name.as_ptr(), kind, space.id(), H5P_DEFAULT, list, H5P_DEFAULT))
        });
        H5Pclose(list);
        from_id(created?).map(Some)
    })
}

/// The sources of a virtual dataset: the file, `.` for its own, and the name of each.
pub(crate) fn virtual_sources(dataset: &Dataset) -> Result<Vec<(String, String)>> {
    // SAFETY: the list is owned here and closed after the calls, sources are asked for within the
    // count just read, and each text is as long as its length, which the library was asked for.
    sync(|| unsafe {
        let list = h5check(H5Dget_create_plist(dataset.id()))?;
        let text = |call: unsafe extern "C" fn(hid_t, usize, *mut c_char, usize) -> isize, index| -> Result<String> {
            let len = usize::try_from(call(list, index, ptr::null_mut(), 0)).map_err(|_| "a source has no name")?;
            let mut bytes = vec![0_u8; len + 1];
            call(list, index, bytes.as_mut_ptr().cast(), bytes.len());
            bytes.truncate(len);
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let mut count = 0;
        let sources = h5check(H5Pget_virtual_count(list, &raw mut count)).and_then(|_| {
            (0..count)
                .map(|i| Ok((text(H5Pget_virtual_filename, i)?, text(H5Pget_virtual_dsetname, i)?)))
                .collect::<Result<_>>()
        });
        H5Pclose(list);
        sources
    })
}

/// Copies the box `first .. first + counts` of one dataset to the same box of another, through
/// `scratch`.
///
/// `memory` is the [native](native) type of both, which may hold pointers but no references.
pub(crate) fn copy_box(
    from: &Dataset,
    to: &Dataset,
    memory: &Datatype,
    first: &[usize],
    counts: &[usize],
    scratch: &mut Vec<u64>,
) -> Result<()> {
    driver::check(to)?;
    let ((in_file, in_memory), (in_copy, _)) = (spaces(from, first, counts)?, spaces(to, first, counts)?);
    // Zeroed, because the library frees any pointer that it finds there.
    scratch.clear();
    scratch.resize((counts.iter().product::<usize>() * memory.size()).div_ceil(8), 0);
    let values = scratch.as_mut_ptr().cast();
    decoders::reading(from, || {
        // SAFETY: `scratch` has the bytes of the box in the memory type and its alignment. Pointers in
        // it are the library's own: it allocates them in the read, follows them in the write and frees
        // them afterwards, and they are not used after.
        sync(|| unsafe {
            let (kind, memory) = (memory.id(), in_memory.id());
            h5check(H5Dread(from.id(), kind, memory, in_file.id(), H5P_DEFAULT, values))?;
            let written = h5check(H5Dwrite(to.id(), kind, memory, in_copy.id(), H5P_DEFAULT, values));
            h5check(H5Dvlen_reclaim(kind, memory, H5P_DEFAULT, values))?;
            written.map(drop)
        })
    })
}

/// Copies the attributes of `from` to `to`, which has none of their names. References are skipped:
/// they mean nothing in another file.
pub(crate) fn copy_attributes(from: &Location, to: &Location) -> Result<()> {
    for name in from.attr_names()? {
        let attribute = from.attr(&name)?;
        let (datatype, space) = (attribute.dtype()?, attribute.space()?);
        if holds_references(&datatype) {
            continue;
        }
        let c_name = CString::new(name).map_err(|_| "a name holds a zero byte")?;
        let memory = native(&datatype)?;
        let count = space.size();
        let mut scratch = vec![0_u64; (count * memory.size()).div_ceil(8)];
        let values = scratch.as_mut_ptr().cast();
        // SAFETY: as in `copy_box`; the attribute has as many elements as its space, and `c_name`
        // outlives the call.
        sync(|| unsafe {
            let datatype: Datatype = from_id(h5check(H5Tcopy(datatype.id()))?)?;
            let created = H5Acreate2(to.id(), c_name.as_ptr(), datatype.id(), space.id(), H5P_DEFAULT, H5P_DEFAULT);
            let copy: Attribute = from_id(h5check(created)?)?;
            if count == 0 {
                return Ok(());
            }
            h5check(H5Aread(attribute.id(), memory.id(), values))?;
            let written = h5check(H5Awrite(copy.id(), memory.id(), values));
            h5check(H5Dvlen_reclaim(memory.id(), space.id(), H5P_DEFAULT, values))?;
            written.map(drop)
        })?;
    }
    Ok(())
}

/// Whether a type contains references.
fn holds_references(datatype: &Datatype) -> bool {
    // SAFETY: the id is live while `datatype` is borrowed; the call only inspects it.
    sync(|| unsafe { H5Tdetect_class(datatype.id(), H5T_class_t::H5T_REFERENCE) != 0 })
}

/// The strings of an attribute of a variable-length string type, in order.
pub(crate) fn attribute_strings(attribute: &Attribute, memory: &Datatype) -> Result<Vec<Vec<u8>>> {
    assert_eq!(memory.size(), size_of::<*mut c_char>(), "a string type is a pointer in memory");
    let space = attribute.space()?;
    let mut strings: Vec<*mut c_char> = vec![ptr::null_mut(); space.size()];
    // SAFETY: as in `visit_strings`; the attribute has as many elements as its space says.
    sync(|| unsafe {
        h5check(H5Aread(attribute.id(), memory.id(), strings.as_mut_ptr().cast()))?;
        let copies =
            strings.iter().map(|&s| if s.is_null() { Vec::new() } else { CStr::from_ptr(s).to_bytes().to_vec() });
        let copies = copies.collect();
        h5check(H5Dvlen_reclaim(memory.id(), space.id(), H5P_DEFAULT, strings.as_mut_ptr().cast()))?;
        Ok(copies)
    })
}

/// The bytes of an attribute with a type that holds no pointers.
pub(crate) fn attribute_bytes(attribute: &Attribute, memory: &Datatype) -> Result<Vec<u8>> {
    assert!(class(memory) != Class::VariableString, "a string type is a pointer in memory");
    let mut bytes = vec![0_u8; attribute.space()?.size() * memory.size()];
    // SAFETY: the buffer has the bytes of all elements in the memory type, which are plain data.
    sync(|| unsafe { h5check(H5Aread(attribute.id(), memory.id(), bytes.as_mut_ptr().cast())) })?;
    Ok(bytes)
}

/// Makes the library return freed memory instead of keeping it.
///
/// Its free lists otherwise hold up to 16 MiB of chunk buffers, which matters to a process with a
/// budget of 64 MiB.
pub(crate) fn keep_little_memory() {
    const LIST: i32 = 64 << 10;
    const ALL: i32 = 512 << 10;
    // SAFETY: sets six numbers in the library; it is initialised by `sync`.
    sync(|| unsafe { hdf5_sys::h5::H5set_free_list_limits(ALL, LIST, ALL, LIST, ALL, LIST) });
}

/// The dataspaces of a box in the file and in memory.
fn spaces(dataset: &Dataset, first: &[usize], counts: &[usize]) -> Result<(Dataspace, Dataspace)> {
    let space = dataset.space()?;
    let shape = space.shape();
    let inside = shape.len() == first.len()
        && shape.len() == counts.len()
        && (0..shape.len()).all(|d| first[d].checked_add(counts[d]).is_some_and(|end| end <= shape[d]));
    if !inside {
        return Err(format!("box {counts:?} at {first:?} is outside a dataset of shape {shape:?}").into());
    }
    if shape.is_empty() {
        return Ok((space, Dataspace::try_new(())?));
    }
    let offset: Vec<u64> = first.iter().map(|&v| v as u64).collect();
    let extent: Vec<u64> = counts.iter().map(|&v| v as u64).collect();
    // SAFETY: both arrays have one entry per dimension of the space (checked) and outlive the call.
    sync(|| unsafe { h5check(select(space.id(), &offset, &extent)) })?;
    Ok((space, Dataspace::try_new(counts)?))
}

/// # Safety
///
/// `space` is a live dataspace of `offset.len()` dimensions, `extent` has as many, and the lock is
/// held.
unsafe fn select(space: hid_t, offset: &[u64], extent: &[u64]) -> i32 {
    debug_assert_eq!(offset.len(), extent.len());
    // SAFETY: the caller's contract.
    unsafe {
        if extent.contains(&0) {
            H5Sselect_none(space)
        } else {
            H5Sselect_hyperslab(space, H5S_SELECT_SET, offset.as_ptr(), ptr::null(), extent.as_ptr(), ptr::null())
        }
    }
}
