"""A consensus of replicates is that of cNMF's steps, made with scikit-learn and scipy."""

import os

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.optimize import nnls
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score
from sklearn.metrics.pairwise import euclidean_distances

CELLS, GENES, SELECTED, REPLICATES = 700, 150, 60, 12


class Run:
    """Counts with programs, and replicates of two k in the files of a cNMF run."""

    def __init__(self, folder, seed=5, strange=2):
        rng = np.random.default_rng(seed)
        programs = rng.gamma(0.2, 1, (4, GENES)) + 1e-3
        rates = rng.dirichlet(np.full(4, 0.3), CELLS) @ (programs / programs.sum(1, keepdims=True))
        x = rng.poisson(rates * rng.gamma(4, 100, (CELLS, 1))).astype("f4")
        self.chosen = np.sort(rng.choice(GENES, SELECTED, replace=False))
        x[3, self.chosen] = 0  # a cell without any selected gene
        x[:, 7] = 0
        self.x = x
        names = [f"gene{i}" for i in range(GENES)]
        data = anndata.AnnData(sp.csr_matrix(x), obs=pd.DataFrame(index=[f"cell{i}" for i in range(CELLS)]), var=pd.DataFrame(index=names))
        data.write_h5ad(folder / "x.h5ad")
        self.folder = folder / "runs" / "mine"
        (self.folder / "cnmf_tmp").mkdir(parents=True)
        self.genes = [names[i] for i in self.chosen]
        (self.folder / "mine.overdispersed_genes.txt").write_text("\n".join(self.genes))
        self.spectra = {}
        for k in (4, 5):
            base = programs[:, self.chosen]
            if k == 5:
                base = np.vstack([base, rng.gamma(0.2, 1, (1, SELECTED))])
            spectra = []
            for replicate in range(REPLICATES):
                found = base[rng.permutation(k)] * rng.gamma(30, 1 / 30, (k, SELECTED))
                if replicate >= REPLICATES - strange:
                    found[0] = rng.gamma(0.1, 1, SELECTED) + 1e-6
                spectra.append(found * rng.uniform(0.5, 2, (k, 1)))
            self.spectra[k] = np.vstack(spectra)
            self.write(k)

    def path(self, k):
        return self.folder / "cnmf_tmp" / f"mine.spectra.k_{k}.merged.df.npz"

    def write(self, k, index=None):
        rows = [f"iter{i // k}_topic{i % k + 1}" for i in range(len(self.spectra[k]))]
        index = np.array(rows, object) if index is None else index
        np.savez_compressed(self.path(k), data=self.spectra[k], index=index, columns=np.array(self.genes, object))


@pytest.fixture
def run(partwise):
    return Run(partwise.folder)


def least_squares(x, h):
    """W of min ‖X − WH‖, row by row."""
    return np.array([nnls(h.T, row)[0] for row in x])


def reference(run, k, threshold):
    """cNMF's steps."""
    spectra = run.spectra[k]
    rows = spectra / np.linalg.norm(spectra, axis=1, keepdims=True)
    distances = euclidean_distances(rows)
    n = int(0.3 * len(rows) / k)
    density = np.sort(distances)[:, : n + 1].sum(1) / n
    kept = density < threshold
    every = KMeans(k, n_init=30, random_state=1).fit_predict(rows)
    labels = KMeans(k, n_init=30, random_state=1).fit_predict(rows[kept])
    medians = np.array([np.median(rows[kept][labels == c], axis=0) for c in range(k)])
    medians /= medians.sum(1, keepdims=True)

    x = run.x.astype("f8")
    t = x / np.maximum(x.sum(1, keepdims=True), 1) * 1e6
    norm = x[:, run.chosen] / np.where((s := x[:, run.chosen].std(0, ddof=1)) > 0, s, 1)
    w = least_squares(norm, medians)
    error = ((norm - w @ medians) ** 2).sum()
    shares = w / np.maximum(w.sum(1, keepdims=True), 1e-300)
    order = np.argsort(-shares.sum(0))
    w, shares, medians = w[:, order], shares[:, order], medians[order]
    tpm = least_squares(t.T, shares.T).T
    z = (t - t.mean(0)) / np.sqrt(np.maximum(t.var(0), 1e-12))
    scores = np.linalg.solve(w.T @ w, w.T @ z)
    chosen, s = t[:, run.chosen], t[:, run.chosen].std(0, ddof=1)
    final = least_squares(chosen / np.where(s > 0, s, 1), tpm[:, run.chosen] / np.where(s > 0, t[:, run.chosen].std(0), 1))
    return {
        "density": density,
        "kept": kept.mean(),
        "stability": silhouette_score(rows, every),
        "error": error,
        "medians": medians,
        "tpm": tpm,
        "scores": scores,
        "usages": final,
        "usage": shares.mean(0),
    }


def close(got, want, most):
    assert np.abs(got - want).max() <= most * np.abs(want).max()


@pytest.mark.parametrize("k, threshold", [(4, 0.4), (4, 2.0), (5, 0.4)])
def test_every_step_is_that_of_the_reference(partwise, run, k, threshold):
    said = partwise.json("consensus", "runs/mine", "--input", "x.h5ad", "-k", k, "--density", threshold, "-o", "c.h5ad")
    want, one = reference(run, k, threshold), said["results"][0]
    assert 0.8 < want["kept"] <= 1 and (want["kept"] < 1) == (threshold < 1)
    assert said["passes"] == 2 and said["selected_genes"] == SELECTED
    assert one["kept"] == pytest.approx(want["kept"])
    assert one["stability"] == pytest.approx(want["stability"], abs=1e-6)
    assert one["error"] == pytest.approx(want["error"], rel=1e-5)
    found = anndata.read_h5ad(partwise.path("c.h5ad"))
    assert list(np.flatnonzero(found.var["highly_variable"])) == list(run.chosen)
    np.testing.assert_allclose(found.uns["nmf"]["local_density"], want["density"], atol=1e-6)
    np.testing.assert_allclose(found.uns["nmf"]["programs"]["usage"], want["usage"], atol=1e-5)
    close(found.varm["spectra"][run.chosen].T, want["medians"], 1e-6)
    assert not found.varm["spectra"][np.setdiff1d(np.arange(GENES), run.chosen)].any()
    close(found.varm["spectra_tpm"].T, want["tpm"], 1e-4)
    close(found.varm["gene_scores"].T, want["scores"], 1e-4)
    close(found.obsm["X_nmf"], want["usages"], 1e-4)
    assert one["unused_cells"] == 1 and not found.obsm["X_nmf"][3].any()


def test_threads_memory_and_other_k_change_no_bit(partwise, run):
    ask = ["consensus", "runs/mine", "--input", "x.h5ad", "--density", 0.4, "--force"]
    both = partwise.json(*ask, "-k", "4,5", "-o", "both")
    assert [one["k"] for one in both["results"]] == [4, 5] and both["passes"] == 2
    assert sorted(os.listdir(partwise.path("both"))) == ["k4.h5ad", "k5.h5ad"]
    for options in (["--threads", 1], ["--threads", 2, "--memory", "64M"]):
        for one in both["results"]:
            alone = partwise.json(*ask, "-k", one["k"], "-o", "alone.h5ad", *options)
            assert alone["results"][0]["digest"] == one["digest"]
            assert alone["peak_rss_bytes"] <= alone["planned_peak_bytes"] <= alone["memory_bytes"]
            assert partwise.path("alone.h5ad").read_bytes() == partwise.path(f"both/k{one['k']}.h5ad").read_bytes()


def test_the_same_cells_have_the_same_usages_as_new_ones(partwise, run):
    partwise.json("consensus", "runs/mine", "--input", "x.h5ad", "-k", 4, "-o", "c.h5ad")
    said = partwise.json("transform", "c.h5ad", "x.h5ad", "-o", "t.h5ad")
    assert said["matched"] == SELECTED and said["missing"] == 0
    mine, new = anndata.read_h5ad(partwise.path("c.h5ad")), anndata.read_h5ad(partwise.path("t.h5ad"))
    for key in ("X_nmf", "X_nmf_norm"):
        np.testing.assert_array_equal(mine.obsm[key], new.obsm[key])
    sums = mine.obsm["X_nmf_norm"].sum(1)
    assert np.allclose(np.delete(sums, 3), 1, atol=1e-6) and sums[3] == 0
    # Other verbs take it, too.
    assert "a consensus of 12 replicates" in partwise.run("info", "c.h5ad").stdout
    assert partwise.run("report", "c.h5ad", "-o", "c.html").returncode == 0
    assert "Consensus of 12 replicates" in partwise.path("c.html").read_text()


def test_mistakes_are_named_and_pickles_not_run(partwise, run):
    ask = ["consensus", "runs/mine", "--input", "x.h5ad", "-o", "c.h5ad"]

    def fails(code, *arguments):
        ran = partwise.run(*arguments)
        assert ran.returncode == code, ran.stderr
        assert not partwise.path("c.h5ad").exists()
        return ran.stderr

    assert "k_6" in fails(66, *ask, "-k", 6)
    assert "keeps half" in fails(2, *ask, "-k", 4, "--density", 1e-9)
    assert "twice" in fails(2, *ask, "-k", "4,4")
    assert "overdispersed_genes" in fails(66, "consensus", "runs", "--input", "x.h5ad", "-k", 4, "-o", "c.h5ad")
    assert "no such" in fails(66, "consensus", "nothing", "--input", "x.h5ad", "-k", 4, "-o", "c.h5ad")

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(partwise.path("run by a pickle")),)

    index = np.empty(REPLICATES * 4, object)
    index[:] = Evil()
    run.write(4, index)
    partwise.json(*ask[:-1], "fine.h5ad", "-k", 4)
    assert not partwise.path("run by a pickle").exists()

    for spectra, said in ((run.spectra[4][:4], "two replicates"), (run.spectra[4][:7], "whole replicates"), (run.spectra[4] * [[0]] + 0, "is zero")):
        run.spectra[4] = spectra
        run.write(4)
        assert said in fails(65, *ask, "-k", 4)
    names = run.folder / "mine.overdispersed_genes.txt"
    names.write_text("\n".join(["gene1000"] + run.genes[1:]))
    assert "gene1000" in fails(65, *ask, "-k", 5)
    names.write_text("\n".join(run.genes[:2] + run.genes[:-2]))
    assert "repeat" in fails(65, *ask, "-k", 5)
    names.write_text("\n".join(run.genes[1:]))
    assert "columns" in fails(65, *ask, "-k", 5)
    names.write_bytes(b"\xff\xfe gene")
    assert "UTF-8" in fails(65, *ask, "-k", 5)
    with names.open("wb") as file:
        file.truncate(1 << 30)
    assert "more text" in fails(65, *ask, "-k", 5, "--memory", "100M")


def test_spectra_can_be_stored_by_columns(partwise, run):
    """pandas, and so cNMF, stores tables that it has combined like this."""
    ask = ["consensus", "runs/mine", "--input", "x.h5ad", "-k", 4, "--force"]
    partwise.json(*ask, "-o", "rows.h5ad")
    run.spectra[4] = np.asfortranarray(run.spectra[4])
    run.write(4)
    partwise.json(*ask, "-o", "columns.h5ad")
    assert partwise.path("rows.h5ad").read_bytes() == partwise.path("columns.h5ad").read_bytes()
