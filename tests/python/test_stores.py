"""A store follows docs/format.md: a reader written from that page alone gives the matrix."""

import anndata
import numpy as np
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


def test_a_dense_store_read_by_the_book(partwise):
    partwise.json("simulate", "--kind", "clusters", "--cells", 600, "--genes", 90, "-o", "x.h5ad")
    partwise.json("convert", "x.h5ad", "-o", "x.pw")
    want = anndata.read_h5ad(partwise.path("x.h5ad")).X
    assert (sp.csr_matrix(read_store.read_store(partwise.path("x.pw"))) != sp.csr_matrix(want)).nnz == 0
