//! Decoders that the HDF5 library lacks, registered with it: everything it reads, names and columns
//! included, is then read without plugins.

use std::cell::Cell;
use std::ffi::{c_uint, c_void};
use std::ptr;
use std::sync::Once;

use hdf5::Dataset;
use hdf5_sys::h5::{H5allocate_memory, H5free_memory};
use hdf5_sys::h5z::{H5Z_CLASS_T_VERS, H5Z_FLAG_REVERSE, H5Z_class2_t, H5Zregister};

use super::raw::{self, Class};
use crate::codec::Codec;

/// Bytes that other filters may add to a chunk: a checksum.
const ADDED: usize = 64;

thread_local! {
    /// Bytes of the chunks that this thread reads, unpacked. A filter does not know them, and would have
    /// to believe the compressed data.
    static CHUNK_BYTES: Cell<usize> = const { Cell::new(0) };
}

/// Registers the decoders, once.
pub(super) fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let classes = [(32001, c"blosc", filter_blosc as Filter), (32015, c"zstd", filter_zstd as Filter)];
        for (id, name, filter) in classes {
            let class = H5Z_class2_t {
                version: H5Z_CLASS_T_VERS as _,
                id,
                encoder_present: 0,
                decoder_present: 1,
                name: name.as_ptr(),
                can_apply: None,
                set_local: None,
                filter: Some(filter),
            };
            // SAFETY: the library copies the class, whose name and function live as long as the process.
            // Without the filter, files that need it are refused by its name.
            hdf5::sync::sync(|| unsafe { H5Zregister(ptr::from_ref(&class).cast()) });
        }
    });
}

/// Calls `read`, which reads values of `dataset` in this thread.
pub(super) fn reading<T>(dataset: &Dataset, read: impl FnOnce() -> T) -> T {
    let Some(chunk) = dataset.chunk() else { return read() };
    register();
    let element = dataset.dtype().map_or(0, |datatype| match raw::class(&datatype) {
        Class::Integer { .. } | Class::Float | Class::Enum => datatype.size(),
        // A string of any length is 8 bytes in memory and 16 in the file.
        _ => 2 * datatype.size(),
    });
    let bytes = chunk.iter().product::<usize>().saturating_mul(element);
    let before = CHUNK_BYTES.replace(bytes);
    let done = read();
    CHUNK_BYTES.set(before);
    done
}

type Filter = extern "C" fn(c_uint, usize, *const c_uint, usize, *mut usize, *mut *mut c_void) -> usize;

extern "C" fn filter_blosc(
    flags: c_uint,
    _: usize,
    _: *const c_uint,
    bytes: usize,
    size: *mut usize,
    buffer: *mut *mut c_void,
) -> usize {
    // SAFETY: the library calls its filters as `unpack` demands.
    unsafe { unpack(Codec::Blosc, flags, bytes, size, buffer) }
}

extern "C" fn filter_zstd(
    flags: c_uint,
    _: usize,
    _: *const c_uint,
    bytes: usize,
    size: *mut usize,
    buffer: *mut *mut c_void,
) -> usize {
    // SAFETY: the library calls its filters as `unpack` demands.
    unsafe { unpack(Codec::Zstd, flags, bytes, size, buffer) }
}

/// Replaces the packed chunk in `buffer` by the unpacked one. Returns its bytes; 0 if it cannot, which
/// the library reports.
///
/// # Safety
///
/// - `*buffer` holds `*size` bytes from the library's allocator, the first `bytes` of which are the
///   chunk
/// - nothing else uses them during the call
unsafe fn unpack(codec: Codec, flags: c_uint, bytes: usize, size: *mut usize, buffer: *mut *mut c_void) -> usize {
    let room = match CHUNK_BYTES.get() {
        0 => return 0,
        chunk => chunk.saturating_add(ADDED),
    };
    if flags & H5Z_FLAG_REVERSE == 0 {
        return 0;
    }
    // SAFETY: the library's allocator returns null or zeroed memory of `room` bytes, which nothing else
    // refers to. The packed bytes are readable by the caller's contract. The old buffer came from the
    // same allocator and is not used after it is freed.
    unsafe {
        let new = H5allocate_memory(room, 1);
        if new.is_null() {
            return 0;
        }
        let packed = std::slice::from_raw_parts((*buffer).cast::<u8>(), bytes);
        let out = std::slice::from_raw_parts_mut(new.cast::<u8>(), room);
        match codec.unpack(packed, out) {
            Some(filled) if filled > 0 => {
                H5free_memory(*buffer);
                (*buffer, *size) = (new, room);
                filled
            }
            _ => {
                H5free_memory(new);
                0
            }
        }
    }
}
