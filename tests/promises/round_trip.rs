//! A store gives back exactly the values that went into it.

use crate::program::Folder;

#[test]
fn export_and_convert_again_give_the_same_store() {
    let folder = Folder::new();
    folder.ok("simulate --kind counts --cells 3000 --genes 700 --programs 4 --depth 200 -o counts.h5ad");
    folder.ok("simulate --kind clusters --cells 700 --genes 90 --programs 4 -o clusters.h5ad");
    for data in ["counts", "clusters"] {
        folder.ok(&format!("convert {data}.h5ad -o {data}.pw"));
        folder.ok(&format!("export {data}.pw -o again.h5ad --force"));
        folder.ok("convert again.h5ad -o again.pw --force");
        let (once, again) = (folder.json(&format!("info {data}.pw")), folder.json("info again.pw"));
        for key in ["cells", "genes", "nonzeros", "sum", "max", "integer", "fingerprint"] {
            assert_eq!(once[key], again[key], "{data}: {key}");
        }
    }
}

#[test]
fn an_array_transposed_twice_is_the_same_matrix() {
    let folder = Folder::new();
    let value = |row: usize, column: usize| ((3 * row + 5 * column) % 7) as f32;
    let (rows, columns) = (40, 23);
    let straight: Vec<f32> = (0..rows * columns).map(|i| value(i / columns, i % columns)).collect();
    let turned: Vec<f32> = (0..rows * columns).map(|i| value(i % rows, i / rows)).collect();
    folder.npy("straight.npy", rows, columns, &straight);
    folder.npy("turned.npy", columns, rows, &turned);
    let straight = folder.json("convert straight.npy -o straight.pw");
    let turned = folder.json("convert turned.npy -o turned.pw --transpose");
    assert_eq!((&straight["cells"], &straight["genes"]), (&rows.into(), &columns.into()));
    assert_eq!(straight["fingerprint"], turned["fingerprint"]);
}
