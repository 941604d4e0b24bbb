"""New cells get the usages that scipy's non-negative least squares find under the spectra of a result."""

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.optimize import nnls

GENES, K = 400, 5


@pytest.fixture
def cells(partwise):
    """Known cells (old.h5ad), a fit of them (old.nmf.h5ad), and new ones: other genes, in another order."""
    rng = np.random.default_rng(4)
    programs = rng.gamma(0.3, 2, (K, GENES))
    x = rng.poisson(rng.gamma(0.6, 1, (3000, K)) @ programs).astype("f4")
    data = anndata.AnnData(sp.csr_matrix(x))
    data.var_names = [f"gene{i}" for i in range(GENES)]
    data.var["id"] = [f"ENSG{i:04}" for i in range(GENES)]
    data.obs_names = [f"cell{i}" for i in range(3000)]
    data.obs["type"] = pd.Categorical(rng.choice(["a", "b"], 3000))
    old, new = data[:2000].copy(), data[2000:].copy()
    order = rng.permutation(GENES)[:350]
    more = anndata.AnnData(sp.csr_matrix(rng.poisson(1.0, (1000, 30)).astype("f4")), obs=new.obs[[]])
    more.var_names, more.var["id"] = [f"other{i}" for i in range(30)], [f"OTHER{i}" for i in range(30)]
    new = anndata.concat([new[:, order], more], axis=1, merge="first")
    new.obs["type"] = data.obs["type"].iloc[2000:]
    new = new[:, rng.permutation(380)].copy()
    new.X = new.X.tocsr()
    old.write_h5ad(partwise.path("old.h5ad"))
    new.write_h5ad(partwise.path("new.h5ad"))
    return old, new


def fitted(partwise, *options):
    partwise.json("fit", "old.h5ad", "-k", K, *options, "-o", "old.nmf.h5ad", "--force")
    return anndata.read_h5ad(partwise.path("old.nmf.h5ad"))


def spectra_of(result, new, key=None):
    """The spectra in the order of the new genes, and which of those the result knows."""
    have = result.var_names if key is None else result.var[key]
    want = new.var_names if key is None else new.var[key]
    places = pd.Series(np.arange(result.n_vars), index=pd.Index(have)).reindex(want)
    known = places.notna().to_numpy()
    h = np.zeros((new.n_vars, K))
    h[known] = np.asarray(result.varm["spectra"], "f8")[places[known].astype(int)]
    return h, known, places


def holds(got, new, h, weights):
    """Usages are the least squares, by their residuals; returns the relative error."""
    w = np.asarray(got.obsm["X_nmf"], "f8")
    assert w.shape == (new.n_obs, K) and (w >= 0).all()
    x = (new.X.toarray() if sp.issparse(new.X) else new.X).astype("f8") * weights
    h = h * weights[:, None]
    for row in range(0, new.n_obs, 41):
        ours = ((x[row] - h @ w[row]) ** 2).sum()
        assert ours <= nnls(h, x[row])[1] ** 2 + 1e-5 * (x[row] ** 2).sum(), row
    return np.linalg.norm(x - w @ h.T) / np.linalg.norm(x)


@pytest.mark.parametrize("options", [[], ["--scale", "std"]])
def test_usages_are_the_least_squares(partwise, cells, options):
    _, new = cells
    result = fitted(partwise, *options)
    said = partwise.json("transform", "old.nmf.h5ad", "new.h5ad")
    assert said["result"] == "new.usages.h5ad"
    got = anndata.read_h5ad(partwise.path("new.usages.h5ad"))
    pd.testing.assert_frame_equal(got.obs, new.obs)
    pd.testing.assert_frame_equal(got.var, new.var)
    h, known, places = spectra_of(result, new)
    weights = known.astype("f8")
    if options:
        assert "scale" in result.var
        weights[known] = 1 / result.var["scale"].to_numpy()[places[known].astype(int)]
        x = cells[0].X.toarray().astype("f8")
        np.testing.assert_allclose(result.var["scale"], np.where(x.std(0) > 0, x.std(0), 1), rtol=1e-5)
    error = holds(got, new, h, weights)
    assert said["relative_error"] == pytest.approx(error, rel=1e-4)
    assert (said["matched"], said["missing"], said["unknown"]) == (350, 50, 30)
    assert said["fitted_relative_error"] == result.uns["nmf"]["relative_error"]
    spectra = np.asarray(got.varm["spectra"], "f8")
    assert np.isnan(spectra[~known]).all() and np.allclose(spectra[known], h[known])
    story = got.uns["nmf"]
    assert (story["k"], story["digest"], story["genes_matched"]) == (K, said["digest"], 350)
    shown = partwise.run("info", "new.usages.h5ad").stdout
    assert f"under {K} programs" in shown and "350 genes matched, 50 of the result are not in the data" in shown
    assert f"{said['relative_error']:.4f} ({said['fitted_relative_error']:.4f} where the spectra were fitted)" in shown
    assert story["spectra_of"] == result.uns["nmf"]["digest"]


def test_cells_of_the_fit_get_their_usages_again(partwise, cells):
    old, _ = cells
    result = fitted(partwise, "--max-passes", 60, "--tol", 0)
    said = partwise.json("transform", "old.nmf.h5ad", "old.h5ad", "-o", "again.h5ad")
    assert said["relative_error"] == pytest.approx(said["fitted_relative_error"], rel=1e-4)
    again = np.asarray(anndata.read_h5ad(partwise.path("again.h5ad")).obsm["X_nmf"])
    assert np.abs(again - result.obsm["X_nmf"]).max() < 0.02 * np.abs(again).max()


def test_bits_do_not_depend_on_threads_memory_and_the_kind_of_input(partwise, cells):
    _, new = cells
    fitted(partwise)
    partwise.json("convert", "new.h5ad", "-o", "low.pw", "--block-rows", 256)
    digests = {
        partwise.json("transform", "old.nmf.h5ad", "low.pw", "-o", "o.h5ad", "--force", *options)["digest"]
        for options in (["--threads", 1], ["--threads", 3], ["--memory", "40M"])
    }
    assert len(digests) == 1
    first = partwise.path("o.h5ad").read_bytes()
    partwise.json("transform", "old.nmf.h5ad", "low.pw", "-o", "o.h5ad", "--force")
    assert partwise.path("o.h5ad").read_bytes() == first
    dense = anndata.AnnData(new.X.toarray(), obs=new.obs, var=new.var)
    dense.write_h5ad(partwise.path("dense.h5ad"))
    result = fitted(partwise)
    partwise.json("transform", "old.nmf.h5ad", "dense.h5ad", "-o", "d.h5ad")
    h, known, _ = spectra_of(result, new)
    holds(anndata.read_h5ad(partwise.path("d.h5ad")), new, h, known.astype("f8"))


def test_genes_are_matched_by_a_column_and_in_several_files(partwise, cells):
    _, new = cells
    result = fitted(partwise)
    renamed = new.copy()
    renamed.var_names = [f"symbol{i % 7}" for i in range(new.n_vars)]
    renamed.write_h5ad(partwise.path("renamed.h5ad"))
    said = partwise.json("transform", "old.nmf.h5ad", "renamed.h5ad", "--gene-key", "id", "-o", "o.h5ad")
    assert said["matched"] == 350
    h, known, _ = spectra_of(result, renamed, "id")
    holds(anndata.read_h5ad(partwise.path("o.h5ad")), renamed, h, known.astype("f8"))
    new[:400].write_h5ad(partwise.path("a.h5ad"))
    new[400:].write_h5ad(partwise.path("b.h5ad"))
    both = partwise.json("transform", "old.nmf.h5ad", "a.h5ad", "b.h5ad", "-o", "both.h5ad")
    alone = partwise.json("transform", "old.nmf.h5ad", "new.h5ad", "-o", "alone.h5ad")
    assert (both["cells"], both["digest"]) == (1000, alone["digest"])


def test_one_cell_and_cells_of_zeros_have_usages(partwise, cells):
    _, new = cells
    fitted(partwise)
    few = new[:2].copy()
    few.X = few.X.toarray()
    few.X[1] = 0
    few.write_h5ad(partwise.path("few.h5ad"))
    partwise.json("transform", "old.nmf.h5ad", "few.h5ad", "-o", "o.h5ad")
    w = np.asarray(anndata.read_h5ad(partwise.path("o.h5ad")).obsm["X_nmf"])
    assert w[0].max() > 0 and (w[1] == 0).all()


@pytest.mark.parametrize(
    "change, code, line",
    [
        ("missing result", 66, "none.h5ad"),
        ("missing input", 66, "none.h5ad"),
        ("no result", 65, "obsm"),
        ("nothing in common", 65, 'such as "gene0"'),
        ("repeated", 65, "--gene-key"),
        ("no such column", 65, "its columns are id"),
        ("output is the result", 2, "the result with the spectra"),
        ("output exists", 73, "--force"),
        ("too little memory", 2, "--memory"),
    ],
)
def test_what_cannot_be_transformed_is_said_in_one_line(partwise, cells, change, code, line):
    _, new = cells
    fitted(partwise)
    result, source, options = "old.nmf.h5ad", "new.h5ad", ["-o", "o.h5ad"]
    if change == "missing result":
        result = "none.h5ad"
    elif change == "missing input":
        source = "none.h5ad"
    elif change == "no result":
        result = "old.h5ad"
    elif change == "nothing in common":
        new.var_names = [f"x{name}" for name in new.var_names]
        new.write_h5ad(partwise.path("new.h5ad"))
    elif change == "repeated":
        names = new.var_names.to_list()
        shared = [i for i, name in enumerate(names) if name.startswith("gene")]
        names[shared[1]] = names[shared[0]]
        new.var_names = names
        new.write_h5ad(partwise.path("new.h5ad"))
    elif change == "no such column":
        options += ["--gene-key", "nothing"]
    elif change == "output is the result":
        options = ["-o", "old.nmf.h5ad", "--force"]
    elif change == "output exists":
        new.write_h5ad(partwise.path("o.h5ad"))
    elif change == "too little memory":
        options += ["--memory", "10M"]
    partwise.run("convert", "new.h5ad", "-o", "new.pw", "--quiet")
    before = partwise.path("old.nmf.h5ad").read_bytes()
    ran = partwise.run("transform", result, source, *options, "--quiet")
    assert (ran.returncode, line in ran.stderr) == (code, True), ran.stderr
    assert ran.stderr.count("\n") == 1, ran.stderr
    assert change == "output exists" or not partwise.path("o.h5ad").exists()
    assert partwise.path("old.nmf.h5ad").read_bytes() == before


def test_the_memory_is_kept(partwise, tmp_path):
    partwise.json("simulate", "--kind", "counts", "--cells", 160000, "--genes", 2000, "--depth", 1500, "-o", "x.h5ad")
    partwise.json("convert", "x.h5ad", "-o", "x.pw", "--memory", "1G")
    partwise.json("fit", "x.pw", "-k", 20, "--max-passes", 3, "-o", "r.h5ad")
    assert sum(file.stat().st_size for file in partwise.path("x.pw").iterdir()) > 40 << 20
    said = partwise.json("transform", "r.h5ad", "x.pw", "-o", "o.h5ad", "--memory", "40M")
    assert said["peak_rss_bytes"] <= min(said["planned_peak_bytes"], 40 << 20), said
