//! The names of the files of a store. The format fixes them, so that a manifest cannot direct a
//! reader to other files.

pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const TABLE: &str = "table.bin";
pub(super) const GENES: &str = "genes.bin";
pub(super) const MILLION: &str = "million.bin";
pub(super) const CELLS: &str = "cells.bin";
pub(super) const SAMPLE: &str = "sample.bin";
pub(super) const ANNOTATIONS: &str = "annotations.h5ad";

/// The manifest while it is written. Renaming makes it [`MANIFEST`].
pub(super) const MANIFEST_DRAFT: &str = "manifest.json.draft";

/// The description of an unfinished store, which a later run may go on with.
pub(super) const UNFINISHED: &str = "unfinished.json";

/// The block file number `number`.
pub(super) fn block_file(number: usize) -> String {
    format!("blocks-{number:05}.bin")
}

/// Whether a complete or unfinished store may have a file of this name. (While annotations are
/// written, their name begins with a dot and is longer.)
pub(super) fn is_ours(name: &str) -> bool {
    let fixed = [MANIFEST, TABLE, GENES, MILLION, CELLS, SAMPLE, ANNOTATIONS, MANIFEST_DRAFT, UNFINISHED];
    let number = name.strip_prefix("blocks-").and_then(|rest| rest.strip_suffix(".bin"));
    fixed.contains(&name)
        || number.is_some_and(|digits| digits.len() >= 5 && digits.bytes().all(|byte| byte.is_ascii_digit()))
        || name.strip_prefix('.').unwrap_or(name).starts_with(ANNOTATIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_the_format_are_ours() {
        for name in [MANIFEST, MANIFEST_DRAFT, "blocks-00000.bin", "blocks-123456.bin", ".annotations.h5ad.tmp"] {
            assert!(is_ours(name), "{name}");
        }
        for name in ["blocks-1.bin", "blocks-0000x.bin", "notes.txt", "my annotations.h5ad", ""] {
            assert!(!is_ours(name), "{name}");
        }
    }
}
