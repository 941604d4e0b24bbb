"""A large store keeps a sample of its rows, as docs/format.md says, and fits start from it."""

import shutil

import anndata
import numpy as np
import pytest
import scipy.sparse as sp

import conftest
import read_store


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """The program in a folder with `x.h5ad`, large enough for a sample, and its store; and the matrix."""
    rng = np.random.default_rng(8)
    usages = rng.gamma(0.4, 1, (14_000, 5)) * rng.lognormal(0, 0.7, (14_000, 1))
    usages[::50] = 0
    x = sp.csr_matrix(rng.poisson(usages @ rng.gamma(0.8, 1.1, (5, 3000))).astype("f4"))
    program = conftest.program(tmp_path_factory.mktemp("large"))
    anndata.AnnData(x).write_h5ad(program.path("x.h5ad"))
    program.json("convert", "x.h5ad", "-o", "x.pw")
    return program, x


def test_a_large_store_keeps_a_sample_of_its_rows(large):
    partwise, x = large
    assert x.nnz > 20e6
    rows, found = read_store.read_sample(partwise.path("x.pw"))
    assert 3.9e6 < found.nnz <= 4e6
    assert (found != x[rows["row"]]).nnz == 0
    sum_sq = np.asarray(x.multiply(x).sum(1, dtype="f8")).ravel()
    assert (rows["sum_sq"] == sum_sq[rows["row"]]).all() and (rows["nonzeros"] == np.diff(x.indptr)[rows["row"]]).all()
    # p = min(1, τ·Σx²) with one τ, and sums over all rows are estimated without bias.
    tau = rows["chance"] / rows["sum_sq"]
    np.testing.assert_allclose(tau[rows["chance"] < 1], tau.max(), rtol=1e-12)
    assert (rows["chance"] <= 1).all() and (tau[rows["chance"] == 1] <= tau.max()).all()
    # Their standard deviations are 1.4 and 4.7 %.
    for of_rows, truth, allowed in ((rows["sum_sq"], sum_sq.sum(), 0.05), (rows["nonzeros"], x.nnz, 0.15)):
        estimate = (of_rows / rows["chance"]).sum()
        assert abs(estimate / truth - 1) < allowed, estimate


def test_threads_memory_and_blocks_do_not_show_in_the_sample(large):
    partwise, _ = large
    want = (partwise.path("x.pw") / "sample.bin").read_bytes()
    partwise.json("convert", "x.h5ad", "-o", "one.pw", "--threads", 1, "--memory", "64M")
    partwise.json("convert", "x.pw", "-o", "low.pw", "--block-rows", 256)
    for other in ("one.pw", "low.pw"):
        assert (partwise.path(other) / "sample.bin").read_bytes() == want, other


def test_a_fit_starts_from_the_sample_without_a_read_of_all_rows(large):
    partwise, _ = large
    info = partwise.json("info", "x.pw")
    fit = partwise.json("fit", "x.pw", "-k", 5, "--max-passes", 3, "--tol", 0, "--trace", "t.csv", "-o", "r.h5ad")
    assert info["sample_bytes"] == (partwise.path("x.pw") / "sample.bin").stat().st_size
    passes = [int(line.split(",")[0]) for line in partwise.path("t.csv").read_text().splitlines()[1:]]
    assert passes == [1, 2, 3] and fit["sample_passes"] > 0
    # Without it, a store is as one of an earlier format.
    manifest = read_store.read_manifest(partwise.path("x.pw"))
    assert manifest.pop("sample")
    shutil.copytree(partwise.path("x.pw"), partwise.path("old.pw"))
    partwise.path("old.pw").joinpath("sample.bin").unlink()
    read_store.write_manifest(partwise.path("old.pw"), manifest)
    old = partwise.json("fit", "old.pw", "-k", 5, "--max-passes", 3, "--tol", 0, "--trace", "t2.csv", "-o", "r2.h5ad")
    passes = [int(line.split(",")[0]) for line in partwise.path("t2.csv").read_text().splitlines()[1:]]
    assert passes == [2, 3] and partwise.json("info", "old.pw")["sample_bytes"] == 0
    assert abs(fit["relative_error"] / old["relative_error"] - 1) < 1e-3
    partwise.json("convert", "old.pw", "-o", "anew.pw", "--block-rows", 512)
    assert (partwise.path("anew.pw") / "sample.bin").read_bytes() == (partwise.path("x.pw") / "sample.bin").read_bytes()


def test_a_damaged_sample_is_refused_by_name(large):
    partwise, _ = large
    shutil.copytree(partwise.path("x.pw"), partwise.path("hurt.pw"))
    path = partwise.path("hurt.pw") / "sample.bin"
    content = path.read_bytes()
    for place in (100, len(content) - 1000):
        damaged = bytearray(content)
        damaged[place] ^= 4
        path.write_bytes(damaged)
        for verb in (["fit", "hurt.pw", "-k", 2, "-o", "no.h5ad"], ["verify", "hurt.pw"]):
            ran = partwise.run(*verb)
            assert ran.returncode == 65 and "sample.bin" in ran.stderr, ran.stderr
    assert not partwise.path("no.h5ad").exists()
