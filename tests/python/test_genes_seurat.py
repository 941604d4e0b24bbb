"""Genes are selected as scanpy selects them with flavor="seurat_v3": by its formula, with its loess curve."""

import anndata
import hdf5plugin  # noqa: F401, for the files that are packed with zstd
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from skmisc.loess import loess

REAL = [
    "pbmc3k_raw_csr_f32_gzip",
    "pbmc_donorA_raw_csr_f32_zstd",
    "pbmc1k_v2_raw_csr_u16_i64idx_gzip",
    "pbmc_kang_ctrl_stim_csc_i32_lzf",
    "worm_l2_sparse_csc_f64_gzip",
]


def standardized(x):
    """Means, variances and standardized variances of the genes of counts X, cells x genes."""
    x = sp.csc_matrix(x).astype("f8")
    n = x.shape[0]
    # Sums of counts are exact: genes of equal sums have equal means, as cuts of the curve need it.
    mean, mean_sq = (np.asarray(of.sum(0)).ravel() / n for of in (x, x.multiply(x)))
    variance = (mean_sq - mean**2) * n / (n - 1)
    varies = variance > 1e-12
    curve = loess(np.log10(mean[varies]), np.log10(variance[varies]), span=0.3, degree=2)
    curve.fit()
    usual = np.ones(x.shape[1])
    usual[varies] = 10**curve.outputs.fitted_values
    limit = mean + np.sqrt(usual * n)
    clipped = x.copy()
    clipped.data = np.minimum(clipped.data, np.repeat(limit, np.diff(x.indptr)))
    sums, squares = (np.asarray(of.sum(0)).ravel() for of in (clipped, clipped.multiply(clipped)))
    return mean, variance, (n * mean**2 + squares - 2 * sums * mean) / ((n - 1) * usual)


def assert_highest(chosen, want, number):
    """The chosen genes are the highest, whatever the order of those that differ in the last digits only."""
    assert chosen.sum() == number
    assert want[chosen].min() >= want[~chosen].max() * (1 - 1e-9)


def counts(cells=1500, genes=600, seed=3):
    rng = np.random.default_rng(seed)
    rates = rng.gamma(0.4, 1, (cells, 5)) @ rng.gamma(0.3, 1, (5, genes)) * rng.gamma(0.5, 2, genes)
    x = rng.poisson(rates).astype("f4")
    # Cells with far more of one gene than all others have.
    x[rng.integers(0, cells, 40), rng.integers(0, genes, 40)] += 300
    x[:, 17], x[:, 18] = 0, 2
    var = pd.DataFrame(index=[f"gene{i}" for i in range(genes)])
    return anndata.AnnData(sp.csr_matrix(x), obs=pd.DataFrame(index=[f"cell{i}" for i in range(cells)]), var=var)


def table(partwise, *options, source="x.h5ad"):
    said = partwise.json("genes", source, "-o", "genes.csv", "--force", "--hvg-method", "seurat_v3", *options)
    return said, pd.read_csv(partwise.path("genes.csv"), index_col="gene")


def test_scores_are_those_of_the_formula(partwise):
    data = counts()
    data.write_h5ad(partwise.path("x.h5ad"))
    said, genes = table(partwise, "--hvg", 100)
    mean, variance, want = standardized(data.X)
    assert list(genes.columns) == [
        "cells", "mean", "variance", "expected_variance", "standardized_variance", "highly_variable"
    ]
    np.testing.assert_allclose(genes["mean"], mean, rtol=1e-12)
    np.testing.assert_allclose(genes["variance"], variance, rtol=1e-9, atol=1e-12)
    found = genes["standardized_variance"]
    # A gene that is zero everywhere has no score, and one that does not vary the score 0.
    assert np.isnan(found.iloc[17]) and found.iloc[18] == 0 and np.isnan(genes["expected_variance"].iloc[18])
    rest = np.flatnonzero(variance > 1e-12)
    assert len(rest) > 500
    np.testing.assert_allclose(found.iloc[rest], want[rest], rtol=1e-9)
    assert_highest(genes["highly_variable"], want, 100)
    assert (said["selected"], said["hvg_method"], said["passes"], said["per_million"]) == (100, "seurat_v3", 1, False)
    assert said["least_score"] == pytest.approx(np.sort(want)[-100])


def test_only_genes_of_enough_cells_are_judged(partwise):
    data = counts()
    data.write_h5ad(partwise.path("x.h5ad"))
    _, genes = table(partwise, "--min-cells", 50, "--hvg", 40)
    enough = np.asarray((data.X > 0).sum(0)).ravel() >= 50
    assert 50 < enough.sum() < 590
    want = standardized(data.X.tocsc()[:, enough])[2]
    varies = genes["variance"][enough] > 0
    np.testing.assert_allclose(genes["standardized_variance"][enough][varies], want[varies], rtol=1e-9)
    assert genes["standardized_variance"][~enough].isna().all() and not genes["highly_variable"][~enough].any()


def test_fit_pca_and_sweep_take_the_same_genes_and_keep_the_method(partwise):
    data = counts()
    data.write_h5ad(partwise.path("x.h5ad"))
    _, genes = table(partwise, "--hvg", 60)
    chosen = list(genes.index[genes["highly_variable"]])
    partwise.path("chosen.txt").write_text("\n".join(chosen))
    ask = ["--hvg", 60, "--hvg-method", "seurat_v3"]
    for verb, where in ((["fit", "x.h5ad", "-k", 3], "nmf"), (["pca", "x.h5ad", "-c", 5], "partwise_pca")):
        one = partwise.json(*verb, *ask, "-o", "one.h5ad", "--force")
        other = partwise.json(*verb, "--genes-file", "chosen.txt", "-o", "other.h5ad", "--force")
        found = anndata.read_h5ad(partwise.path("one.h5ad"))
        assert list(found.var_names) == chosen and one["digest"] == other["digest"]
        assert found.uns[where]["hvg_method"] == "seurat_v3" and found.uns[where]["hvg"] == 60
        # One read for the genes, which all fits share.
        assert one["passes"] == other["passes"] + 1
        # A result of genes of another method is none of this run.
        assert partwise.run(*verb, *ask, "-o", "one.h5ad", "--resume").returncode == 0
        refused = partwise.run(*verb, "--hvg", 60, "-o", "one.h5ad", "--resume")
        assert refused.returncode == 73 and "hvg_method = seurat_v3, " in refused.stderr, refused.stderr
    sweep = ["sweep", "x.h5ad", "-k", 3, "--replicates", 3]
    said = partwise.json(*sweep, *ask)
    assert said["selected_genes"] == 60 and said["passes"] == 2
    assert partwise.path("x.sweep/genes.txt").read_text().split() == chosen
    partwise.json("consensus", "x.sweep", "-k", 3, "-o", "c.h5ad", "--density", 2)
    assert anndata.read_h5ad(partwise.path("c.h5ad")).uns["nmf"]["hvg_method"] == "seurat_v3"
    said = partwise.json(*sweep, *ask)
    assert said["replicates_made"] == 0 and said["passes"] == 1
    refused = partwise.run(*sweep, "--hvg", 60)
    assert refused.returncode == 73 and "hvg_method = seurat_v3, not cnmf" in refused.stderr, refused.stderr


def test_threads_and_memory_change_no_byte(partwise):
    counts(cells=3000).write_h5ad(partwise.path("x.h5ad"))
    table(partwise, "--threads", 1, "--memory", "60M")
    want = partwise.path("genes.csv").read_bytes()
    for threads in (2, 7):
        table(partwise, "--threads", threads)
        assert partwise.path("genes.csv").read_bytes() == want


def test_mistakes_are_named(partwise):
    data = counts()
    data.write_h5ad(partwise.path("x.h5ad"))
    ask = ["--hvg-method", "seurat_v3"]

    def fails(code, *arguments):
        ran = partwise.run(*arguments)
        assert ran.returncode == code and "panicked" not in ran.stderr, ran.stderr
        return ran.stderr

    assert "--hvg" in fails(2, "fit", "x.h5ad", "-k", 3, *ask)
    partwise.path("few.txt").write_text("".join(f"gene{i}\n" for i in range(9)))
    said = fails(65, "genes", "x.h5ad", *ask, "--genes-file", "few.txt")
    assert "10 genes that vary" in said and "x.pw" in said and "--hvg-method cnmf" in said
    assert "--hvg N" in fails(2, "sweep", "x.h5ad", "-k", 3, "--replicates", 3, "--genes-file", "few.txt", *ask)
    data.X = sp.csr_matrix(data.X.multiply(0.37)).astype("f4")
    data.write_h5ad(partwise.path("y.h5ad"))
    for verb in (["genes"], ["fit", "-k", 3, "--hvg", 50], ["pca", "-c", 3, "--hvg", 50], ["sweep", "-k", 3, "--replicates", 3]):
        said = fails(65, verb[0], "y.h5ad", *verb[1:], *ask)
        assert "y.pw" in said and "by counts" in said and "--layer" in said and "--hvg-method cnmf" in said
    # Half of the genes have one count.
    rng = np.random.default_rng(0)
    x = rng.poisson(3, (400, 40)).astype("f4")
    x = np.hstack([x, np.eye(400, 40, dtype="f4")])
    anndata.AnnData(sp.csr_matrix(x)).write_h5ad(partwise.path("z.h5ad"))
    assert "same mean, about 2.4e-3" in (said := fails(65, "genes", "z.h5ad", *ask)) and "--min-cells" in said
    partwise.json("genes", "z.h5ad", *ask, "--min-cells", 2)


@pytest.mark.parametrize("name", REAL)
def test_genes_of_real_counts_are_those_of_the_formula(partwise, real, name):
    source = real(f"counts/{name}.h5ad")
    want = standardized(anndata.read_h5ad(source).X)[2]
    for number in (500, 2000, 3000):
        _, genes = table(partwise, "--hvg", number, source=source)
        found = genes["standardized_variance"].fillna(0)
        np.testing.assert_allclose(found, want, rtol=1e-7, atol=1e-9)
        assert_highest(genes["highly_variable"], want, number)
