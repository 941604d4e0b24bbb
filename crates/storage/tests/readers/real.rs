use partwise_storage::{ErrorKind, source};
use serde_json::Value;

use super::files::{read_all, refusal, selection, shared};

/// Each matrix of the shared files has the values that an independent reader (anndata, h5py, scipy)
/// found.
#[test]
fn real_files_hold_what_anndata_finds_in_them() {
    let Some(folder) = shared() else { return };
    let facts: Value = serde_json::from_slice(&std::fs::read(folder.join("facts.json")).unwrap()).unwrap();
    let mut checked = 0;
    for (name, matrices) in facts.as_object().unwrap() {
        let ends = [".h5ad", ".npy", ".loom", ".mtx", "one_chunk.h5"];
        let known = name.contains(".zarr") || ends.iter().any(|end| name.ends_with(end));
        for (key, fact) in matrices.as_object().unwrap() {
            let usable = fact["nan"].as_u64() == Some(0) && fact["min_stored"].as_f64().is_some_and(|v| v >= 0.0);
            // Not a matrix of cells × genes.
            if !known || !usable || name.contains("invalid/") || key.contains("obsm") {
                continue;
            }
            let mut path = folder.join(name);
            let mut selection = selection(key);
            if name.starts_with("tenx/") {
                selection.features = Some("all".into());
                selection.genome =
                    (matrices.as_object().unwrap().values().filter(|v| v.is_object()).count() > 1).then(|| key.clone());
                if name.contains("_mtx_folder/") {
                    path.pop();
                }
            }
            let mut source = source::open(&path, &selection).unwrap_or_else(|e| panic!("{name} {key}: {e}"));
            let mut shape = [source.cells() as u64, source.genes() as u64];
            if name.starts_with("tenx/") || name.ends_with(".mtx") || key.contains("genes x cells") {
                shape.reverse();
            }
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
    assert!(checked >= 35, "only {checked} matrices");
}

/// The error of every unusable file is one line that names it and the reason.
#[test]
fn invalid_and_later_files_are_refused() {
    let Some(folder) = shared() else { return };
    let legal = ["duplicate_", "empty_sparse", "scenicprotocol"];
    let mut refused = 0;
    for group in ["invalid", "formats"] {
        for entry in std::fs::read_dir(folder.join(group)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let later = group != "formats" || name.ends_with(".loom");
            if legal.iter().any(|l| name.contains(l)) || !later {
                continue;
            }
            let (kind, said) = refusal(&path, "X");
            assert_eq!(kind, ErrorKind::BadData, "{said}");
            assert!(said.contains(&name), "{said}");
            refused += 1;
        }
    }
    assert!(refused >= 15, "only {refused} files");
}
