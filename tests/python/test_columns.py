"""Columns and names of every kind: the result shows the values that anndata shows for the input, and
opens in anndata whatever the input has. A column that it cannot have is named and left out."""

import pathlib
import warnings

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

CELLS = 4
STRING = h5py.string_dtype()
MASK = np.array([0, 1, 0, 0], bool)


def said(dataset, encoding, version="0.2.0"):
    dataset.attrs["encoding-type"], dataset.attrs["encoding-version"] = encoding, version
    return dataset


def array(values, encoding="array", **options):
    return lambda obs: said(obs.create_dataset("c", data=values, **options), encoding)


def categorical(codes, categories):
    def write(obs):
        group = said(obs.create_group("c"), "categorical")
        group.attrs["ordered"] = True
        said(group.create_dataset("codes", data=codes), "array")
        texts = isinstance(categories, list)
        options = {"dtype": STRING} if texts else {}
        said(group.create_dataset("categories", data=categories, **options), "string-array" if texts else "array")

    return write


def nullable(encoding, values, mask):
    def write(obs):
        group = said(obs.create_group("c"), encoding, "0.1.0")
        texts = values.dtype.kind == "O"
        options = {"dtype": STRING} if texts else {}
        said(group.create_dataset("values", data=values, **options), "string-array" if texts else "array")
        said(group.create_dataset("mask", data=mask), "array")

    return write


def padded_with_spaces(obs):
    kind = h5py.h5t.C_S1.copy()
    kind.set_size(4)
    kind.set_strpad(h5py.h5t.STR_SPACEPAD)
    made = h5py.h5d.create(obs.id, b"c", kind, h5py.h5s.create_simple((CELLS,)))
    made.write(h5py.h5s.ALL, h5py.h5s.ALL, np.array([b"a", b"bb", b"c", b"dddd"], "S4"))


def latin(obs):
    said(obs.create_dataset("c", (CELLS,), dtype=STRING), "string-array")[...] = [b"a\xe9", b"b", b"c", b"d"]


def legacy(obs):
    obs.attrs["encoding-version"] = "0.1.0"
    categories = obs.create_dataset("__categories/c", data=["x", "y"], dtype=STRING)
    categories.attrs["ordered"] = True
    obs.create_dataset("c", data=np.array([0, 1, 1, 0], np.int8)).attrs["categories"] = categories.ref


def beside(name):
    """A file beside the input with the values 1.5, 2.5, 3.5, 4.5 and two categories."""

    def write(obs):
        with h5py.File(f"{obs.file.filename.rsplit('/', 1)[0]}/{name}", "w") as other:
            said(other.create_dataset("values", data=np.arange(CELLS) + 1.5), "array")
            said(other.create_dataset("categories", data=["x", "y"], dtype=STRING), "string-array")

    return write


def virtual(obs):
    beside("other.h5")(obs)
    layout = h5py.VirtualLayout((CELLS,), "f8")
    layout[:] = h5py.VirtualSource("other.h5", "values", (CELLS,))
    said(obs.create_virtual_dataset("c", layout, fillvalue=-1), "array")


def external(obs):
    beside("other.h5")(obs)
    obs["c"] = h5py.ExternalLink("other.h5", "/values")


def soft(obs):
    said(obs.file.create_dataset("uns/elsewhere", data=np.arange(CELLS)), "array")
    obs["c"] = h5py.SoftLink("/uns/elsewhere")


def external_categories(obs):
    beside("other.h5")(obs)
    categorical(np.array([0, 1, -1, 0], np.int8), ["x", "y"])(obs)
    del obs["c/categories"]
    obs["c/categories"] = h5py.ExternalLink("other.h5", "/categories")


def lost(write):
    def and_lose(obs):
        write(obs)
        pathlib.Path(obs.file.filename).parent.joinpath("other.h5").unlink()

    return and_lose


def sparse(obs):
    anndata.io.write_elem(obs, "c", sp.csr_matrix(np.ones((CELLS, 2))))


CODES = np.array([0, 1, -1, 0], np.int8)

READABLE = {
    "floats": array(np.array([1, np.nan, 3, 4])),
    "16-bit floats": array(np.arange(CELLS).astype("f2")),
    "big-endian": array(np.arange(CELLS).astype(">i4")),
    "booleans": array(MASK),
    "an enum": array(CODES % 2, dtype=h5py.enum_dtype({"A": 0, "B": 1}, basetype="i1")),
    "complex": array(np.arange(CELLS) * (1 + 2j)),
    "strings": array(np.array(["a", "é", "", "d"], object), "string-array", dtype=STRING),
    "strings of one length": array(np.array([b"a", b"bb", b"", b"dddd"], "S4"), "string-array"),
    "strings padded with spaces": padded_with_spaces,
    "categories": categorical(CODES, ["x", "y"]),
    "unsigned codes": categorical(np.array([0, 1, 1, 0], np.uint8), ["x", "y"]),
    "categories of numbers": categorical(CODES, np.array([1.0, 2.0])),
    "categories of booleans": categorical(CODES, np.array([True, False])),
    "categories by reference": legacy,
    "nullable integers": nullable("nullable-integer", np.arange(CELLS), MASK),
    "nullable booleans": nullable("nullable-boolean", MASK, MASK),
    "nullable strings": nullable("nullable-string-array", np.array(list("abcd"), object), MASK),
    "compressed": array(np.arange(CELLS), chunks=(3,), compression="gzip", shuffle=True),
    "lossy": array(np.arange(CELLS), chunks=(3,), scaleoffset=0),
    "virtual": virtual,
    "an external link": external,
    "a soft link": soft,
    "categories in another file": external_categories,
}

LEFT_OUT = {
    "two dimensions": array(np.ones((CELLS, 1))),
    "records": array(np.zeros(CELLS, [("a", "i4"), ("b", "f8")])),
    "bytes": array(np.array([b"ab"] * CELLS, "V2")),
    "a scalar": lambda obs: obs.create_dataset("c", data=3.0),
    "nothing": lambda obs: obs.create_dataset("c", data=h5py.Empty("f4")),
    "a sparse matrix": sparse,
    "equal categories": categorical(CODES, ["x", "x"]),
    "a category that is NaN": categorical(CODES, np.array([1, np.nan])),
    "categories of 16-bit floats": categorical(CODES, np.array([1, 2], "f2")),
    "categories of two dimensions": categorical(CODES, np.ones((2, 1))),
    "codes that are booleans": categorical(MASK, ["x", "y"]),
    "codes that are floats": categorical(np.zeros(CELLS, "f4"), ["x", "y"]),
    "a code without category": categorical(np.array([0, 1, 2, 0], np.int8), ["x", "y"]),
    "a mask that is no mask": nullable("nullable-integer", np.arange(CELLS), MASK.astype("u1")),
    "floats as nullable integers": nullable("nullable-integer", np.arange(CELLS) * 1.0, MASK),
    "too few values": nullable("nullable-integer", np.arange(CELLS - 1), MASK),
    "a virtual column without its source": lost(virtual),
    "an external link to nothing": lost(external),
    "categories in a file that is gone": lost(external_categories),
    "a column that is not there": lambda obs: None,
}


def with_column(path, write):
    anndata.AnnData(sp.csr_matrix(np.ones((CELLS, 3), np.float32))).write_h5ad(path)
    with h5py.File(path, "a") as file:
        obs = file["obs"]
        obs.attrs["column-order"] = np.array(["c"], dtype=STRING)
        write(obs)


def results(partwise):
    """The input's results, exported and fitted, as anndata opens them, and what was said."""
    ran = partwise.run("convert", "x.h5ad", "-o", "x.pw")
    assert ran.returncode == 0, ran.stderr
    partwise.json("export", "x.pw", "-o", "back.h5ad")
    partwise.json("fit", "x.pw", "-k", 1, "--max-passes", 1, "-o", "result.h5ad")
    return [anndata.read_h5ad(partwise.path(name)) for name in ["back.h5ad", "result.h5ad"]], ran.stderr


@pytest.mark.parametrize("kind", READABLE)
def test_a_column_has_the_values_of_the_input(partwise, kind):
    with_column(partwise.path("x.h5ad"), READABLE[kind])
    source = anndata.read_h5ad(partwise.path("x.h5ad"))
    there, stderr = results(partwise)
    for back in there:
        pd.testing.assert_frame_equal(back.obs, source.obs)
    assert "not copied" not in stderr


@pytest.mark.parametrize("kind", LEFT_OUT)
def test_a_column_that_anndata_cannot_read_is_left_out(partwise, kind):
    with_column(partwise.path("x.h5ad"), LEFT_OUT[kind])
    there, stderr = results(partwise)
    for back in there:
        assert list(back.obs) == []
    assert '"obs/c" was not copied' in stderr, stderr


def test_text_that_is_not_utf8_does_not_make_the_result_unreadable(partwise):
    with_column(partwise.path("x.h5ad"), latin)
    there, _ = results(partwise)
    for back in there:
        assert list(back.obs["c"]) == ["a\ufffd", "b", "c", "d"]


@pytest.mark.parametrize(
    "names",
    [
        np.array([3, 1, -2, 10**12]),
        np.array([1, 1.5, 1e16, 1e-5]),
        np.array([0.1, 123456.75, 1e22, np.inf]),
        np.array([1, 0.1, 16777216, 0.25], np.float32),
        np.array([True, False, True, True]),
        np.array([1, 2, 3, 255], np.uint8),
    ],
    ids=str,
)
def test_names_are_the_strings_that_anndata_shows(partwise, names):
    path = partwise.path("x.h5ad")
    with_column(path, array(np.arange(CELLS)))
    with h5py.File(path, "a") as file:
        obs = file["obs"]
        del obs["_index"]
        said(obs.create_dataset("_index", data=names), "array")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source = anndata.read_h5ad(path)
    there, _ = results(partwise)
    for back in there:
        assert list(back.obs_names) == list(source.obs_names)


def test_an_empty_table_and_columns_in_another_order(partwise):
    path = partwise.path("x.h5ad")
    with_column(path, array(np.arange(CELLS)))
    with h5py.File(path, "a") as file:
        obs = file["obs"]
        said(obs.create_dataset("a", data=np.arange(CELLS)), "array")
        obs.attrs["column-order"] = np.array(["c", "gone", "a"], dtype=STRING)
        del file["var"].attrs["column-order"]
        file["var"].attrs["column-order"] = np.array([], dtype=STRING)
    there, stderr = results(partwise)
    for back in there:
        assert list(back.obs) == ["c", "a"] and list(back.var) == []
    assert '"obs/gone" was not copied' in stderr


def test_a_matrix_whose_source_is_gone_is_refused(partwise):
    path = partwise.path("x.h5ad")
    with h5py.File(partwise.path("other.h5"), "w") as other:
        other["values"] = np.ones((CELLS, 3), "f4")
    layout = h5py.VirtualLayout((CELLS, 3), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "values", (CELLS, 3))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("X", layout, fillvalue=0)
    assert (np.asarray(partwise.export("x.h5ad").X) == 1).all()
    partwise.path("other.h5").unlink()
    refused = partwise.run("convert", "x.h5ad", "-o", "y.pw")
    assert refused.returncode == 65 and '"values" of other.h5' in refused.stderr, refused.stderr
