"""Files that anndata, h5py and numpy write go through a store and come back value for value, name
for name."""

import struct
import zipfile

import anndata
import h5py
import hdf5plugin
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp


def matrix(dtype, seed=0, cells=300, genes=70):
    values = np.random.default_rng(seed).poisson(0.4, (cells, genes))
    return (values / 8 if np.issubdtype(dtype, np.floating) else values).astype(dtype)


def frame(n, name):
    """A table with a column of every kind that the field uses."""
    index = pd.Index([f"{name}_é{i}" for i in range(n)])
    return pd.DataFrame(
        {
            "count": np.arange(n),
            "score": np.linspace(0, 1, n, dtype="f4"),
            "flag": np.arange(n) % 3 == 0,
            "label": pd.Categorical([None if i % 7 == 0 else "ab"[i % 2] for i in range(n)]),
            "text": [f"µ{i}" for i in range(n)],
        },
        index=index,
    )


def dense(x):
    return x.toarray() if sp.issparse(x) else np.asarray(x)


@pytest.mark.parametrize("compression", [None, "gzip", "lzf"])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i8", "u2", "u1", "i4"])
@pytest.mark.parametrize("layout", [sp.csr_matrix, np.asarray])
def test_every_type_layout_and_usual_filter(partwise, layout, dtype, compression):
    x = matrix(np.dtype(dtype))
    source = anndata.AnnData(layout(x), obs=frame(300, "cell"), var=frame(70, "gene"))
    source.write_h5ad(partwise.path("x.h5ad"), compression=compression)
    back = partwise.export("x.h5ad")
    assert (dense(back.X) == x).all()
    pd.testing.assert_frame_equal(back.obs, source.obs, check_dtype=False)
    pd.testing.assert_frame_equal(back.var, source.var, check_dtype=False)


BLOSC = ["blosclz", "lz4", "lz4hc", "snappy", "zlib", "zstd"]
PACKED = [hdf5plugin.Blosc(cname=cname, shuffle=at % 3) for at, cname in enumerate(BLOSC)]


@pytest.mark.parametrize("packed", [*PACKED, hdf5plugin.Zstd()], ids=[*BLOSC, "alone"])
def test_every_codec_of_blosc_and_zstd(partwise, packed):
    x = matrix(np.dtype("i4"))
    source = anndata.AnnData(sp.csr_matrix(x), obs=frame(300, "cell"), layers={"dense": 2 * x})
    source.write_h5ad(partwise.path("x.h5ad"))
    with h5py.File(partwise.path("x.h5ad"), "a") as file:
        for name in ["X/data", "X/indices", "X/indptr", "layers/dense"]:
            values, attributes = file[name][:], dict(file[name].attrs)
            del file[name]
            file.create_dataset(name, data=values, chunks=True, **packed).attrs.update(attributes)
    back = partwise.export("x.h5ad")
    assert (dense(back.X) == x).all()
    assert (dense(partwise.export("x.h5ad", "--layer", "dense").X) == 2 * x).all()


def test_layers_and_raw_with_genes_of_its_own(partwise):
    whole = anndata.AnnData(sp.csr_matrix(matrix(np.float32, 1)), var=frame(70, "gene"))
    part = whole[:, :30].copy()
    part.raw = whole
    part.layers["doubled"] = part.X * 2
    part.X = part.X - 1 * (part.X > 0.2)  # some are negative, as scaled values are
    part.write_h5ad(partwise.path("x.h5ad"))
    refused = partwise.run("convert", "x.h5ad", "-o", "x.pw")
    assert refused.returncode == 65 and "negative" in refused.stderr
    layer = partwise.export("x.h5ad", "--layer", "doubled")
    assert (dense(layer.X) == dense(part.layers["doubled"])).all() and list(layer.var_names) == list(part.var_names)
    raw = partwise.export("x.h5ad", "--raw")
    assert (dense(raw.X) == dense(whole.X)).all() and list(raw.var_names) == list(whole.var_names)


def test_unsorted_duplicate_and_stored_zero_entries(partwise):
    indptr, indices, data = [0, 4, 4, 6], [3, 1, 3, 0, 2, 1], np.array([1, 2, 5, 0, 7, 0], "f4")
    source = anndata.AnnData(obs=pd.DataFrame(index=list("abc")), var=pd.DataFrame(index=list("wxyz")))
    source.write_h5ad(partwise.path("x.h5ad"))
    with h5py.File(partwise.path("x.h5ad"), "a") as file:
        if "X" in file:
            del file["X"]
        group = file.create_group("X")
        group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": [3, 4]})
        for name, value in (("indptr", indptr), ("indices", indices), ("data", data)):
            group[name] = value
    back = partwise.export("x.h5ad")
    assert (dense(back.X) == [[0, 2, 0, 6], [0, 0, 0, 0], [0, 0, 7, 0]]).all()
    assert partwise.json("info", "there.pw")["nonzeros"] == 3


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["u1", "i2", ">i4", "u8", "f2", "f4", ">f8", "?"])
def test_arrays_of_every_type_byte_order_and_memory_order(partwise, dtype, order):
    x = matrix(np.int64) % 2 if dtype == "?" else matrix(np.int64)
    np.save(partwise.path("x.npy"), np.asarray(x.astype(dtype), order=order))
    back = partwise.export("x.npy")
    assert (dense(back.X) == x).all()
    assert list(back.obs_names[:3]) == ["0", "1", "2"]
    assert (dense(partwise.export("x.npy", "--transpose").X) == x.T).all()


def test_doubles_are_rounded_to_the_nearest_float_and_that_is_said(partwise):
    x = np.random.default_rng(2).random((50, 20))
    np.save(partwise.path("x.npy"), x)
    said = partwise.run("convert", "x.npy", "-o", "x.pw").stderr
    assert "rounded" in said
    assert (dense(partwise.export("x.npy").X) == x.astype("f4")).all()


def test_values_that_are_no_counts_are_said_and_where_the_counts_are(partwise):
    """A run with the option that the line names has no such line."""
    counts = sp.random(300, 20, 0.3, "csr", "f4", 1, lambda n: np.random.default_rng(1).integers(1, 50, n))
    logged = counts.log1p().tocsr()
    places = {
        "--layer counts": anndata.AnnData(logged, layers={"more": logged * 2, "counts": counts}),
        "--raw": anndata.AnnData(counts),
        "X, without --layer and --raw": anndata.AnnData(counts, layers={"logged": logged}),
    }
    places["--raw"].raw = places["--raw"].copy()
    places["--raw"].X = logged
    for at, (option, file) in enumerate(places.items()):
        file.write_h5ad(partwise.path("x.h5ad"))
        asked = ["--layer", "logged"] if at == 2 else []
        said = partwise.run("convert", "x.h5ad", *asked, "-o", "x.pw", "--force").stderr
        lines = [line for line in said.splitlines() if "are not counts" in line]
        assert len(lines) == 1 and lines[0].endswith(option), said
        followed = option.split() if at < 2 else []
        assert "not counts" not in partwise.run("convert", "x.h5ad", *followed, "-o", "x.pw", "--force").stderr
    anndata.AnnData(logged).write_h5ad(partwise.path("x.h5ad"))
    said = partwise.run("convert", "x.h5ad", "-o", "x.pw", "--force").stderr
    assert "are not counts" in said and "elsewhere" not in said


def test_info_lists_matrices_their_values_and_their_stores(partwise):
    counts = sp.random(300, 20, 0.3, "csr", "f4", 1, lambda n: np.random.default_rng(1).integers(1, 50, n))
    scaled = counts.toarray() - 1
    file = anndata.AnnData(counts.log1p().tocsr(), layers={"counts": sp.csc_matrix(counts), "scaled": scaled})
    file.raw = anndata.AnnData(counts)
    file.write_h5ad(partwise.path("x.h5ad"))
    partwise.json("fit", "x.h5ad", "--layer", "counts", "-k", 2, "-o", "r.h5ad")
    said = partwise.json("info", "x.h5ad")
    assert (said["dataset"], said["integer"], said["store"]) == ("X", False, None)
    others = {other["dataset"]: other for other in said["others"]}
    assert set(others) == {"layers/counts", "layers/scaled", "raw/X"}
    assert others["layers/counts"]["integer"] and others["layers/counts"]["largest"] == counts.max()
    assert others["layers/counts"]["options"] == "--layer counts"
    assert others["layers/counts"]["store"].endswith("x.counts.pw") and others["raw/X"]["store"] is None
    assert "negative" in others["layers/scaled"]["problem"] and others["layers/scaled"]["integer"] is None
    text = partwise.run("info", "x.h5ad").stdout
    assert "with --raw: 300 cells" in text and "its store is ./x.counts.pw" in text, text


def test_a_chunk_that_its_index_places_elsewhere_is_no_chunk_of_zeros(partwise):
    """h5py refuses the file; libraries without that check read zeros."""
    values = np.arange(40 * 20, dtype="f4").reshape(40, 20) + 1
    for filters in [{}, {"compression": "gzip"}]:
        with h5py.File(partwise.path("x.h5"), "w") as file:
            chunks = file.create_dataset("X", data=values, chunks=(16, 10), **filters)
            bytes_of = {info.chunk_offset: info.size for info in map(chunks.id.get_chunk_info, range(6))}
        content = partwise.path("x.h5").read_bytes()
        # A record of the index: bytes, filters left out, the first row and column, and the size of an element's.
        record = struct.pack("<IIQQQ", bytes_of[16, 10], 0, 16, 10, 0)
        assert content.count(record) >= 1
        for damaged in [record[:8] + b"\xff" * 8 + record[16:], record[:4] + struct.pack("<I", 1 << 20) + record[8:]]:
            partwise.path("x.h5").write_bytes(content.replace(record, damaged))
            refused = partwise.run("convert", "x.h5", "-o", "x.pw")
            assert refused.returncode == 65 and 'dataset "X" has' in refused.stderr, refused.stderr


def test_a_lost_chunk_among_thousands_is_no_chunk_of_zeros(partwise):
    values = np.arange(5000 * 20, dtype="f4").reshape(5000, 20) + 1
    with h5py.File(partwise.path("x.h5"), "w") as file:
        file.create_dataset("X", data=values, chunks=(1, 20))
    assert partwise.run("convert", "x.h5", "-o", "whole.pw").returncode == 0
    content = partwise.path("x.h5").read_bytes()
    record = struct.pack("<IIQQQ", 80, 0, 3210, 0, 0)
    assert content.count(record) >= 1
    partwise.path("x.h5").write_bytes(content.replace(record, record[:8] + b"\xff" * 8 + record[16:]))
    refused = partwise.run("convert", "x.h5", "-o", "x.pw")
    assert refused.returncode == 65 and 'dataset "X" has 5000 chunks, but only' in refused.stderr, refused.stderr


def test_an_archive_whose_directory_is_cut_has_no_chunks_of_zeros(partwise):
    x = sp.random(300, 20, 0.3, "csr", "f4", 1)
    anndata.AnnData(x).write_zarr(partwise.path("x.zarr"))
    archive = partwise.path("x.zarr.zip")
    with zipfile.ZipFile(archive, "w") as packed:
        for path in sorted(partwise.path("x.zarr").rglob("*")):
            packed.write(path, path.relative_to(partwise.path("x.zarr")))
    assert partwise.run("convert", "x.zarr.zip", "-o", "x.pw").returncode == 0
    content = bytearray(archive.read_bytes())
    records = [at for at in range(len(content)) if content[at : at + 4] == b"PK\x01\x02"]
    content[records[len(records) // 2]] = 0
    archive.write_bytes(content)
    refused = partwise.run("convert", "x.zarr.zip", "-o", "y.pw")
    assert refused.returncode == 65 and f"a directory of {len(records)} files" in refused.stderr, refused.stderr
