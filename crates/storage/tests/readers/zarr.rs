//! Zarr stores that tests write: metadata and chunks by hand, without compression.

use std::fs;
use std::path::{Path, PathBuf};

use partwise_storage::source::conformance::{annotations_are_readable, check};
use partwise_storage::source::{self, Form, RowChunk, Source};
use partwise_storage::{ErrorKind, StorageError};
use serde_json::{Value, json};

use super::files::{Csr, Listener, read_all, refusal, selection};

/// A zarr store in a folder, in one version of the format.
struct Store {
    folder: PathBuf,
    version: u8,
}

impl Store {
    /// An empty store with tables of `cells` and `genes` names.
    fn create(folder: &Path, version: u8, cells: usize, genes: usize) -> Store {
        let store = Store { folder: folder.join(format!("x{version}.zarr")), version };
        let _ = fs::remove_dir_all(&store.folder);
        store.group("", json!({"encoding-type": "anndata", "encoding-version": "0.1.0"}));
        for (table, letter, len) in [("obs", 'c', cells), ("var", 'g', genes)] {
            let about = json!({"encoding-type": "dataframe", "_index": "_index", "column-order": ["depth"]});
            store.group(table, about);
            let names: Vec<String> = (0..len).map(|at| format!("{letter}{at}")).collect();
            store.texts(&format!("{table}/_index"), &names);
            store.list(&format!("{table}/depth"), "f8", &(0..len).map(|at| at as f64).collect::<Vec<_>>(), len, None);
        }
        store
    }

    fn write(&self, key: &str, bytes: &[u8]) {
        let path = self.folder.join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn group(&self, name: &str, attributes: Value) {
        let at = |file: &str| format!("{name}{}{file}", if name.is_empty() { "" } else { "/" });
        if self.version == 2 {
            self.write(&at(".zgroup"), b"{\"zarr_format\": 2}");
            self.write(&at(".zattrs"), attributes.to_string().as_bytes());
        } else {
            let metadata = json!({"zarr_format": 3, "node_type": "group", "attributes": attributes});
            self.write(&at("zarr.json"), metadata.to_string().as_bytes());
        }
    }

    /// Writes the metadata of an array. `kind` is a type in NumPy's short form.
    fn array(&self, name: &str, kind: &str, shape: &[usize], chunk: &[usize], inner: Option<&[usize]>) {
        if self.version == 2 {
            let (dtype, filters) = match kind {
                "O" => ("|O".to_owned(), json!([{"id": "vlen-utf8"}])),
                kind => (format!("<{kind}"), Value::Null),
            };
            let metadata = json!({"zarr_format": 2, "shape": shape, "chunks": chunk, "dtype": dtype, "fill_value": 0,
                "order": "C", "filters": filters, "compressor": null});
            self.write(&format!("{name}/.zarray"), metadata.to_string().as_bytes());
            return;
        }
        let data_type = match kind {
            "f4" => "float32",
            "f8" => "float64",
            "i4" => "int32",
            "i8" => "int64",
            _ => "string",
        };
        let plain = match kind {
            "O" => json!([{"name": "vlen-utf8"}]),
            _ => json!([{"name": "bytes", "configuration": {"endian": "little"}}]),
        };
        let codecs = match inner {
            None => plain,
            Some(inner) => json!([{"name": "sharding_indexed", "configuration": {"chunk_shape": inner,
                "codecs": plain, "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}},
                {"name": "crc32c"}], "index_location": "end"}}]),
        };
        let metadata = json!({"zarr_format": 3, "node_type": "array", "shape": shape, "data_type": data_type,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": if kind == "O" { json!("") } else { json!(0) }, "codecs": codecs, "attributes": {}});
        self.write(&format!("{name}/zarr.json"), metadata.to_string().as_bytes());
    }

    fn chunk(&self, name: &str, position: &[usize], bytes: &[u8]) {
        let at: Vec<String> = position.iter().map(usize::to_string).collect();
        match self.version {
            2 => self.write(&format!("{name}/{}", at.join(".")), bytes),
            _ => self.write(&format!("{name}/c/{}", at.join("/")), bytes),
        }
    }

    fn texts(&self, name: &str, texts: &[String]) {
        self.array(name, "O", &[texts.len()], &[texts.len().max(1)], None);
        let mut bytes = (texts.len() as u32).to_le_bytes().to_vec();
        for text in texts {
            bytes.extend((text.len() as u32).to_le_bytes());
            bytes.extend(text.as_bytes());
        }
        self.chunk(name, &[0], &bytes);
    }

    /// Writes a list in chunks of `chunk`; in shards of three chunks each if `shard` says so.
    /// Chunks of zeros are left out.
    fn list<T: Number>(&self, name: &str, kind: &str, values: &[T], chunk: usize, shard: Option<()>) {
        let bytes_of = |part: &[T]| {
            let mut part = part.to_vec();
            part.resize(chunk, T::default());
            part.iter().flat_map(|value| value.bytes()).collect::<Vec<u8>>()
        };
        let chunk = chunk.max(1);
        if shard.is_none() {
            self.array(name, kind, &[values.len()], &[chunk], None);
            for (at, part) in values.chunks(chunk).enumerate() {
                if part.iter().any(|value| *value != T::default()) {
                    self.chunk(name, &[at], &bytes_of(part));
                }
            }
            return;
        }
        self.array(name, kind, &[values.len()], &[3 * chunk], Some(&[chunk]));
        for (at, part) in values.chunks(3 * chunk).enumerate() {
            self.chunk(name, &[at], &sharded(part.chunks(chunk).map(bytes_of)));
        }
    }

    /// Writes a table in chunks of any shape.
    fn table(&self, name: &str, values: &[f64], shape: [usize; 2], chunk: [usize; 2]) {
        self.array(name, "f8", &shape, &chunk, None);
        for row in 0..shape[0].div_ceil(chunk[0]) {
            for column in 0..shape[1].div_ceil(chunk[1]) {
                let value = |at: usize| {
                    let (r, c) = (row * chunk[0] + at / chunk[1], column * chunk[1] + at % chunk[1]);
                    if r < shape[0] && c < shape[1] { values[r * shape[1] + c] } else { 0.0 }
                };
                let bytes: Vec<u8> = (0..chunk[0] * chunk[1]).flat_map(|at| value(at).to_le_bytes()).collect();
                if bytes.iter().any(|&byte| byte != 0) {
                    self.chunk(name, &[row, column], &bytes);
                }
            }
        }
    }

    /// Writes a sparse matrix.
    fn sparse(&self, name: &str, encoding: &str, matrix: &Csr<i64, i32, i64>, shard: Option<()>) {
        self.group(name, json!({"encoding-type": encoding, "encoding-version": "0.1.0", "shape": matrix.shape}));
        self.list(&format!("{name}/data"), "i8", &matrix.data, 7, shard);
        self.list(&format!("{name}/indices"), "i4", &matrix.indices, 5, shard);
        self.list(&format!("{name}/indptr"), "i8", &matrix.indptr, 64, shard);
    }
}

trait Number: Copy + Default + PartialEq {
    fn bytes(self) -> Vec<u8>;
}

macro_rules! number {
    ($($T:ty)*) => {$(
        impl Number for $T {
            fn bytes(self) -> Vec<u8> {
                self.to_le_bytes().to_vec()
            }
        }
    )*};
}
number!(i32 i64 f64);

/// A shard of three chunks with its index. Chunks of zeros and those after the last are left out.
fn sharded(chunks: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let (mut bytes, mut index) = (Vec::new(), Vec::new());
    for chunk in chunks {
        let (at, len) = match chunk.iter().any(|&byte| byte != 0) {
            true => (bytes.len() as u64, chunk.len() as u64),
            false => (u64::MAX, u64::MAX),
        };
        index.extend([at, len].map(u64::to_le_bytes).concat());
        if at != u64::MAX {
            bytes.extend(chunk);
        }
    }
    index.resize(48, 0xff);
    bytes.extend(&index);
    bytes.extend(crc32c::crc32c(&index).to_le_bytes());
    bytes
}

/// 600 × 11 with rows of none to four entries, and many rows of none.
fn large() -> Csr<i64, i32, i64> {
    let mut matrix = Csr { shape: vec![600, 11], data: Vec::new(), indices: Vec::new(), indptr: vec![0] };
    for row in 0..600_i64 {
        for entry in 0..if row < 200 { 0 } else { row * 7 % 5 } {
            matrix.data.push(if row % 90 == 1 { 16_777_217 + 2 * row } else { row % 13 });
            matrix.indices.push(((row * 3 + entry * 4) % 11) as i32);
        }
        matrix.indptr.push(matrix.data.len() as i64);
    }
    matrix
}

fn hold(path: &Path, what: &str) -> Vec<f32> {
    let open = || source::open(path, &selection(what)).unwrap() as Box<dyn Source>;
    check(&open);
    assert_eq!(open().stamp(), source::stamp(path, &selection(what)).unwrap(), "a store is found by this stamp");
    let folder = tempfile::tempdir().unwrap();
    annotations_are_readable(&open, folder.path());
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "nothing but the annotations is left: {left:?}");
    read_all(&mut *open(), 100).unwrap()
}

/// The values of a matrix, row by row.
fn values(matrix: &Csr<i64, i32, i64>) -> Vec<f32> {
    let columns = matrix.shape[1] as usize;
    let mut all = vec![0.0; matrix.shape[0] as usize * columns];
    for row in 0..matrix.indptr.len() - 1 {
        for at in matrix.indptr[row] as usize..matrix.indptr[row + 1] as usize {
            all[row * columns + matrix.indices[at] as usize] += matrix.data[at] as f32;
        }
    }
    all
}

#[test]
fn sparse_matrices_in_chunks_and_shards() {
    let folder = tempfile::tempdir().unwrap();
    for version in [2, 3] {
        let store = Store::create(folder.path(), version, 600, 11);
        store.group("layers", json!({}));
        store.sparse("X", "csr_matrix", &large(), None);
        store.sparse("layers/csc", "csc_matrix", &large().by_column(), None);
        assert_eq!(hold(&store.folder, "X"), values(&large()));
        assert_eq!(hold(&store.folder, "layers/csc"), values(&large()));
        if version == 3 {
            store.sparse("layers/sharded", "csr_matrix", &large(), Some(()));
            assert_eq!(hold(&store.folder, "layers/sharded"), values(&large()));
        }
        let source = source::open(&store.folder, &selection("X")).unwrap();
        assert!(matches!(source.form(), Form::Sparse { .. }));
        assert!(source.resident_bytes() < 4 << 20, "{}", source.resident_bytes());
    }
}

#[test]
fn tables_in_any_chunks_by_row_and_transposed() {
    let folder = tempfile::tempdir().unwrap();
    let all: Vec<f64> = (0..40 * 11).map(|at| if at < 150 { 0.0 } else { f64::from(at * 7 % 23) / 10.0 }).collect();
    let expected: Vec<f32> = all.iter().map(|&value| value as f32).collect();
    for version in [2, 3] {
        for chunk in [[40, 11], [7, 4], [1, 11], [40, 1], [64, 16]] {
            let store = Store::create(folder.path(), version, 40, 11);
            store.table("X", &all, [40, 11], chunk);
            assert_eq!(hold(&store.folder, "X"), expected, "{chunk:?}");
            let turned = hold(&store.folder, "transpose");
            assert!((0..440).all(|at| turned[at] == expected[at % 40 * 11 + at / 40]), "{chunk:?}");
        }
    }
}

/// Chunks that were removed after they were decoded are not missed until the last of their rows.
#[test]
fn rows_in_order_decode_each_chunk_once() {
    let folder = tempfile::tempdir().unwrap();
    let all: Vec<f64> = (0..40 * 11).map(f64::from).collect();
    let store = Store::create(folder.path(), 2, 40, 11);
    store.table("X", &all, [40, 11], [7, 4]);
    let mut source = source::open(&store.folder, &selection("X")).unwrap();
    let mut chunk = RowChunk::default();
    for row in 0..40 {
        source.read_rows(row..row + 1, &mut chunk).unwrap();
        let expected: Vec<f32> = all[row * 11..row * 11 + 11].iter().map(|&value| value as f32).collect();
        assert_eq!(chunk, RowChunk::Dense { values: expected }, "row {row}");
        if row % 7 == 0 {
            for column in 0..3 {
                fs::remove_file(store.folder.join(format!("X/{}.{column}", row / 7))).unwrap();
            }
        }
    }
}

/// A zip archive of stored files.
fn zip(folder: &Path, archive: &Path) {
    let (mut bytes, mut directory, mut count) = (Vec::new(), Vec::new(), 0_u16);
    let mut folders = vec![folder.to_path_buf()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap().as_bytes().to_vec();
            let content = fs::read(&path).unwrap();
            let (at, len) = (bytes.len() as u32, content.len() as u32);
            let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            common.extend([len, len].map(u32::to_le_bytes).concat());
            common.extend((name.len() as u16).to_le_bytes());
            common.extend([0, 0]);
            bytes.extend(b"PK\x03\x04");
            bytes.extend(&common);
            bytes.extend(&name);
            bytes.extend(content);
            directory.extend(b"PK\x01\x02\x14\x00");
            directory.extend(&common);
            directory.extend([0; 10]);
            directory.extend(at.to_le_bytes());
            directory.extend(&name);
            count += 1;
        }
    }
    let (start, size) = (bytes.len() as u32, directory.len() as u32);
    bytes.extend(&directory);
    bytes.extend(b"PK\x05\x06\x00\x00\x00\x00");
    bytes.extend([count, count].map(u16::to_le_bytes).concat());
    bytes.extend([size, start].map(u32::to_le_bytes).concat());
    bytes.extend([0, 0]);
    fs::write(archive, bytes).unwrap();
}

#[test]
fn zip_archives_read_like_folders_and_cut_ones_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("x.zarr.zip");
    for version in [2, 3] {
        let store = Store::create(folder.path(), version, 600, 11);
        store.sparse("X", "csr_matrix", &large(), None);
        zip(&store.folder, &archive);
        assert_eq!(hold(&archive, "X"), values(&large()));
    }
    let whole = fs::read(&archive).unwrap();
    let cut = folder.path().join("cut.zip");
    for len in (0..whole.len()).step_by(2500) {
        fs::write(&cut, &whole[..len]).unwrap();
        assert_eq!(refusal(&cut, "X").0, ErrorKind::BadData, "{len} of {} bytes", whole.len());
    }
    for at in (0..whole.len()).step_by(41) {
        let mut changed = whole.clone();
        changed[at] ^= 0xff;
        fs::write(&cut, &changed).unwrap();
        let read = source::open(&cut, &selection("X")).and_then(|mut source| read_all(&mut *source, 256));
        assert!(read.is_ok() || read.is_err_and(|error| error.kind() == ErrorKind::BadData), "byte {at}");
    }
    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("notes.txt"), b"x").unwrap();
    zip(&other, &archive);
    assert!(refusal(&archive, "X").1.contains("nor of a zarr store"));
}

#[test]
fn damaged_chunks_and_metadata_name_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let make = |version: u8, change: &dyn Fn(&Store)| {
        let store = Store::create(folder.path(), version, 600, 11);
        store.sparse("X", "csr_matrix", &large(), (version == 3).then_some(()));
        change(&store);
        let (kind, said) = refusal(&store.folder, "X");
        assert_eq!(kind, ErrorKind::BadData, "{said}");
        said
    };
    let file = |store: &Store, key: &str| fs::read(store.folder.join(key)).unwrap();
    let cut = make(2, &|store| store.write("X/data/3", &file(store, "X/data/3")[..50]));
    assert!(cut.contains("X/data/3") && cut.contains("50 bytes, expected 56"), "{cut}");
    let long = make(2, &|store| store.write("X/data/3", &[0; 1 << 20]));
    assert!(long.contains("X/data/3") && long.contains("1048576 bytes for a chunk of 56"), "{long}");
    let no_json = make(2, &|store| store.write("X/data/.zarray", b"{"));
    assert!(no_json.contains("X/data/.zarray") && no_json.contains("no JSON"), "{no_json}");
    let huge = make(2, &|store| store.array("X/data", "i8", &[large().data.len()], &[1 << 36], None));
    assert!(huge.contains("chunks of 549755813888 bytes"), "{huge}");
    let endless = make(2, &|store| store.array("X/data", "i8", &[large().data.len()], &[1 << 60], None));
    assert!(endless.contains("no file holds"), "{endless}");
    let pointers = make(2, &|store| store.array("X/indptr", "i8", &[1 << 50], &[64], None));
    assert!(pointers.contains("X/indptr"), "{pointers}");
    let zeros = make(2, &|store| {
        store.array("X", "f4", &[600, 1 << 40], &[1, 11], None);
        fs::remove_file(store.folder.join("X/.zattrs")).unwrap();
    });
    assert!(zeros.contains("claims 659706976665600 numbers"), "{zeros}");
    let index = make(3, &|store| {
        let mut shard = file(store, "X/data/c/1");
        let at = shard.len() - 20;
        shard[at] ^= 1;
        store.write("X/data/c/1", &shard);
    });
    assert!(index.contains("X/data/c/1") && index.contains("index that does not match its checksum"), "{index}");
    let outside = make(3, &|store| {
        let chunks = file(store, "X/data/c/1");
        let mut index = [&1000_u64.to_le_bytes()[..], &56_u64.to_le_bytes()].concat();
        index.extend(&chunks[chunks.len() - 36..chunks.len() - 4]);
        let sum = crc32c::crc32c(&index).to_le_bytes();
        store.write("X/data/c/1", &[&chunks[..chunks.len() - 52], &index, &sum].concat());
    });
    assert!(outside.contains("X/data/c/1") && outside.contains("at byte 1000"), "{outside}");
    let codec = make(3, &|store| {
        let metadata = String::from_utf8(file(store, "X/data/zarr.json")).unwrap();
        store.write("X/data/zarr.json", metadata.replace("\"crc32c\"", "\"pcodec\"").as_bytes());
    });
    assert!(codec.contains("codec pcodec"), "{codec}");
    let short = make(3, &|store| store.write("X/data/c/0", &[0; 20]));
    assert!(short.contains("X/data/c/0") && short.contains("cut short"), "{short}");
}

/// Metadata with one value replaced by another are read or refused, and never panic or take memory.
#[test]
fn metadata_of_any_content_are_refused_or_read() {
    let folder = tempfile::tempdir().unwrap();
    let odd = [
        json!(null),
        json!(-1),
        json!(0),
        json!(1u64 << 62),
        json!([]),
        json!([0]),
        json!("x"),
        json!({}),
        json!([1, 2, 3]),
        json!(1e300),
        json!([1u64 << 40]),
    ];
    for version in [2, 3] {
        let store = Store::create(folder.path(), version, 600, 11);
        store.sparse("X", "csr_matrix", &large(), (version == 3).then_some(()));
        let file = if version == 2 { ".zarray" } else { "zarr.json" };
        for name in ["X/data", "X/indptr", "obs/_index"] {
            let key = format!("{name}/{file}");
            let whole = fs::read(store.folder.join(&key)).unwrap();
            let metadata: Value = serde_json::from_slice(&whole).unwrap();
            for pointer in pointers(&metadata) {
                for value in &odd {
                    let mut changed = metadata.clone();
                    *changed.pointer_mut(&pointer).unwrap() = value.clone();
                    store.write(&key, changed.to_string().as_bytes());
                    let read = source::open(&store.folder, &selection("X")).and_then(|mut source| {
                        source.write_annotations(&folder.path().join("a.h5ad"), &Listener::default())?;
                        read_all(&mut *source, 256)
                    });
                    let kind = read.as_ref().err().map(StorageError::kind);
                    assert!(matches!(kind, None | Some(ErrorKind::BadData)), "{key} {pointer} {value}: {kind:?}");
                }
            }
            store.write(&key, &whole);
        }
    }
}

/// The places of all values of a document.
fn pointers(value: &Value) -> Vec<String> {
    let members: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(members) => members.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    members
        .into_iter()
        .flat_map(|(name, value)| {
            let below = pointers(value).into_iter().map(|rest| format!("/{name}{rest}")).collect::<Vec<_>>();
            [vec![format!("/{name}")], below].concat()
        })
        .collect()
}

#[test]
fn names_in_the_store_do_not_lead_out_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let secret = Store::create(folder.path(), 3, 600, 11);
    let store = Store::create(folder.path(), 2, 600, 11);
    store.sparse("X", "csr_matrix", &large(), None);
    let about = json!({"encoding-type": "dataframe", "_index": "_index",
        "column-order": ["depth", "../../x3.zarr/obs/depth", "/etc"]});
    store.group("obs", about);
    assert!(secret.folder.join("obs/depth/zarr.json").exists());
    let source = source::open(&store.folder, &selection("X")).unwrap();
    let listener = Listener::default();
    source.write_annotations(&folder.path().join("a.h5ad"), &listener).unwrap();
    let heard = listener.heard();
    assert_eq!(heard.iter().filter(|said| said.contains("missing")).count(), 2, "{heard:?}");
}

#[test]
fn a_pipe_in_a_store_is_refused_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path(), 2, 600, 11);
    store.sparse("X", "csr_matrix", &large(), None);
    let chunk = store.folder.join("X/data/3");
    fs::remove_file(&chunk).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &chunk, rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600), 0)
        .unwrap();
    let (kind, said) = refusal(&store.folder, "X");
    assert!(kind == ErrorKind::BadData && said.contains("pipe"), "{said}");
}
