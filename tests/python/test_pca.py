"""Principal components agree with scikit-learn, within the memory and with the same bits for any of it."""

import signal
import subprocess
import time

import anndata
import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.decomposition import PCA

C = 8


class Result:
    """The file of a run, in f64."""

    def __init__(self, path):
        self.file = anndata.read_h5ad(path)
        self.scores = np.asarray(self.file.obsm["X_pca"], np.float64)
        self.axes = np.asarray(self.file.varm["PCs"], np.float64)
        self.ratio = np.asarray(self.file.uns["pca"]["variance_ratio"])
        self.variance = np.asarray(self.file.uns["pca"]["variance"])


def run(partwise, source, *options, name="r.pca.h5ad"):
    said = partwise.json("pca", source, "-c", C, *options, "-o", name, "--force")
    return said, Result(partwise.path(name))


def logarithms(x, target=None):
    """As scanpy's normalize_total and log1p."""
    x = sp.csr_matrix(x, dtype=np.float64)
    totals = np.asarray(x.sum(1)).ravel()
    target = np.median(totals[totals > 0]) if target is None else target
    x = sp.diags(np.divide(target, totals, out=np.zeros_like(totals), where=totals > 0)) @ x
    return x.log1p()


def standardized(x):
    """Genes divided by their standard deviations, constant ones by 1."""
    x = np.asarray(x.toarray() if sp.issparse(x) else x, np.float64)
    std = x.std(0)
    return x / np.where(std > 0, std, 1)


def assert_agrees(result, x, sure=C):
    """The first `sure` components are not of noise, whose variances lie close together."""
    gram = result.file.uns["partwise_pca"]["method"] == "gram"
    x = np.asarray(x.toarray() if sp.issparse(x) else x, np.float64)
    expected = PCA(C, svd_solver="arpack", random_state=0).fit(x)
    np.testing.assert_allclose(result.ratio[:sure], expected.explained_variance_ratio_[:sure], rtol=2e-3)
    np.testing.assert_allclose(result.ratio, expected.explained_variance_ratio_, rtol=1e-6 if gram else 1e-2)
    np.testing.assert_allclose(result.variance[:sure], expected.explained_variance_[:sure], rtol=2e-3)
    cosines = np.abs((result.axes * expected.components_.T).sum(0))
    assert (cosines[:3] > 0.999).all(), cosines
    scores = (x - x.mean(0)) @ result.axes
    assert np.abs(result.scores - scores).max() < 2e-3 * np.abs(scores).max()
    np.testing.assert_allclose(result.axes.T @ result.axes, np.eye(C), atol=1e-5)
    largest = np.abs(result.axes).argmax(0)
    assert (result.axes[largest, range(C)] > 0).all()


def values(path):
    return anndata.read_h5ad(path).X


@pytest.mark.parametrize(
    ("options", "of"),
    [
        ((), lambda x: x),
        (("--scale", "std"), standardized),
        (("--log1p",), logarithms),
        (("--log1p", "--target-sum", "1e4"), lambda x: logarithms(x, 1e4)),
        (("--log1p", "--scale", "std"), lambda x: standardized(logarithms(x))),
    ],
)
@pytest.mark.parametrize("method", ["gram", "krylov"])
def test_components_agree_with_scikit_learn(partwise, counts, options, of, method):
    said, result = run(partwise, counts, *options, "--method", method)
    assert_agrees(result, of(values(counts)), sure=4)
    assert said["method"] == method
    assert said["passes"] <= (3 if method == "gram" else 8)
    assert (said["cells"], said["genes"], said["components"]) == (3000, 800, C)
    np.testing.assert_allclose(said["variance_ratio"], result.ratio)
    x = of(values(counts))
    x = x.toarray() if sp.issparse(x) else x
    assert said["total_variance"] == pytest.approx(x.var(0, ddof=1, dtype=np.float64).sum(), rel=1e-5)


@pytest.mark.parametrize("options", [(), ("--log1p",), ("--scale", "std")])
def test_dense_values_agree_too(partwise, options):
    rng = np.random.default_rng(1)
    for genes in [40, 700]:
        x = (rng.gamma(2, 1, (500, 6)) @ rng.gamma(0.3, 1, (6, genes)) + rng.gamma(1, 0.3, (500, genes))).astype(np.float32)
        np.save(partwise.path("x.npy"), x)
        _, result = run(partwise, "x.npy", *options, "--store", f"x{genes}.pw")
        x = x.astype(np.float64)
        assert_agrees(result, {(): x, ("--log1p",): logarithms(x).toarray()}.get(options, standardized(x)))


@pytest.mark.parametrize("genes", [100, 600])
@pytest.mark.parametrize("options", [(), ("--log1p",), ("--log1p", "--method", "gram")])
def test_some_genes_and_cells(partwise, counts, genes, options):
    file = anndata.read_h5ad(counts)
    rng = np.random.default_rng(2)
    some_genes = np.sort(rng.choice(file.n_vars, genes, replace=False))
    some_cells = np.sort(rng.choice(file.n_obs, 2000, replace=False))
    partwise.path("genes.txt").write_text("\n".join(file.var_names[some_genes]))
    partwise.path("cells.txt").write_text("\n".join(file.obs_names[some_cells]))
    said, result = run(partwise, counts, *options, "--genes-file", "genes.txt", "--cells-file", "cells.txt")
    x = file.X[some_cells]
    # The sums of cells are over all genes.
    x = logarithms(x) if options else x
    assert_agrees(result, x[:, some_genes])
    assert (said["cells"], said["genes"]) == (2000, genes)
    assert said["passes"] <= 8
    assert list(result.file.obs_names) == list(file.obs_names[some_cells])
    assert list(result.file.var_names) == list(file.var_names[some_genes])


def test_the_file_has_the_keys_of_scanpy(partwise, counts):
    said, result = run(partwise, counts, "--log1p", "--seed", 3)
    file = result.file
    assert file.obsm["X_pca"].dtype == np.float32 and file.obsm["X_pca"].shape == (3000, C)
    assert file.varm["PCs"].dtype == np.float32 and file.varm["PCs"].shape == (800, C)
    assert set(file.uns["pca"]) == {"params", "variance", "variance_ratio"}
    assert file.uns["pca"]["params"]["zero_center"]
    about = file.uns["partwise_pca"]
    assert about["digest"] == said["digest"] and about["seed"] == "3" and about["log1p"]
    totals = np.asarray(values(counts).sum(1)).ravel()
    assert about["target_sum"] == np.median(totals[totals > 0])
    assert list(file.obs_names) == list(anndata.read_h5ad(counts).obs_names)


@pytest.mark.parametrize("options", [(), ("--log1p", "--scale", "std"), ("--method", "gram"), ("--log1p", "--method", "gram")])
def test_threads_and_memory_change_no_bit(partwise, counts, options):
    _, _ = run(partwise, counts, *options, "--threads", 1, name="a.h5ad")
    for i, more in enumerate([("--threads", 5), ("--threads", 2, "--memory", "40M"), ()]):
        said, _ = run(partwise, counts, *options, *more, name="b.h5ad")
        assert partwise.path("a.h5ad").read_bytes() == partwise.path("b.h5ad").read_bytes(), more
        assert said["peak_rss_bytes"] <= said["planned_peak_bytes"] <= said["memory_bytes"]


@pytest.mark.parametrize("options", [("--method", "krylov"), ("--log1p", "--method", "krylov"), ("--log1p", "--method", "gram"), ("--log1p",)])
def test_checkpoints_stay_within_the_memory_and_change_no_bit(partwise, counts, options):
    alone, _ = run(partwise, counts, *options, name="a.h5ad")
    for resumed in [0, alone["passes"] - 1]:
        said, _ = run(partwise, counts, *options, "--memory", "40M", "--checkpoint", "c", "--checkpoint-every", 1, "--resume", name="b.h5ad")
        assert said["resumed_from_pass"] == resumed
        assert partwise.path("a.h5ad").read_bytes() == partwise.path("b.h5ad").read_bytes()
        assert said["peak_rss_bytes"] <= said["planned_peak_bytes"] <= said["memory_bytes"]


def test_a_cell_without_counts_stays_zero(partwise):
    rng = np.random.default_rng(3)
    x = rng.poisson(1.0, (300, 60)).astype(np.float32)
    x[[0, 17]] = 0
    anndata.AnnData(sp.csr_matrix(x)).write_h5ad(partwise.path("x.h5ad"))
    _, result = run(partwise, "x.h5ad", "--log1p")
    assert_agrees(result, logarithms(x))


@pytest.mark.parametrize(("kind", "times"), [pytest.param("sparse", 1.5, marks=pytest.mark.long), ("dense", 4)])
def test_memory_stays_within_the_budget(partwise, kind, times):
    """At the smallest budget, which is a part of the packed data."""
    if kind == "sparse":
        partwise.json("simulate", "--kind", "counts", "--cells", 120000, "--genes", 2500, "--programs", 5, "--depth", 3500, "-o", "large.h5ad")
        store = partwise.json("convert", "large.h5ad", "-o", "large.pw")
        partwise.path("large.h5ad").unlink()
    else:
        rng = np.random.default_rng(4)
        x = rng.random((170000, 250), np.float32) + rng.random((170000, 3), np.float32) @ rng.random((3, 250), np.float32)
        np.save(partwise.path("large.npy"), x)
        store = partwise.json("convert", "large.npy", "-o", "large.pw")
        partwise.path("large.npy").unlink()
    for options in [("-c", 20), ("-c", 40, "--log1p", "--scale", "std"), ("-c", 20, "--log1p", "--method", "gram")]:
        line = refused(partwise, 2, "large.pw", *options, "--memory", "1M", "-o", "r.h5ad")
        least = int(line.split("--memory ")[1].split("M")[0])
        # The Gram matrix of 2,500 genes takes about as much as these data.
        assert "gram" in options or store["bytes"] > times * least * 2**20, (store, least)
        tight = partwise.json("pca", "large.pw", *options, "--memory", f"{least}M", "-o", "tight.h5ad", "--force")
        assert tight["peak_rss_bytes"] <= tight["planned_peak_bytes"] <= least * 2**20, tight
        ample = partwise.json("pca", "large.pw", *options, "-o", "ample.h5ad", "--force")
        assert ample["peak_rss_bytes"] <= ample["planned_peak_bytes"], ample
        assert partwise.path("tight.h5ad").read_bytes() == partwise.path("ample.h5ad").read_bytes()


def refused(partwise, code, *arguments):
    ran = partwise.run("pca", *arguments)
    lines = ran.stderr.strip().splitlines()
    assert ran.returncode == code and ran.stdout == "", ran
    assert len(lines) == 1 and lines[0].startswith("partwise: "), ran.stderr
    return lines[0]


def test_errors_name_the_problem(partwise, counts):
    before = sorted(path.name for path in partwise.folder.iterdir())
    assert "1 ≤ k ≤ 800" in refused(partwise, 2, counts, "-c", 801)
    refused(partwise, 2, counts, "-c", 0)
    refused(partwise, 2, counts, "--target-sum", 1e4)
    refused(partwise, 2, counts, "--log1p", "--target-sum", 0)
    refused(partwise, 2, counts, "--seed", "0,1")
    refused(partwise, 66, "missing.h5ad")
    refused(partwise, 2, counts, "-o", counts, "--force")
    line = refused(partwise, 2, counts, "--memory", "10M")
    assert sorted(path.name for path in partwise.folder.iterdir()) == before
    # A remedy that is printed works.
    least = line.split("--memory ")[1].split("M")[0]
    partwise.json("pca", counts, "--memory", f"{least}M", "-o", "least.h5ad", "--quiet")
    partwise.path("genes.txt").write_text("\n".join(anndata.read_h5ad(counts).var_names[:5]))
    assert "1 ≤ k ≤ 5" in refused(partwise, 2, counts, "-c", 6, "--genes-file", "genes.txt", "--quiet", "-o", "x.h5ad")
    assert "least.h5ad" in refused(partwise, 73, counts, "-o", "least.h5ad", "--quiet")
    anndata.AnnData(np.ones((50, 60), np.float32)).write_h5ad(partwise.path("alike.h5ad"))
    assert "do not vary" in refused(partwise, 65, "alike.h5ad", "-c", 3, "--quiet")


def test_an_interrupted_run_leaves_no_result(partwise):
    partwise.json("simulate", "--kind", "counts", "--cells", 40000, "--genes", 3000, "--programs", 5, "--depth", 1500, "-o", "large.h5ad")
    partwise.json("convert", "large.h5ad", "-o", "large.pw")
    before = sorted(path.name for path in partwise.folder.iterdir())
    command = [partwise.binary, "pca", "large.pw", "--log1p", "-o", "r.h5ad"]
    for wait in [0.2, 0.6, 1.2]:
        started = subprocess.Popen(command, cwd=partwise.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(wait)
        started.send_signal(signal.SIGINT)
        _, said = started.communicate(timeout=60)
        assert started.returncode == 130, said
        assert "interrupted" in said.strip().splitlines()[-1]
        assert sorted(path.name for path in partwise.folder.iterdir()) == before


def test_real_counts_agree(partwise, real):
    source = real("counts/pbmc3k_raw_csr_f32_gzip.h5ad")
    for options, of in [((), lambda x: x), (("--log1p",), logarithms)]:
        _, result = run(partwise, source, *options)
        assert_agrees(result, of(values(source)))
