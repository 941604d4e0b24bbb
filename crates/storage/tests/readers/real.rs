use partwise_storage::{ErrorKind, source};
use serde_json::Value;

use super::files::{read_all, refusal, selection, shared};

/// Files that no reader supports yet: stored by gene, or with a filter that the HDF5 library lacks.
const LATER: [&str; 5] = ["_csc_", "zstd", "blosc", "layers/transpose", "obsm"];

/// Each matrix of the shared files has the values that an independent reader (anndata, h5py, scipy)
/// found.
#[test]
fn real_files_hold_what_anndata_finds_in_them() {
    let Some(folder) = shared() else { return };
    let facts: Value = serde_json::from_slice(&std::fs::read(folder.join("facts.json")).unwrap()).unwrap();
    let mut checked = 0;
    for (name, matrices) in facts.as_object().unwrap() {
        let known = name.ends_with(".h5ad") || name.ends_with(".npy") || name.ends_with("one_chunk.h5");
        for (key, fact) in matrices.as_object().unwrap() {
            let usable = fact["nan"].as_u64() == Some(0) && fact["min_stored"].as_f64().is_some_and(|v| v >= 0.0);
            if !known
                || !usable
                || name.contains("invalid/")
                || LATER.iter().any(|l| name.contains(l) || key.contains(l))
            {
                continue;
            }
            let mut source = source::open(&folder.join(name), &selection(key)).unwrap_or_else(|e| panic!("{key}: {e}"));
            let shape = [source.cells() as u64, source.genes() as u64];
            assert_eq!(fact["shape"], serde_json::json!(shape), "{name} {key}");
            let values = read_all(&mut *source, 256).unwrap();
            let nonzeros = values.iter().filter(|&&v| v != 0.0).count() as u64;
            assert_eq!(fact["nonzeros"].as_u64(), Some(nonzeros), "{name} {key}");
            let sum: f64 = values.iter().map(|&v| f64::from(v)).sum();
            let want = fact["sum"].as_f64().unwrap();
            assert!((sum - want).abs() <= 1e-6 * want, "{name} {key}: sum {sum}, expected {want}");
            checked += 1;
        }
    }
    assert!(checked >= 25, "only {checked} matrices");
}

/// The error of every unusable file is one line that names it and the reason.
#[test]
fn invalid_and_later_files_are_refused() {
    let Some(folder) = shared() else { return };
    let legal = ["duplicate_", "empty_sparse"];
    let mut refused = 0;
    for group in ["invalid", "tenx", "formats"] {
        for entry in std::fs::read_dir(folder.join(group)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let later = group != "formats" || [".loom", ".zarr", ".zip", ".mtx"].iter().any(|end| name.ends_with(end));
            if legal.iter().any(|l| name.contains(l)) || !later {
                continue;
            }
            let (kind, said) = refusal(&path, "X");
            assert_eq!(kind, ErrorKind::BadData, "{said}");
            assert!(said.contains(&name), "{said}");
            refused += 1;
        }
    }
    assert!(refused >= 25, "only {refused} files");
}
