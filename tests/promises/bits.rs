//! The result depends on the data, the settings and the seed, and not on threads or memory.

use std::collections::BTreeSet;

use crate::program::Folder;

/// The results of `fit`, every byte, for each number of threads and amount of memory.
fn results(folder: &Folder, fit: &str, machines: &[(usize, &str)]) -> BTreeSet<Vec<u8>> {
    let run = |&(threads, memory): &(usize, &str)| {
        folder.ok(&format!("{fit} --threads {threads} --memory {memory} -o r.h5ad --force"));
        std::fs::read(folder.path("r.h5ad")).expect("a result")
    };
    machines.iter().map(run).collect()
}

#[test]
fn threads_and_memory_do_not_matter() {
    let folder = Folder::new();
    folder.ok("simulate --kind counts --cells 9000 --genes 1500 --programs 4 --depth 300 -o counts.h5ad");
    folder.ok("simulate --kind clusters --cells 5000 --genes 150 --programs 4 -o clusters.h5ad");
    let mut seen = BTreeSet::new();
    for data in ["counts", "clusters"] {
        folder.ok(&format!("convert {data}.h5ad -o {data}.pw"));
        for options in ["", "--solver hals --init random", "--solver mu", "--scale std", "--seed 1"] {
            let fit = format!("fit {data}.pw -k 5 --max-passes 5 {options}");
            let found = results(&folder, &fit, &[(1, "2G"), (2, "64M"), (3, "256M"), (7, "2G")]);
            assert_eq!(found.len(), 1, "{fit}: {} results", found.len());
            assert!(seen.is_disjoint(&found), "{fit}: settings that differ have one result");
            seen.extend(found);
        }
    }
}

#[test]
fn the_budget_of_a_conversion_does_not_matter() {
    let folder = Folder::new();
    folder.ok("simulate --kind counts --cells 6000 --genes 1200 --programs 4 --depth 300 -o x.h5ad");
    let mut seen = BTreeSet::new();
    for (threads, memory) in [(1, "48M"), (2, "1G"), (5, "256M")] {
        folder.ok(&format!("convert x.h5ad -o x.pw --threads {threads} --memory {memory} --force"));
        seen.insert(folder.json("info x.pw")["fingerprint"].to_string());
    }
    assert_eq!(seen.len(), 1, "{seen:?}");
}
