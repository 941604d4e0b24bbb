"""Scores of genes are the regression that numpy makes of the same usages."""

import anndata
import numpy as np
import pytest
import scipy.sparse as sp


def regression(x, w, counts=True):
    """cNMF's `gene_spectra_score`: z-scores of values per million on the usages, without an intercept."""
    x = (x.toarray() if sp.issparse(x) else x).astype("f8")
    if counts:
        totals = x.sum(1, keepdims=True)
        x = np.divide(1e6 * x, totals, out=np.zeros_like(x), where=totals > 0)
    z = (x - x.mean(0)) / np.sqrt(np.maximum(x.var(0), 1e-12))
    return np.linalg.lstsq(w.astype("f8"), z, rcond=1e-10)[0].T


def agrees(file, x, counts=True):
    found, want = np.asarray(file.varm["gene_scores"], "f8"), regression(x, np.asarray(file.obsm["X_nmf"]), counts)
    assert found.shape == want.shape
    # Each program has a scale of its own.
    most = np.abs(want).max(0)
    assert (np.abs(found - want).max(0) <= 1e-4 * most).all(), np.abs(found - want).max(0) / most


@pytest.mark.parametrize("options", [[], ["--scale", "std"], ["--solver", "mu"], ["--solver", "bpp"], ["-k", "1"]])
def test_scores_are_numpys(partwise, counts, options):
    k = [] if "-k" in options else ["-k", "6"]
    said = partwise.json("fit", counts, *k, *options, "--max-passes", 12, "-o", "r.h5ad")
    file = anndata.read_h5ad(partwise.path("r.h5ad"))
    assert said["score_passes"] == file.uns["nmf"]["score_passes"] == 1
    assert len(file.uns["nmf"]["trace"]["pass"]) <= said["passes"] <= 12
    agrees(file, anndata.read_h5ad(counts).X)
    if "std" in options:
        scaled = np.asarray(file.varm["spectra"]) / file.var["scale"].to_numpy()[:, None]
        np.testing.assert_allclose(file.varm["spectra_scaled"], scaled, rtol=1e-6)
    parts = file.uns["nmf"]["programs"]
    w, h = np.asarray(file.obsm["X_nmf"], "f8"), np.asarray(file.varm["spectra"], "f8").T
    model = (w.T @ w) * (h @ h.T)
    np.testing.assert_allclose(parts["variance"], model.sum(1) / model.sum(), rtol=1e-5)
    np.testing.assert_allclose(parts["counts"], w.sum(0) * h.sum(1) / (w.sum(0) * h.sum(1)).sum(), rtol=1e-5)
    shares = w * h.sum(1)
    shares = np.divide(shares, shares.sum(1, keepdims=True), out=np.zeros_like(shares), where=shares.sum(1, keepdims=True) > 0)
    np.testing.assert_allclose(parts["usage"], shares.mean(0), rtol=1e-5)


def test_scores_of_some_genes_and_cells(partwise, counts):
    data = anndata.read_h5ad(counts)
    genes, cells = data.var_names[::3], data.obs_names[data.X.sum(1).A1 > 350]
    partwise.path("genes.txt").write_text("\n".join(genes))
    partwise.path("cells.txt").write_text("\n".join(cells))
    partwise.json("fit", counts, "-k", 4, "--genes-file", "genes.txt", "--cells-file", "cells.txt", "--max-passes", 6, "-o", "r.h5ad")
    file = anndata.read_h5ad(partwise.path("r.h5ad"))
    # The totals of cells are over all genes.
    x = data[cells].X.toarray().astype("f8")
    million = 1e6 * x / x.sum(1, keepdims=True)
    agrees(file, million[:, data.var_names.isin(genes)], counts=False)


def test_values_that_are_no_counts_are_scored_as_they_are(partwise, counts):
    data = anndata.read_h5ad(counts)
    data.X = np.log1p(data.X.toarray()).astype("f4")
    data.write_h5ad(partwise.path("log.h5ad"))
    partwise.json("fit", "log.h5ad", "-k", 4, "--max-passes", 6, "-o", "r.h5ad")
    file = anndata.read_h5ad(partwise.path("r.h5ad"))
    assert not file.uns["nmf"]["scores_of_tpm"]
    agrees(file, data.X, counts=False)


def test_each_fit_of_a_set_has_the_scores_that_it_has_alone_for_any_threads(partwise, counts):
    set_of = ["-k", "3,5", "--seed", "0,1", "--max-passes", 5]
    partwise.json("fit", counts, *set_of, "-o", "one", "--threads", 1, "--store", "x.pw")
    partwise.json("fit", "x.pw", *set_of, "-o", "two", "--threads", 3)
    for k in (3, 5):
        for seed in (0, 1):
            name = f"k{k}.seed{seed}.h5ad"
            assert (partwise.path("one") / name).read_bytes() == (partwise.path("two") / name).read_bytes()
            partwise.json("fit", "x.pw", "-k", k, "--seed", seed, "--max-passes", 5, "-o", "alone.h5ad", "--force")
            alone, one = (anndata.read_h5ad(path) for path in (partwise.path("alone.h5ad"), partwise.path("one") / name))
            assert (alone.varm["gene_scores"] == one.varm["gene_scores"]).all()


def test_scores_can_be_left_out(partwise, counts):
    said = partwise.json("fit", counts, "-k", 3, "--max-passes", 4, "--no-scores", "-o", "r.h5ad")
    file = anndata.read_h5ad(partwise.path("r.h5ad"))
    assert said["score_passes"] == file.uns["nmf"]["score_passes"] == 0
    assert "gene_scores" not in file.varm and "programs" not in file.uns["nmf"]


def test_a_store_without_sums_per_million_has_the_same_scores(partwise, counts):
    """Stores of format 1.0 have none; they are taken in the read for the scores."""
    import json
    import read_store

    partwise.json("convert", counts, "-o", "x.pw")
    partwise.json("fit", "x.pw", "-k", 4, "--max-passes", 4, "-o", "new.h5ad")
    folder = partwise.path("x.pw")
    manifest = read_store.read_manifest(folder)
    del manifest["per_million"], manifest["crc32c"]
    (folder / "million.bin").unlink()
    text = json.dumps(manifest, indent=2)[:-2].encode() + b",\n"
    (folder / "manifest.json").write_bytes(text + b'"crc32c": "%08x"}\n' % read_store.crc32c(text))
    partwise.json("fit", "x.pw", "-k", 4, "--max-passes", 4, "-o", "old.h5ad")
    new, old = (np.asarray(anndata.read_h5ad(partwise.path(name)).varm["gene_scores"]) for name in ("new.h5ad", "old.h5ad"))
    assert np.abs(new - old).max() <= 1e-5 * np.abs(new).max()


def test_info_shows_the_genes_of_each_program(partwise, counts):
    partwise.json("fit", counts, "-k", 3, "--max-passes", 6, "-o", "r.h5ad")
    file = anndata.read_h5ad(partwise.path("r.h5ad"))
    scores = np.asarray(file.varm["gene_scores"])
    want = [list(file.var_names[np.argsort(-scores[:, c], kind="stable")[:8]]) for c in range(3)]
    assert partwise.json("info", "r.h5ad")["top_genes"] == want
    text = partwise.run("info", "r.h5ad").stdout
    for program, genes in enumerate(want):
        line = next(line for line in text.splitlines() if line.startswith(f"{program:>7}  "))
        assert line.endswith(" ".join(genes)) and "%" in line and "#" in line
    partwise.json("fit", counts, "-k", 3, "--max-passes", 6, "--no-scores", "-o", "r.h5ad", "--force")
    h = np.asarray(file.varm["spectra"])
    want = [list(file.var_names[np.argsort(-h[:, c], kind="stable")[:8]]) for c in range(3)]
    assert partwise.json("info", "r.h5ad")["top_genes"] == want
    assert "largest weight" in partwise.run("info", "r.h5ad").stdout
