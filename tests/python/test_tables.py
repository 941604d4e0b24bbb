"""Matrices of other formats, against independent readers: h5py, scipy, numpy and pandas."""

import anndata
import h5py
import hdf5plugin  # noqa: F401 - registers filters with h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp


def counts(cells=300, genes=70):
    return np.random.default_rng(5).poisson(0.4, (cells, genes))


def same(back, x):
    return (sp.csr_matrix(back.X) != sp.csr_matrix(x.astype("f4"))).nnz == 0


def loom(path, x, text):
    """A loom file of cells × genes `x`; `text` makes a list of strings as a version of loom has it."""
    with h5py.File(path, "w") as file:
        file.create_dataset("matrix", data=x.T, chunks=(16, 64), compression="gzip")
        for group, axis, letter in (("col_attrs", 0, "c"), ("row_attrs", 1, "g")):
            n = x.shape[axis]
            attributes = file.create_group(group)
            attributes["CellID" if axis == 0 else "Gene"] = text([f"{letter}{i}" for i in range(n)])
            attributes["total"] = np.asarray(x.sum(1 - axis), "i8")
            attributes["label"] = text(["ab"[i % 2] for i in range(n)])
            attributes["share"] = np.linspace(0, 1, n, dtype="f4")
            attributes["table"] = np.zeros((n, 2))
        file["layers/spliced"] = (2 * x.T).astype("f4")


def fixed(strings):
    return np.array(strings, "S")


def variable(strings):
    return np.array(strings, h5py.string_dtype())


@pytest.mark.parametrize("text", [fixed, variable])
@pytest.mark.parametrize("dtype", ["f4", "f8", "u1", "i4"])
def test_loom(partwise, dtype, text):
    x = counts()
    loom(partwise.path("x.loom"), x.astype(dtype), text)
    back = partwise.export("x.loom")
    assert same(back, x)
    assert list(back.obs_names) == [f"c{i}" for i in range(300)]
    assert list(back.var_names) == [f"g{i}" for i in range(70)]
    assert set(back.obs.columns) == {"total", "label", "share"}
    assert (back.obs["total"] == x.sum(1)).all() and (back.var["total"] == x.sum(0)).all()
    assert list(back.obs["label"][:3].astype(str)) == ["a", "b", "a"]
    assert same(partwise.export("x.loom", "--layer", "spliced"), 2 * x)
    turned = partwise.export("x.loom", "--transpose")
    assert same(turned, x.T) and list(turned.obs_names) == [f"g{i}" for i in range(70)]


def test_modalities(partwise):
    x = {"rna": counts(), "atac": counts(300, 40)}
    with h5py.File(partwise.path("x.h5mu"), "w") as file:
        file.attrs["encoding-type"] = "MuData"
        file.create_group("mod")
    for name, values in x.items():
        part = anndata.AnnData(
            sp.csr_matrix(values.astype("f4")),
            obs=pd.DataFrame({"batch": pd.Categorical(["x", "y", None] * 100)}, index=[f"{name}{i}" for i in range(300)]),
            layers={"twice": 2.0 * values},
        )
        part.write_h5ad(partwise.path("part.h5ad"))
        with h5py.File(partwise.path("part.h5ad")) as source, h5py.File(partwise.path("x.h5mu"), "a") as file:
            source.copy("/", file["mod"], name)
    for name, values in x.items():
        back = partwise.export("x.h5mu", "--modality", name)
        assert same(back, values) and back.obs_names[7] == f"{name}7"
        assert list(back.obs["batch"][:2]) == ["x", "y"] and back.obs["batch"].isna().iloc[2]
        assert same(partwise.export("x.h5mu", "--modality", name, "--layer", "twice"), 2 * values)
    for options in ([], ["--modality", "protein"]):
        refused = partwise.run("convert", "x.h5mu", *options, "-o", "x.pw")
        assert refused.returncode == 65 and "--modality atac, --modality rna" in refused.stderr, refused.stderr


def test_matrices_of_plain_hdf5_files(partwise):
    x = counts()
    with h5py.File(partwise.path("x.h5"), "w") as file:
        file.create_dataset("deep/er", data=x.astype("i2"), chunks=True, compression="gzip")
        for name, matrix in (("csr", sp.csr_matrix(x)), ("csc", sp.csc_matrix(x))):
            for part in ("data", "indices", "indptr"):
                file[f"{name}/{part}"] = getattr(matrix, part)
            file[name]["shape"] = matrix.shape
    for path in ("deep/er", "/csr", "csc"):
        assert same(partwise.export("x.h5", "--dataset", path), x)
        assert same(partwise.export("x.h5", "--dataset", path, "--transpose"), x.T)
    refused = partwise.run("convert", "x.h5", "--dataset", "none", "-o", "x.pw")
    assert refused.returncode == 65 and "--dataset csc (sparse), --dataset csr (sparse), --dataset deep/er (300 × 70)" in refused.stderr


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("make", [sp.csr_matrix, sp.csc_array, sp.coo_matrix])
@pytest.mark.parametrize("dtype", ["f4", "f8", "u2", "i8"])
def test_sparse_matrices_of_scipy(partwise, make, dtype, compressed):
    x = counts()
    sp.save_npz(partwise.path("x.npz"), make(x.astype(dtype)), compressed=compressed)
    assert same(partwise.export("x.npz"), x)
    assert same(partwise.export("x.npz", "--transpose"), x.T)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_in_an_archive(partwise, save, order):
    x = counts()
    save(partwise.path("x.npz"), counts=np.asarray(x, order=order), genes=np.array(["a", "b"]))
    assert same(partwise.export("x.npz"), x)
    save(partwise.path("x.npz"), one=x, two=np.asarray(x.T, order=order))
    refused = partwise.run("convert", "x.npz", "-o", "x.pw")
    assert refused.returncode == 65 and "--dataset one (300 × 70), --dataset two (70 × 300)" in refused.stderr
    assert same(partwise.export("x.npz", "--dataset", "two", "--transpose"), x)


@pytest.mark.parametrize("name, options", [("x.csv", {}), ("x.tsv", {"sep": "\t"}), ("x.txt", {"sep": ";"}), ("x.csv.gz", {})])
@pytest.mark.parametrize("quoting", [0, 2])
def test_tables_of_text(partwise, name, options, quoting):
    x = counts() / np.random.default_rng(6).choice([1, 3], (300, 70))
    table = pd.DataFrame(x, [f"cell, {i}" for i in range(300)], [f'"g"; é{i}' for i in range(70)])
    table.to_csv(partwise.path(name), quoting=quoting, **options)
    back = partwise.export(name)
    assert same(back, x)
    assert list(back.obs_names) == list(table.index) and list(back.var_names) == list(table.columns)
    back = partwise.export(name, "--transpose")
    assert same(back, x.T) and list(back.obs_names) == list(table.columns)
