"""A store follows docs/format.md: a reader written from that page alone gives the matrix."""

import anndata
import numpy as np
import pytest
import scipy.sparse as sp

import read_store


def test_a_store_of_counts_read_by_the_book(partwise, counts):
    partwise.json("convert", counts, "-o", "x.pw")
    want = anndata.read_h5ad(counts).X
    assert (sp.csr_matrix(read_store.read_store(partwise.path("x.pw"))) != want).nnz == 0


def test_a_store_of_fractions_read_by_the_book(partwise, counts):
    source = anndata.read_h5ad(counts)[:700].copy()
    source.X = source.X.multiply(1 / np.asarray(source.X.sum(1))).tocsr().astype("f4")
    source.write_h5ad(partwise.path("x.h5ad"))
    partwise.json("convert", "x.h5ad", "-o", "x.pw")
    assert (sp.csr_matrix(read_store.read_store(partwise.path("x.pw"))) != source.X).nnz == 0


@pytest.mark.parametrize("kind", ["counts", "fractions", "floats"])
def test_packed_rows_read_by_the_book(partwise, kind):
    """Shallow cells: a run of a gene is short, and tiles pack their rows."""
    rng = np.random.default_rng(5)
    frequency = rng.permutation(np.minimum(0.9, 6.0 / np.arange(1, 1501)))
    x = np.where(rng.random((600, 1500)) < frequency, rng.geometric(0.7, (600, 1500)), 0).astype("f4")
    if kind == "fractions":
        x /= np.maximum(x.sum(1, keepdims=True), 1)
    if kind == "floats":
        x *= rng.random(x.shape, "f4")
    anndata.AnnData(sp.csr_matrix(x)).write_h5ad(partwise.path("x.h5ad"))
    partwise.json("convert", "x.h5ad", "-o", "x.pw")
    assert read_store.read_manifest(partwise.path("x.pw"))["must_understand"] == ["packed rows"]
    assert (read_store.read_store(partwise.path("x.pw")).toarray() == x).all()


def test_a_dense_store_read_by_the_book(partwise):
    partwise.json("simulate", "--kind", "clusters", "--cells", 600, "--genes", 90, "-o", "x.h5ad")
    partwise.json("convert", "x.h5ad", "-o", "x.pw")
    want = anndata.read_h5ad(partwise.path("x.h5ad")).X
    assert (sp.csr_matrix(read_store.read_store(partwise.path("x.pw"))) != sp.csr_matrix(want)).nnz == 0


@pytest.mark.parametrize("kind", ["counts", "fractions", "dense"])
def test_sums_per_million_are_numpys(partwise, counts, kind):
    source = anndata.read_h5ad(counts)[:900].copy()
    source.X[5] = 0
    if kind == "fractions":
        source.X = source.X.multiply(0.37).tocsr().astype("f4")
    if kind == "dense":
        source.X = source.X.toarray() + np.float32(0.5)
    source.write_h5ad(partwise.path("x.h5ad"))
    partwise.json("convert", "x.h5ad", "-o", "x.pw")
    x = (source.X.toarray() if sp.issparse(source.X) else source.X).astype("f8")
    totals = x.sum(1, keepdims=True)
    million = np.divide(1e6 * x, totals, out=np.zeros_like(x), where=totals > 0)
    found = read_store.read_per_million(partwise.path("x.pw"))
    np.testing.assert_allclose(found["sum"], million.sum(0), rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(found["sum_sq"], (million**2).sum(0), rtol=1e-12, atol=1e-9)
    # Lower blocks and other threads change nothing, and neither do several files.
    partwise.json("convert", "x.pw", "-o", "low.pw", "--block-rows", 256)
    partwise.json("convert", "x.h5ad", "-o", "one.pw", "--threads", 1)
    source[:300].write_h5ad(partwise.path("a.h5ad"))
    source[300:].write_h5ad(partwise.path("b.h5ad"))
    partwise.json("convert", "a.h5ad", "b.h5ad", "-o", "joined.pw")
    for other in ("low.pw", "one.pw", "joined.pw"):
        assert (read_store.read_per_million(partwise.path(other)) == found).all(), other


def test_damaged_sums_per_million_are_refused(partwise, counts):
    partwise.json("convert", counts, "-o", "x.pw")
    path = partwise.path("x.pw") / "million.bin"
    damaged = bytearray(path.read_bytes())
    damaged[100] ^= 4
    path.write_bytes(damaged)
    ran = partwise.run("fit", "x.pw", "-k", 2)
    assert ran.returncode == 65 and "million.bin" in ran.stderr, ran.stderr
