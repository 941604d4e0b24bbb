"""Compares the solvers with ten lines of numpy and with scikit-learn."""

import anndata
import numpy as np
import pytest
from scipy.optimize import nnls
from sklearn.decomposition import NMF

from conftest import relative_error


def start(partwise, x, k):
    """A random start as a result file, and the same in f64."""
    rng = np.random.default_rng(5)
    w, h = rng.uniform(0.1, 1, (x.shape[0], k)).astype("f4"), rng.uniform(0.1, 1, (k, x.shape[1])).astype("f4")
    anndata.AnnData(shape=x.shape, obsm={"X_nmf": w}, varm={"spectra": h.T.copy()}).write_h5ad(partwise.path("start.h5ad"))
    return w.astype("f8"), h.astype("f8")


def multiplicative(x, w, h, passes):
    """Lee and Seung: W, then H with the new W."""
    for _ in range(passes):
        w = w * (x @ h.T) / np.maximum(w @ (h @ h.T), 1e-30)
        h = h * (x.T @ w).T / np.maximum((w.T @ w) @ h, 1e-30)
    return w, h


def matrix_of(path):
    return np.load(path).astype("f8") if path.suffix == ".npy" else anndata.read_h5ad(path).X.astype("f8")


@pytest.mark.parametrize("kind", ["counts", "clusters"])
def test_multiplicative_updates_follow_numpy(partwise, kind):
    partwise.json("simulate", "--kind", kind, "--cells", 1500, "--genes", 300, "--programs", 4, "-o", "x.h5ad")
    x = matrix_of(partwise.path("x.h5ad"))
    w, h = multiplicative(x, *start(partwise, x, 4), passes=20)
    said, result = partwise.fit("x.h5ad", 4, "--solver", "mu", "--init", "start.h5ad", "--max-passes", 20, "--tol", 0)
    assert said["relative_error"] == pytest.approx(relative_error(x, w, h), rel=1e-5)
    np.testing.assert_allclose(result.w @ result.h[:, :20], w @ h[:, :20], rtol=2e-3, atol=1e-4)


def plain_hals(x, w, h, passes):
    """Cichocki and Phan: one inner sweep over W's columns, then one over H's rows with the new
    W."""
    for _ in range(passes):
        xht, hht = x @ h.T, h @ h.T
        for c in range(h.shape[0]):
            w[:, c] = np.maximum(w[:, c] + (xht[:, c] - w @ hht[:, c]) / hht[c, c], 0)
        wtx, wtw = (x.T @ w).T, w.T @ w
        for c in range(h.shape[0]):
            h[c] = np.maximum(h[c] + (wtx[c] - wtw[c] @ h) / wtw[c, c], 0)
    return w, h


def test_plain_hals_follows_numpy(partwise, counts):
    x = matrix_of(counts)
    w, h = plain_hals(x, *start(partwise, x, 4), passes=10)
    said, _ = partwise.fit(counts, 4, "--solver", "hals", "--init", "start.h5ad", "--max-passes", 10, "--tol", 0)
    assert said["relative_error"] == pytest.approx(relative_error(x, w, h), rel=1e-4)


@pytest.mark.parametrize("solver", ["auto", "mu"])
def test_a_component_of_zeros_in_a_start_starts_anew(partwise, counts, solver):
    whole, _ = partwise.fit(counts, 5, "--solver", solver, "--init", "random")
    part = anndata.read_h5ad(partwise.path("result.h5ad"))
    part.varm["spectra"][:, 2] = 0
    part.write_h5ad(partwise.path("part.h5ad"))
    said, result = partwise.fit(counts, 5, "--solver", solver, "--init", "part.h5ad")
    assert result.h[2].any() and said["relative_error"] < 1.002 * whole["relative_error"]


def test_pivoting_gives_every_row_and_gene_its_exact_solution(partwise, counts):
    x = matrix_of(counts)
    _, h = start(partwise, x, 4)
    # The program scales rows of H by powers of two to norms in [1, 2) before it solves for W.
    h /= 2.0 ** np.floor(np.log2(np.linalg.norm(h, axis=1, keepdims=True)))
    _, result = partwise.fit(counts, 4, "--solver", "bpp", "--init", "start.h5ad", "--max-passes", 1)
    for i in range(0, x.shape[0], 50):
        row = np.asarray(x[i].todense()).ravel()
        np.testing.assert_allclose(result.w[i], nnls(h.T, row)[0], rtol=1e-4, atol=1e-5 * np.abs(row).max())
    for j in range(0, x.shape[1], 20):
        column = np.asarray(x[:, [j]].todense()).ravel()
        np.testing.assert_allclose(result.h[:, j], nnls(result.w, column)[0], rtol=1e-4, atol=1e-5 * result.h.max())


def test_pivoting_ends_as_low_as_the_default(partwise, counts):
    error = lambda *options: partwise.fit(counts, 5, *options)[0]["relative_error"]
    assert error("--solver", "bpp") <= error() * 1.001


def as_good_as_scikit_learn(partwise, path, k):
    """Default settings, the best of three seeds on both sides."""
    x = matrix_of(path)
    ours = min(partwise.fit(path, k, "--seed", seed)[0]["relative_error"] for seed in (0, 1, 2))
    fits = (NMF(k, init="random", random_state=seed, tol=1e-5, max_iter=500) for seed in (0, 1, 2))
    theirs = min(relative_error(x, fit.fit_transform(x), fit.components_) for fit in fits)
    assert ours <= theirs * 1.002, f"{ours:.6f}, scikit-learn {theirs:.6f}"


def no_seed_is_far_from_the_best(partwise, path, x, k):
    """Default settings: each of three seeds against the best of scikit-learn's default start and two
    random ones."""
    fits = (
        NMF(k, init=init, random_state=seed, tol=1e-5, max_iter=400)
        for init, seed in ((None, 0), ("random", 1), ("random", 2))
    )
    theirs = [relative_error(x, fit.fit_transform(x).astype("f8"), fit.components_.astype("f8")) for fit in fits]
    ours = [partwise.fit(path, k, "--seed", seed)[0]["relative_error"] for seed in (0, 1, 2)]
    assert max(ours) <= min(theirs) * 1.003, f"{ours}, scikit-learn {theirs}"


@pytest.mark.long
@pytest.mark.parametrize("k", [10, 20])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_no_seed_ends_far_from_the_best_on_stimulated_blood_cells(partwise, real, k):
    # The file is stored by column, so it is written anew by row.
    data = anndata.read_h5ad(real("counts/pbmc_kang_ctrl_stim_csc_i32_lzf.h5ad"))
    x = data.X.tocsr().astype("f4")
    anndata.AnnData(x).write_h5ad(partwise.path("kang.h5ad"))
    no_seed_is_far_from_the_best(partwise, "kang.h5ad", x, k)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_no_seed_ends_far_from_the_best_on_digits(partwise, real):
    path = real("nmf_bench/digits_1797x64_u8.npy")
    no_seed_is_far_from_the_best(partwise, path, np.load(path).astype("f4"), 10)


@pytest.mark.parametrize("kind", ["counts", "clusters"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_defaults_end_as_low_as_scikit_learn(partwise, kind):
    partwise.json("simulate", "--kind", kind, "--cells", 2000, "--genes", 400, "--programs", 5, "-o", "x.h5ad")
    as_good_as_scikit_learn(partwise, partwise.path("x.h5ad"), 5)


@pytest.mark.parametrize(
    "name",
    [
        "nmf_bench/golub_leukemia_38x5000_f64.npy",
        "nmf_bench/digits_1797x64_u8.npy",
        pytest.param("counts/pbmc3k_raw_csr_f32_gzip.h5ad", marks=pytest.mark.long),
        pytest.param("counts/newsgroups_18774x55911_csr_i32_i64idx_gzip.h5ad", marks=pytest.mark.long),
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_defaults_end_as_low_as_scikit_learn_on_real_files(partwise, real, name):
    as_good_as_scikit_learn(partwise, real(name), 3 if "golub" in name else 10)
