//! The filters of a dataset, and whether the HDF5 library has them.

use hdf5::Dataset;
use hdf5::filters::Filter;

use super::decoders;
use crate::codec::Codec;

/// The first filter that the library cannot decode, as messages name it:
/// `zstd (HDF5 filter 32015)`.
pub(crate) fn missing(dataset: &Dataset) -> Option<String> {
    decoders::register();
    let ids = dataset.filters().into_iter().map(|f| f.id());
    ids.into_iter()
        .find(|&id| !Filter::get_info(id).decode_enabled)
        .map(|id| format!("{} (HDF5 filter {id})", name(id)))
}

/// Whether the library can encode and decode all filters of a dataset, and all of them are
/// lossless.
pub(crate) fn are_exact(dataset: &Dataset) -> bool {
    // gzip, shuffle, fletcher32 and lzf.
    let exact = |id| [1, 2, 3, 32000].contains(&id);
    decoders::register();
    let there = |id| {
        let info = Filter::get_info(id);
        info.encode_enabled && info.decode_enabled
    };
    dataset.filters().into_iter().map(|filter| filter.id()).all(|id| exact(id) && there(id))
}

/// What was done to a chunk when it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It was compressed.
    Codec(Codec),
    /// Its bytes were sorted by their significance.
    Shuffle,
}

/// The filters of a dataset in the order of writing; `None` if one of them is not undone by code of
/// ours.
pub(crate) fn steps(dataset: &Dataset) -> Option<Vec<Step>> {
    let step = |id| {
        Some(match id {
            1 => Step::Codec(Codec::Deflate),
            2 => Step::Shuffle,
            32000 => Step::Codec(Codec::Lzf),
            32001 => Step::Codec(Codec::Blosc),
            32015 => Step::Codec(Codec::Zstd),
            _ => return None,
        })
    };
    dataset.filters().into_iter().map(|filter| step(filter.id())).collect()
}

/// The common name of a filter. The HDF Group registers the numbers.
fn name(id: i32) -> &'static str {
    match id {
        1 => "gzip",
        2 => "shuffle",
        3 => "fletcher32",
        4 => "szip",
        5 => "nbit",
        6 => "scale-offset",
        307 => "bzip2",
        32000 => "lzf",
        32001 => "blosc",
        32004 => "lz4",
        32008 => "bitshuffle",
        32013 => "zfp",
        32015 => "zstd",
        32017 => "sz",
        32024 => "sz3",
        32026 => "blosc2",
        _ => "an unregistered filter",
    }
}
