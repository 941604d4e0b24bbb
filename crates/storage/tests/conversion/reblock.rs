//! A copied store with another block height equals, byte for byte, the store of a conversion with
//! that height.

use std::fs;

use partwise_storage::{ConvertSpec, ErrorKind, Overwrite, Quiet, Store, convert, reblock};
use proptest::prelude::*;

use super::inputs::{Table, Watcher, contents, spec};

const PLENTY: u64 = 1 << 30;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn cutting_anew_is_converting_again_and_back_is_the_same(
        cells in 1_usize..2_000,
        genes in 1_usize..60,
        one_in in 1_u64..9,
        sparse in any::<bool>(),
        fractions in any::<bool>(),
        (from, to) in (1_usize..5, 1_usize..9),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut table = Table::counts(cells, genes, one_in, sparse);
        if fractions {
            table.values.iter_mut().for_each(|value| *value *= 0.3);
        }
        let converted = |name: &str, tiles: usize| {
            let spec = ConvertSpec { block_rows: Some(256 * tiles), ..spec(PLENTY, 2) };
            convert(Box::new(table.clone()), &folder.path().join(name), &spec, &Quiet).unwrap()
        };
        let (first, want) = (converted("first.pw", from), converted("want.pw", to));
        let cut = |store: &Store, name: &str, rows| {
            reblock(store, &folder.path().join(name), rows, Overwrite::Refuse, &Quiet).unwrap()
        };
        let got = cut(&first, "got.pw", 256 * to);
        prop_assert_eq!(got.block_rows(), 256 * to);
        prop_assert!(contents(got.path()) == contents(want.path()));
        got.verify(&Quiet).unwrap();
        let back = cut(&got, "back.pw", 256 * from);
        prop_assert_eq!(back.fingerprint(), first.fingerprint());
        prop_assert!(contents(back.path()) == contents(first.path()));
    }
}

fn counts(folder: &tempfile::TempDir) -> Store {
    let table = Table::counts(1_500, 40, 4, true);
    convert(Box::new(table.clone()), &folder.path().join("a.pw"), &spec(PLENTY, 2), &Quiet).unwrap()
}

#[test]
fn a_store_is_cut_anew_where_it_lies_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let store = counts(&folder);
    let refused = reblock(&store, store.path(), 512, Overwrite::Refuse, &Quiet).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Exists);
    let again = reblock(&store, store.path(), 512, Overwrite::Replace, &Quiet).unwrap();
    assert_eq!((again.block_rows(), again.blocks()), (512, 3));
    assert_eq!(Store::open(store.path()).unwrap().fingerprint(), again.fingerprint());
    again.verify(&Quiet).unwrap();
    assert_eq!(contents(folder.path()).len(), 1, "nothing is left beside it");
}

#[test]
fn what_cannot_be_copied_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = counts(&folder);
    let dest = folder.path().join("b.pw");

    let odd = reblock(&store, &dest, 300, Overwrite::Refuse, &Quiet).unwrap_err();
    assert!(odd.to_string().contains("a multiple of the 256 of a tile"), "{odd}");
    let cancelled = reblock(&store, &dest, 512, Overwrite::Refuse, &Watcher::cancelling_after(1)).unwrap_err();
    assert_eq!(cancelled.kind(), ErrorKind::Cancelled);

    let blocks = store.path().join("blocks-00000.bin");
    let mut bytes = fs::read(&blocks).unwrap();
    bytes[1_000] ^= 1;
    fs::write(&blocks, bytes).unwrap();
    let damaged = reblock(&store, &dest, 512, Overwrite::Refuse, &Quiet).unwrap_err();
    assert!(damaged.to_string().contains("is damaged at rows"), "{damaged}");
    assert_eq!(contents(folder.path()).len(), 1, "only the first store is there");
}
