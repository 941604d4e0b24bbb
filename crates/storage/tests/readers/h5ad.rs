use partwise_storage::source::{self, Form};
use proptest::prelude::*;

use super::files::{Csr, anndata, csr, read_all, selection, text};

#[test]
fn every_type_of_values_and_indices_reads_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.h5ad");
    let Csr { shape, indices, indptr, .. } = csr();
    let whole = [1, 2, 3, 4, 5, 6];
    let mut want = vec![0.0; 24];
    for (row, bounds) in indptr.windows(2).enumerate() {
        for at in bounds[0] as usize..bounds[1] as usize {
            want[row * 6 + indices[at] as usize] = whole[at] as f32;
        }
    }
    macro_rules! check {
        ($($T:ty, $I:ty, $P:ty;)*) => {$({
            let matrix = Csr {
                shape: shape.clone(),
                data: whole.iter().map(|&v| v as $T).collect(),
                indices: indices.iter().map(|&v| v as $I).collect(),
                indptr: indptr.iter().map(|&v| v as $P).collect(),
            };
            drop(matrix.write(&path));
            let mut source = source::open(&path, &selection("X")).unwrap();
            assert_eq!(source.form(), Form::Sparse { entries: 6, most_per_tile: 6 });
            for step in [1, 2, 3, 4] {
                assert_eq!(read_all(&mut *source, step).unwrap(), want, stringify!($T, $I, $P));
            }
            assert_eq!(source.rounding().count, 0);
        })*};
    }
    check! {
        f32, i32, i32; f64, i64, i64; u8, u16, u32; u16, u32, u64; u32, u64, u16; u64, i32, i64;
        i8, i16, i32; i16, u8, u8; i32, i8, i16; i64, i64, i32;
    }
}

#[test]
fn booleans_and_big_endian_numbers_are_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.h5ad");
    let file = anndata(&path, 2, 2);
    let x = file.new_dataset::<bool>().shape((2, 2)).create("X").unwrap();
    x.write_raw(&[true, false, true, true]).unwrap();
    text(&x, "encoding-type", "array");
    let layers = file.create_group("layers").unwrap();
    // SAFETY: the test owns the copy of a type that the library defines.
    let big: hdf5::Datatype = unsafe { hdf5::from_id(hdf5_sys::h5t::H5Tcopy(*hdf5::globals::H5T_STD_I16BE)).unwrap() };
    let swapped = layers.new_dataset_builder().empty_as(big).shape((2, 2)).create("big").unwrap();
    swapped.write_raw(&[1_i16, 0, 300, 1]).unwrap();
    drop((x, layers, swapped));
    file.close().unwrap();
    for (what, want) in [("X", [1.0, 0.0, 1.0, 1.0]), ("layers/big", [1.0, 0.0, 300.0, 1.0])] {
        let mut source = source::open(&path, &selection(what)).unwrap();
        assert_eq!(read_all(&mut *source, 1).unwrap(), want);
    }
}

#[test]
fn layers_raw_and_old_names_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.h5ad");
    let file = csr().write(&path);
    let layers = file.create_group("layers").unwrap();
    let mut counts = csr();
    counts.data[0] = 7.0;
    counts.write_as(&layers, "counts", "csr_matrix");
    let mut raw = csr();
    raw.data[0] = 9.0;
    let old = raw.write_as(&file, "raw.X", "csr_matrix");
    for name in ["encoding-type", "encoding-version", "shape"] {
        old.delete_attr(name).unwrap();
    }
    text(&old, "h5sparse_format", "csr");
    old.new_attr::<i64>().shape(2).create("h5sparse_shape").unwrap().write_raw(&[4_i64, 6]).unwrap();
    drop((old, layers));
    file.close().unwrap();
    for (what, first, named) in [("X", 1.0, "X"), ("layers/counts", 7.0, "layers/counts"), ("raw/X", 9.0, "raw.X")] {
        let mut source = source::open(&path, &selection(what)).unwrap();
        assert_eq!(source.dataset(), named);
        assert_eq!(read_all(&mut *source, 4).unwrap()[0], first);
        assert_eq!(source.stamp().selection, selection(what));
    }
}

#[test]
fn rounding_is_counted_and_the_first_one_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.h5ad");
    let matrix = csr();
    let data = vec![1.0, 0.1, 0.5, 0.2, 3.0, 16_777_217.0_f64];
    let Csr { shape, indices, indptr, .. } = matrix;
    drop(Csr { shape, data, indices, indptr }.write(&path));
    let mut source = source::open(&path, &selection("X")).unwrap();
    let read = read_all(&mut *source, 4).unwrap();
    assert_eq!((source.rounding().count, source.rounding().example), (3, 0.1));
    assert_eq!(read[3], 0.1_f64 as f32);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Compressed or not, in chunks of any size, read in steps of any height, the values equal
    /// those of the plain table.
    #[test]
    fn chunks_filters_and_steps_do_not_matter(
        cells in 1_usize..40,
        genes in 1_usize..30,
        chunk in 1_usize..50,
        filter in 0..4,
        step in 1_usize..50,
        seed in any::<u64>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.h5ad");
        let mut state = seed | 1;
        let mut next = || { state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1); state >> 40 };
        let table: Vec<f32> = (0..cells * genes).map(|_| if next() % 3 == 0 { (next() % 100) as f32 / 4.0 } else { 0.0 }).collect();
        let (mut data, mut indices, mut indptr) = (vec![], vec![], vec![0_i64]);
        for row in table.chunks(genes) {
            for (column, &value) in row.iter().enumerate().filter(|(_, v)| **v != 0.0) {
                data.push(f64::from(value));
                indices.push(column as i64);
            }
            indptr.push(data.len() as i64);
        }
        let file = anndata(&path, cells, genes);
        let x = file.create_group("X").unwrap();
        text(&x, "encoding-type", "csr_matrix");
        x.new_attr::<i64>().shape(2).create("shape").unwrap().write_raw(&[cells as i64, genes as i64]).unwrap();
        let build = || {
            let builder = x.new_dataset_builder();
            match filter {
                1 => builder.deflate(4),
                2 => builder.lzf(),
                3 => builder.shuffle().deflate(1),
                _ => builder,
            }
        };
        if data.is_empty() {
            x.new_dataset::<f64>().shape(0).create("data").unwrap();
            x.new_dataset::<i64>().shape(0).create("indices").unwrap();
        } else {
            build().chunk(chunk.min(data.len())).with_data(&data).create("data").unwrap();
            build().chunk(chunk.min(data.len())).with_data(&indices).create("indices").unwrap();
        }
        build().chunk(chunk.min(indptr.len())).with_data(&indptr).create("indptr").unwrap();
        let square = hdf5::types::TypeDescriptor::Float(hdf5::types::FloatSize::U4);
        let dense = x.file().unwrap().new_dataset_builder();
        let dense = match filter { 1 => dense.deflate(4), 2 => dense.lzf(), _ => dense };
        let dense = dense.empty_as(square).chunk((chunk.min(cells), (chunk / 2 + 1).min(genes))).shape((cells, genes)).create("Y").unwrap();
        dense.write_raw(&table).unwrap();
        let layers = file.create_group("layers").unwrap();
        layers.link_hard("/Y", "dense").unwrap();
        drop((x, dense, layers));
        file.close().unwrap();
        for what in ["X", "layers/dense"] {
            let mut source = source::open(&path, &selection(what)).unwrap();
            prop_assert_eq!(&read_all(&mut *source, step).unwrap(), &table);
        }
    }
}
