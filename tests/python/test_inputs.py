"""Files that anndata, h5py and numpy write go through a store and come back value for value, name
for name."""

import anndata
import h5py
import hdf5plugin  # noqa: F401 - registers filters with h5py
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
