"""AnnData in zarr stores of every flavour goes through a store and comes back as anndata and zarr
read it, value for value and name for name."""

import os
import shutil
import warnings
import zipfile

import anndata
import numcodecs
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import zarr

warnings.filterwarnings("ignore", module="zarr|anndata")

from test_inputs import dense, frame, matrix  # noqa: E402

CELLS, GENES = 300, 70


def annotated(x=None):
    x = matrix(np.dtype("f4")) if x is None else x
    obs = frame(CELLS, "cell")
    obs["whole"] = pd.array([None if i % 5 == 0 else i for i in range(CELLS)], dtype="Int64")
    obs["maybe"] = pd.array([None if i % 4 == 0 else i % 3 == 0 for i in range(CELLS)], dtype="boolean")
    return anndata.AnnData(x, obs=obs, var=frame(GENES, "gene"))


@pytest.fixture(params=[2, 3])
def version(request):
    with anndata.settings.override(zarr_write_format=request.param):
        yield request.param


def opened(partwise):
    return zarr.open_group(str(partwise.path("x.zarr")), mode="r+")


def compare(back, expected):
    assert (dense(back.X) == dense(expected.X)).all()
    pd.testing.assert_frame_equal(back.obs, expected.obs, check_dtype=False)
    pd.testing.assert_frame_equal(back.var, expected.var, check_dtype=False)


def zipped(folder, archive, compression):
    """A zip archive of the folder, with entries for folders."""
    with zipfile.ZipFile(archive, "w", compression) as out:
        for at, folders, files in os.walk(folder):
            for name in folders + files:
                path = os.path.join(at, name)
                out.write(path, os.path.relpath(path, folder))


LAYOUTS = [sp.csr_matrix, sp.csc_matrix, np.asarray]


@pytest.mark.parametrize("at, dtype", list(enumerate(["f4", "f8", "i8", "u1", "u2", "i4", "f2"])))
def test_what_anndata_writes(partwise, version, at, dtype):
    """Each type in two layouts, one in each version; scipy has no sparse matrices of halves."""
    layout = np.asarray if dtype == "f2" else LAYOUTS[(at + version) % 3]
    source = annotated(layout(matrix(np.dtype(dtype))))
    source.write_zarr(partwise.path("x.zarr"))
    compare(partwise.export("x.zarr"), anndata.read_zarr(partwise.path("x.zarr")))
    said = partwise.json("info", "x.zarr")
    assert said["cells"] == CELLS and said["genes"] == GENES


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zip_archives(partwise, version, compression):
    source = annotated(sp.csr_matrix(matrix(np.dtype("f4"))))
    source.write_zarr(partwise.path("x.zarr"))
    zipped(partwise.path("x.zarr"), partwise.path("x.zarr.zip"), compression)
    compare(partwise.export("x.zarr.zip"), source)


def test_a_zip_archive_of_many_files(partwise):
    """From 65,535 files on, the end of an archive has another form."""
    source = annotated(sp.csr_matrix(matrix(np.dtype("f4"))))
    source.write_zarr(partwise.path("x.zarr"))
    zipped(partwise.path("x.zarr"), partwise.path("x.zarr.zip"), zipfile.ZIP_STORED)
    with zipfile.ZipFile(partwise.path("x.zarr.zip"), "a") as archive:
        for at in range(66_000):
            archive.writestr(f"uns/{at}", b"")
    compare(partwise.export("x.zarr.zip"), source)


def test_layers_raw_and_transposed(partwise, version):
    whole = annotated(sp.csr_matrix(matrix(np.dtype("f4"))))
    part = whole[:, :30].copy()
    part.raw = whole
    part.layers["by gene"] = sp.csc_matrix(part.X * 2)
    part.layers["dense"] = (part.X * 3).toarray()
    part.write_zarr(partwise.path("x.zarr"), chunks=(37, 11))
    for layer in ["by gene", "dense"]:
        back = partwise.export("x.zarr", "--layer", layer)
        assert (dense(back.X) == dense(part.layers[layer])).all()
        assert list(back.var_names) == list(part.var_names)
    raw = partwise.export("x.zarr", "--raw")
    assert (dense(raw.X) == dense(whole.X)).all()
    pd.testing.assert_frame_equal(raw.var, whole.var, check_dtype=False)
    for option in [[], ["--layer", "by gene"], ["--layer", "dense"]]:
        turned = partwise.export("x.zarr", "--transpose", *option)
        expected = part.layers[option[1]] if option else part.X
        assert (dense(turned.X) == dense(expected).T).all()
        assert list(turned.obs_names) == list(part.var_names) and list(turned.var_names) == list(part.obs_names)
    missing = partwise.run("convert", "x.zarr", "--layer", "counts", "-o", "there.pw", "--force")
    assert missing.returncode == 65 and "by gene" in missing.stderr, missing.stderr


COMPRESSORS = {
    2: [
        None,
        numcodecs.Zlib(),
        numcodecs.GZip(),
        numcodecs.Zstd(),
        numcodecs.LZ4(),
        *[
            numcodecs.Blosc(cname=cname, shuffle=shuffle, blocksize=blocksize)
            for cname in ["lz4", "zstd", "blosclz", "zlib"]
            for shuffle in [0, 1, 2]
            for blocksize in [0, 1024]
        ],
    ],
    3: [
        None,
        zarr.codecs.GzipCodec(),
        zarr.codecs.ZstdCodec(level=3, checksum=True),
        *[
            zarr.codecs.BloscCodec(cname=cname, shuffle=shuffle)
            for cname in ["lz4", "zstd", "blosclz", "zlib"]
            for shuffle in ["shuffle", "bitshuffle", "noshuffle"]
        ],
        (zarr.codecs.ZstdCodec(), zarr.codecs.Crc32cCodec()),
    ],
}


def test_every_codec_type_and_order_of_a_table(partwise, version):
    """X is written by zarr, in one store after the other; chunks do not fit the table."""
    annotated().write_zarr(partwise.path("x.zarr"))
    chunks = [(300, 70), (7, 13), (1, 70), (512, 100)]
    dtypes = ["<f4", ">f8", "<i8", ">u2", "|u1"]
    # Their numbers are coprime, so that each pair of a chunk and a type comes.
    for at, compressor in enumerate(COMPRESSORS[version]):
        dtype = dtypes[at % len(dtypes)]
        x = matrix(np.dtype(dtype))
        x[40:90] = 0  # chunks of zeros only, which zarr leaves out
        order = "CF"[at % 2] if version == 2 else "C"
        codecs = dict(compressors=compressor)
        if version == 3 and at % 3 == 1:
            codecs["filters"] = [zarr.codecs.TransposeCodec(order=(1, 0))]
        if version == 3 and dtype.startswith(">"):
            codecs["serializer"] = zarr.codecs.BytesCodec(endian="big")
        group = opened(partwise)
        del group["X"]
        array = group.create_array(
            "X", shape=x.shape, dtype=x.dtype, chunks=chunks[at % len(chunks)], order=order, fill_value=0, **codecs
        )
        array[:] = x
        array.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
        back = partwise.export("x.zarr")
        assert (dense(back.X) == x).all(), (compressor, dtype, order)


@pytest.mark.parametrize("start", [False, True])
def test_shards(partwise, start):
    """Inner chunks that straddle rows, whole shards and single inner chunks that are absent."""
    x = matrix(np.dtype("f4"))
    x[100:200] = 0
    with anndata.settings.override(zarr_write_format=3):
        annotated(sp.csr_matrix(x)).write_zarr(partwise.path("x.zarr"))
    group = opened(partwise)
    location = "start" if start else "end"

    def shard(name, values, chunks, shards, **attributes):
        if name in group:
            del group[name]
        array = group.create_array(
            name,
            shape=values.shape,
            dtype=values.dtype,
            chunks=shards,
            compressors=None,
            fill_value=0,
            serializer=zarr.codecs.ShardingCodec(
                chunk_shape=chunks,
                codecs=[zarr.codecs.BytesCodec(), zarr.codecs.ZstdCodec()],
                index_location=location,
            ),
        )
        array[:] = values
        array.attrs.update(attributes)

    for part in ["data", "indices", "indptr"]:
        shard(f"X/{part}", group[f"X/{part}"][:], (97,), (970,))
    shard("layers/dense", x, (20, 9), (60, 45), **{"encoding-type": "array", "encoding-version": "0.2.0"})
    assert (dense(partwise.export("x.zarr").X) == x).all()
    assert (dense(partwise.export("x.zarr", "--layer", "dense").X) == x).all()
    assert (dense(partwise.export("x.zarr", "--layer", "dense", "--transpose").X) == x.T).all()
    zipped(partwise.path("x.zarr"), partwise.path("x.zarr.zip"), zipfile.ZIP_DEFLATED)
    assert (dense(partwise.export("x.zarr.zip").X) == x).all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_defaults_of_later_versions_of_anndata(partwise, layout):
    """Shards, nullable strings, and indices of few bytes."""
    settings = dict(
        zarr_write_format=3,
        auto_shard_zarr_v3=True,
        allow_write_nullable_strings=True,
        write_csr_csc_indices_with_min_possible_dtype=True,
    )
    source = annotated(layout(matrix(np.dtype("f4"))))
    source.obs["unsure"] = pd.array([None if i % 3 else f"µ{i}" for i in range(CELLS)], dtype="string")
    with anndata.settings.override(**settings):
        source.write_zarr(partwise.path("x.zarr"), convert_strings_to_categoricals=False)
        compare(partwise.export("x.zarr"), anndata.read_zarr(partwise.path("x.zarr")))


def test_nullable_strings_as_names_and_column(partwise, version):
    """As anndata 0.13 writes names: a group of values and a mask."""
    source = annotated(sp.csr_matrix(matrix(np.dtype("f4"))))
    source.write_zarr(partwise.path("x.zarr"))
    group = opened(partwise)
    for at in ["obs/_index", "var/_index", "obs/text"]:
        values = source.obs["text"] if at == "obs/text" else getattr(source, f"{at[:3]}_names")
        if at in group:
            del group[at]
        column = group.create_group(at)
        column.attrs.update({"encoding-type": "nullable-string-array", "encoding-version": "0.1.0"})
        anndata.io.write_elem(column, "values", np.array(list(values), dtype=object))
        anndata.io.write_elem(column, "mask", np.zeros(len(values), dtype=bool))
    back = partwise.export("x.zarr")
    assert list(back.obs_names) == list(source.obs_names) and list(back.var_names) == list(source.var_names)
    assert list(back.obs["text"].astype(str)) == list(source.obs["text"].astype(str))


def test_a_column_that_cannot_be_copied_is_left_out(partwise, version):
    annotated(sp.csr_matrix(matrix(np.dtype("f4")))).write_zarr(partwise.path("x.zarr"))
    group = opened(partwise)
    del group["obs/score"]
    group.create_array("obs/score", data=np.zeros(CELLS, dtype="c16"))
    ran = partwise.run("convert", "x.zarr", "-o", "there.pw")
    assert ran.returncode == 0 and "obs/score" in ran.stderr, ran.stderr
    partwise.json("export", "there.pw", "-o", "back.h5ad")
    back = anndata.read_h5ad(partwise.path("back.h5ad"))
    assert "score" not in back.obs and "count" in back.obs


def test_fixed_strings_and_missing_names(partwise, version):
    x = matrix(np.dtype("f4"))
    group = zarr.open_group(str(partwise.path("x.zarr")), mode="w", zarr_format=version)
    group.create_array("X", data=x)
    obs = group.create_group("obs")
    obs.attrs.update({"_index": "name", "column-order": ["short"]})
    obs.create_array("name", data=np.array([f"zelle µ{i}" for i in range(CELLS)]))
    obs.create_array("short", data=np.array([b"a", b"bc"] * (CELLS // 2)))
    back = partwise.export("x.zarr")
    assert list(back.obs_names) == [f"zelle µ{i}" for i in range(CELLS)]
    assert list(back.obs["short"].astype(str)[:2]) == ["a", "bc"]
    assert list(back.var_names) == [str(i) for i in range(GENES)]
    assert (dense(back.X) == x).all()


def test_a_changed_store_is_converted_again(partwise, version):
    """Times and sizes of folders do not change with the files in them."""
    annotated(matrix(np.dtype("f4"))).write_zarr(partwise.path("x.zarr"))

    def fit():
        partwise.json("fit", "x.zarr", "-k", 2, "-o", "a.h5ad", "--max-passes", 2, "--force")
        spectra = anndata.read_h5ad(partwise.path("a.h5ad")).varm["spectra"]
        return spectra, partwise.path("x.pw/manifest.json").stat().st_mtime_ns

    (first, made), (again, kept) = fit(), fit()
    assert np.array_equal(first, again) and kept == made, "the store of the same input is used again"
    opened(partwise)["X"][:] = matrix(np.dtype("f4"), seed=5)
    changed, renewed = fit()
    assert not np.array_equal(changed, first) and renewed > made


def test_a_damaged_store_is_refused(partwise, version):
    annotated(sp.csr_matrix(matrix(np.dtype("f4")))).write_zarr(partwise.path("x.zarr"))
    chunk = partwise.path("x.zarr") / "X" / "data" / ("0" if version == 2 else "c/0")
    whole = chunk.read_bytes()
    for changed in [whole[: len(whole) // 2], b"", whole[:4] + b"\xff\xff\xff\xff" + whole[8:], os.urandom(len(whole))]:
        chunk.write_bytes(changed)
        ran = partwise.run("convert", "x.zarr", "-o", "there.pw", "--force")
        assert ran.returncode == 65 and "X/data" in ran.stderr and ran.stderr.count("\n") == 1, ran.stderr
    shutil.rmtree(partwise.path("x.zarr") / "X" / "indptr")
    ran = partwise.run("convert", "x.zarr", "-o", "there.pw", "--force")
    assert ran.returncode == 65 and "X/indptr" in ran.stderr, ran.stderr


def test_records_of_the_first_versions(partwise):
    """Tables were lists of records, and categories lay in `uns`."""
    x = matrix(np.dtype("f4"))
    group = zarr.open_group(str(partwise.path("x.zarr")), mode="w", zarr_format=2)
    group.create_array("X", data=x, chunks=(64, 70))
    obs = np.zeros(CELLS, dtype=[("index", "S9"), ("score", "<f4"), ("batch", "i1"), ("flag", "?"), ("big", ">i4")])
    obs["index"] = [f"cell{i}" for i in range(CELLS)]
    obs["score"], obs["batch"] = np.arange(CELLS) / 4, np.arange(CELLS) % 3 - 1
    obs["flag"], obs["big"] = np.arange(CELLS) % 2 == 0, np.arange(CELLS) * 1000
    var = np.zeros(GENES, dtype=[("index", "<U9"), ("batch", "<i8")])
    var["index"], var["batch"] = [f"gen_é{i}" for i in range(GENES)], np.arange(GENES)
    group.create_array("obs", data=obs, chunks=(100,))
    group.create_array("var", data=var, chunks=(100,))
    uns = group.create_group("uns")
    uns.create_array("batch_categories", data=np.array(["first", "second"]))
    back = partwise.export("x.zarr")
    assert (dense(back.X) == x).all()
    assert list(back.obs_names) == [f"cell{i}" for i in range(CELLS)]
    assert list(back.var_names) == [f"gen_é{i}" for i in range(GENES)]
    assert list(back.obs["score"]) == list(obs["score"]) and list(back.obs["big"]) == list(obs["big"])
    assert list(back.obs["flag"]) == list(obs["flag"])
    names = pd.Categorical.from_codes(obs["batch"], ["first", "second"])
    assert list(back.obs["batch"].astype(object).fillna("")) == list(pd.Series(names).astype(object).fillna(""))
    assert list(back.var["batch"]) == list(range(GENES))  # no codes of these categories


def test_names_and_columns_of_real_stores(partwise, real):
    old = real("formats/scanpy_10x_10k_cells_1000genes_dense.zarr")
    back, tables = partwise.export(old), zarr.open_group(str(old), mode="r")
    for names, table in [(back.obs_names, tables["obs"][:]), (back.var_names, tables["var"][:])]:
        assert list(names) == [name.decode() for name in table["index"]]
    assert list(back.var["gene_ids"]) == [name.decode() for name in tables["var"][:]["gene_ids"]]

    archive = real("formats/anndata_archive_v0.7.0.zarr.zip")
    expected = anndata.read_h5ad(real("formats/anndata_archive_v0.7.0.h5ad"))
    raw, main = partwise.export(archive, "--raw"), partwise.export(archive)
    pd.testing.assert_frame_equal(main.obs, expected.obs, check_dtype=False)
    pd.testing.assert_frame_equal(main.var, expected.var, check_dtype=False)
    pd.testing.assert_frame_equal(raw.var, expected.raw.var, check_dtype=False)
    assert (dense(raw.X) == dense(expected.raw.X)).all()
