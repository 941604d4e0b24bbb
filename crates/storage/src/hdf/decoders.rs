//! Decoders registered with the HDF5 library: everything it reads, names and columns included, is
//! then read without plugins.
//!
//! The library has no Blosc and no zstd. The binding has LZF, but accepts chunks that unpack to
//! fewer bytes than they have: the values behind are then zeros. These decoders refuse such chunks.

use std::cell::Cell;
use std::ffi::{CStr, c_uint, c_void};
use std::ptr;
use std::sync::Once;

use hdf5::Dataset;
use hdf5_sys::h5::{H5allocate_memory, H5free_memory};
use hdf5_sys::h5z::{H5Z_CLASS_T_VERS, H5Z_FLAG_REVERSE, H5Z_class2_t, H5Zregister};

use super::raw::{self, Class};
use crate::codec::Codec;

/// Bytes that other filters may add to a chunk: a checksum.
const ADDED: usize = 64;

/// The numbers of the filters, which the HDF Group registers.
const LZF: i32 = 32000;
const BLOSC: i32 = 32001;
const ZSTD: i32 = 32015;

/// Filters that keep the number of bytes, but for a checksum: shuffle and fletcher32.
const SAME_LENGTH: [i32; 2] = [2, 3];

/// How many bytes a chunk has when it is unpacked.
#[derive(Debug, Clone, Copy, Default)]
struct Unpacked {
    /// It has no fewer.
    least: usize,
    /// It has no more; 0 if nothing is known of it.
    most: usize,
}

thread_local! {
    /// Bytes of the chunks that this thread reads, unpacked. A filter does not know them, and would have
    /// to believe the compressed data.
    static CHUNK: Cell<Unpacked> = const { Cell::new(Unpacked { least: 0, most: 0 }) };
}

/// Registers the decoders, once.
pub(super) fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let classes: [(i32, &CStr, Filter, bool); 3] = [
            // In place of the binding's, which it registers before the first call of the library.
            (LZF, c"lzf", filter::<LZF>, true),
            (BLOSC, c"blosc", filter::<BLOSC>, false),
            (ZSTD, c"zstd", filter::<ZSTD>, false),
        ];
        for (id, name, filter, packs) in classes {
            let class = H5Z_class2_t {
                version: H5Z_CLASS_T_VERS as _,
                id,
                encoder_present: packs.into(),
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
    let unpacked = dataset.dtype().map_or_else(
        |_| Unpacked::default(),
        |datatype| {
            let bytes = chunk.iter().product::<usize>().saturating_mul(datatype.size());
            let most = match raw::class(&datatype) {
                Class::Integer { .. } | Class::Float | Class::Enum => bytes,
                // A string of any length is 8 bytes in memory and 16 in the file.
                _ => bytes.saturating_mul(2),
            };
            // What one codec unpacks may be packed by another one.
            let codecs = dataset.filters().iter().filter(|filter| !SAME_LENGTH.contains(&filter.id())).count();
            Unpacked { least: if codecs > 1 { 0 } else { bytes }, most }
        },
    );
    let before = CHUNK.replace(unpacked);
    let done = read();
    CHUNK.set(before);
    done
}

type Filter = extern "C" fn(c_uint, usize, *const c_uint, usize, *mut usize, *mut *mut c_void) -> usize;

/// The filter of a number, as the library calls it.
extern "C" fn filter<const ID: i32>(
    flags: c_uint,
    _: usize,
    _: *const c_uint,
    bytes: usize,
    size: *mut usize,
    buffer: *mut *mut c_void,
) -> usize {
    let codec = match ID {
        LZF => Codec::Lzf,
        BLOSC => Codec::Blosc,
        _ => Codec::Zstd,
    };
    // SAFETY: the library calls its filters as `pack_lzf` and `unpack` demand.
    unsafe {
        match flags & H5Z_FLAG_REVERSE {
            0 if codec == Codec::Lzf => pack_lzf(bytes, size, buffer),
            0 => 0,
            _ => unpack(codec, bytes, size, buffer),
        }
    }
}

/// Replaces the chunk in `buffer` by the packed one. Returns its bytes; 0 if it would not become
/// smaller, and the library then stores the chunk as it is.
///
/// # Safety
///
/// As [`unpack`].
unsafe fn pack_lzf(bytes: usize, size: *mut usize, buffer: *mut *mut c_void) -> usize {
    let Ok(length) = c_uint::try_from(bytes) else { return 0 };
    // SAFETY: the library's allocator returns null or memory of `bytes` bytes, and the encoder writes no
    // more than these. The chunk is readable by the caller's contract. The old buffer came from the same
    // allocator and is not used after it is freed.
    unsafe {
        let new = H5allocate_memory(bytes, 0);
        if new.is_null() {
            return 0;
        }
        let packed = lzf_sys::lzf_compress(*buffer, length, new, length) as usize;
        if packed == 0 {
            H5free_memory(new);
        } else {
            H5free_memory(*buffer);
            (*buffer, *size) = (new, bytes);
        }
        packed
    }
}

/// Replaces the packed chunk in `buffer` by the unpacked one. Returns its bytes; 0 if it cannot, which
/// the library reports.
///
/// # Safety
///
/// - `*buffer` holds `*size` bytes from the library's allocator, the first `bytes` of which are the
///   chunk
/// - nothing else uses them during the call
unsafe fn unpack(codec: Codec, bytes: usize, size: *mut usize, buffer: *mut *mut c_void) -> usize {
    let Unpacked { least, most } = CHUNK.get();
    if most == 0 {
        return 0;
    }
    let room = most.saturating_add(ADDED);
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
            Some(filled) if filled >= least.max(1) => {
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

#[cfg(test)]
mod tests {
    use hdf5_sys::h5d::H5Dwrite_chunk;
    use hdf5_sys::h5p::H5P_DEFAULT;

    use super::*;

    /// A chunk of 64 numbers of four bytes.
    fn chunk(packed: &[u8]) -> hdf5::Result<Vec<u32>> {
        let folder = tempfile::tempdir().unwrap();
        let file = hdf5::File::create(folder.path().join("x.h5")).unwrap();
        let x = file.new_dataset::<u32>().lzf().chunk(64).shape(64).create("x").unwrap();
        let (at, bytes) = (0, packed.as_ptr().cast());
        // SAFETY: the id is live, the dataset has one dimension, and `packed` outlives the call.
        hdf5::sync::sync(|| unsafe {
            assert!(H5Dwrite_chunk(x.id(), H5P_DEFAULT, 0, &raw const at, packed.len(), bytes) >= 0);
        });
        reading(&x, || x.read_raw::<u32>())
    }

    #[test]
    fn a_chunk_that_unpacks_to_fewer_bytes_than_it_has_is_refused() {
        let literals = |bytes: usize| -> Vec<u8> {
            let runs = vec![7; bytes];
            runs.chunks(32).flat_map(|run| [&[run.len() as u8 - 1], run].concat()).collect()
        };
        assert_eq!(chunk(&literals(256)).unwrap(), vec![0x0707_0707; 64]);
        assert!(chunk(&literals(68)).is_err());
        assert!(chunk(&literals(255)).is_err());
    }

    #[test]
    fn lzf_is_written_too() {
        let folder = tempfile::tempdir().unwrap();
        let file = hdf5::File::create(folder.path().join("x.h5")).unwrap();
        register();
        let values: Vec<u32> = (0..1000).map(|i| i / 100).collect();
        let x = file.new_dataset_builder().lzf().chunk(256).with_data(&values).create("x").unwrap();
        assert!(x.storage_size() < 1000, "{} bytes", x.storage_size());
        assert_eq!(reading(&x, || x.read_raw::<u32>()).unwrap(), values);
    }
}
