"""Genes are selected as cNMF selects them."""

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

REFERENCE = "pbmc3k_raw_csr_f32_gzip"


def per_million(x):
    x = sp.csr_matrix(x).astype("f8")
    totals = np.asarray(x.sum(1)).ravel()
    return sp.diags(1e6 / np.where(totals > 0, totals, 1)) @ x


def overdispersion(t):
    """cNMF's score of every gene of T, cells x genes, by its definition in pandas."""
    mean = pd.Series(np.asarray(t.mean(0)).ravel())
    variance = pd.Series(np.asarray(t.power(2).mean(0)).ravel()) - mean**2
    fano = variance / mean
    a = (np.sqrt(variance) / mean)[mean.sort_values(ascending=False, kind="stable")[:20].index].min()
    (low, high), (least, most) = mean.quantile([0.1, 0.9]), fano.quantile([0.1, 0.9])
    box = (fano > least) & (fano < most) & (mean > low) & (mean < high)
    return fano / (a**2 * mean + fano[box].median())


def counts(cells=2000, genes=500, seed=3):
    rng = np.random.default_rng(seed)
    rates = rng.gamma(0.4, 1, (cells, 5)) @ rng.gamma(0.3, 1, (5, genes)) * rng.gamma(0.2, 2, genes)
    x = sp.csr_matrix(rng.poisson(rates).astype("f4"))
    x[:, 17] = 0
    x[5] = 0
    x.eliminate_zeros()
    return anndata.AnnData(x, var=pd.DataFrame(index=[f"gene, {i}" for i in range(genes)]))


def table(partwise, *options, source="x.h5ad"):
    said = partwise.json("genes", source, "-o", "genes.csv", "--force", *options)
    return said, pd.read_csv(partwise.path("genes.csv"), index_col="gene")


def test_scores_are_those_of_the_definition(partwise):
    data = counts()
    data.write_h5ad(partwise.path("x.h5ad"))
    said, genes = table(partwise, "--hvg", 100)
    want = overdispersion(per_million(data.X))
    assert list(genes.index) == list(data.var_names) and said["per_million"] and said["passes"] == 0
    np.testing.assert_allclose(genes["overdispersion"], want, rtol=1e-8)
    assert list(genes["cells"]) == list(np.asarray((data.X > 0).sum(0)).ravel())
    assert set(np.flatnonzero(genes["highly_variable"])) == set(want.sort_values(ascending=False)[:100].index)
    assert (said["selected"], said["genes"]) == (100, 500)
    assert said["least_score"] == pytest.approx(want.sort_values(ascending=False).iloc[99])


def test_only_genes_of_enough_cells_are_judged(partwise):
    data = counts()
    data.write_h5ad(partwise.path("x.h5ad"))
    _, genes = table(partwise, "--min-cells", 50, "--hvg", 40)
    enough = np.asarray((data.X > 0).sum(0)).ravel() >= 50
    assert 50 < enough.sum() < 490
    # Values per million are of whole cells; means, quantiles and the choice are of these genes.
    want = overdispersion(per_million(data.X).tocsc()[:, enough])
    np.testing.assert_allclose(genes["overdispersion"][enough], want, rtol=1e-8)
    assert genes["overdispersion"][~enough].isna().all() and not genes["highly_variable"][~enough].any()


def test_fit_and_pca_take_the_same_genes(partwise):
    data = counts()
    data.write_h5ad(partwise.path("x.h5ad"))
    _, genes = table(partwise, "--hvg", 60)
    chosen = list(genes.index[genes["highly_variable"]])
    partwise.path("chosen.txt").write_text("\n".join(chosen))
    for verb in (["fit", "x.h5ad", "-k", 3, "--scale", "std"], ["pca", "x.h5ad", "-c", 5]):
        one = partwise.json(*verb, "--hvg", 60, "-o", "one.h5ad", "--force")
        other = partwise.json(*verb, "--genes-file", "chosen.txt", "-o", "other.h5ad", "--force")
        assert list(anndata.read_h5ad(partwise.path("one.h5ad")).var_names) == chosen
        assert one["digest"] == other["digest"] and one["genes"] == 60
    # A result of other genes is none of this fit's.
    fit = ["fit", "x.h5ad", "-k", 3, "-o", "r.h5ad", "--hvg"]
    partwise.json(*fit, 60)
    assert partwise.run(*fit, 60, "--resume").returncode == 0
    assert partwise.run(*fit, 61, "--resume").returncode == 73


def test_values_that_are_no_counts_are_taken_as_they_are(partwise):
    data = counts()
    data.X = sp.csr_matrix(data.X.multiply(0.37)).astype("f4")
    data.write_h5ad(partwise.path("x.h5ad"))
    said, genes = table(partwise, "--hvg", 100)
    assert not said["per_million"]
    np.testing.assert_allclose(genes["overdispersion"], overdispersion(data.X.astype("f8")), rtol=1e-6)
    assert "no counts" in partwise.run("fit", "x.h5ad", "-k", 2, "--hvg", 50, "-o", "r.h5ad").stderr


def test_mistakes_are_named(partwise):
    data = counts()
    data.write_h5ad(partwise.path("x.h5ad"))

    def fails(code, *arguments):
        ran = partwise.run(*arguments)
        assert ran.returncode == code, ran.stderr
        return ran.stderr

    assert "1 or more" in fails(2, "genes", "x.h5ad", "--hvg", 0)
    partwise.path("none.txt").write_text("gene, 17\n")
    assert "no nonzero entry" in fails(65, "genes", "x.h5ad", "--genes-file", "none.txt")
    partwise.path("x.genes.csv").write_text("my notes\n")
    assert "x.genes.csv" in fails(73, "genes", "x.h5ad", "--force")
    assert partwise.path("x.genes.csv").read_text() == "my notes\n"
    said = fails(2, "fit", "x.h5ad", "-k", 10, "--hvg", 5, "-o", "r.h5ad")
    assert "5 genes" in said


def test_the_genes_of_a_reference_run_are_selected(partwise, real):
    reference = real(f"cnmf/{REFERENCE}")
    data = anndata.read_h5ad(real(f"counts/{REFERENCE}.h5ad"))
    data.var_names_make_unique()
    x = sp.csr_matrix(data.X)
    data = data[:, np.asarray((x > 0).sum(0)).ravel() >= 3].copy()
    data = data[np.asarray(data.X.sum(1)).ravel() >= 200].copy()
    anndata.AnnData(sp.csr_matrix(data.X), obs=data.obs[[]], var=data.var[[]]).write_h5ad(partwise.path("x.h5ad"))
    _, genes = table(partwise)
    want = (reference / "overdispersed_genes.txt").read_text().split()
    assert list(genes.index[genes["highly_variable"]]) == want
