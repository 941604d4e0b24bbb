"""Results in copies of other AnnData files and as tables of text, against anndata and pandas."""

import filecmp

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata.tests.helpers import assert_equal

CELLS, GENES, K = 3000, 120, 4


@pytest.fixture
def files(partwise):
    """Counts (x.h5ad), a result of them (x.nmf.h5ad), and a processed file of some cells and genes."""
    rng = np.random.default_rng(8)
    x = rng.poisson(rng.gamma(0.5, 1, (CELLS, K)) @ rng.gamma(0.3, 2, (K, GENES))).astype("f4")
    x[7] = 0
    counts = anndata.AnnData(sp.csr_matrix(x))
    counts.obs_names, counts.var_names = [f"cell{i}" for i in range(CELLS)], [f"gene{i}" for i in range(GENES)]
    counts.obs["nmf_1"] = "a column of the user"
    counts.write_h5ad(partwise.path("x.h5ad"))
    result = partwise.fit("x.h5ad", K, "--scale", "std")[1].file
    partwise.path("result.h5ad").rename(partwise.path("x.nmf.h5ad"))

    cells, genes = rng.permutation(CELLS)[:2500], rng.permutation(GENES)[:90]
    done = counts[np.sort(cells)[::-1], genes].copy()
    done.X = np.log1p(done.X.toarray())
    done.layers["counts"] = counts[done.obs_names, done.var_names].X.tocsc()
    done.obs["cluster"] = pd.Categorical(rng.choice(["T", "B", "NK"], done.n_obs))
    done.obs["scale"] = pd.array(rng.integers(0, 5, done.n_obs), dtype="Int64")
    done.var["scale"] = rng.normal(size=done.n_vars)
    done.obsm["X_umap"] = rng.normal(size=(done.n_obs, 2))
    done.obsp["distances"] = sp.random(done.n_obs, done.n_obs, 1e-3, "csr", random_state=1)
    done.uns["neighbors"] = {"params": {"n_neighbors": 15, "method": "umap"}}
    done.varm["PCs"] = rng.normal(size=(done.n_vars, 3))
    more = anndata.AnnData(np.ones((done.n_obs, 2), "f4"), obs=done.obs[[]])
    more.var_names = ["unknown0", "unknown1"]
    done = anndata.concat([done, more], axis=1, merge="first", uns_merge="first", pairwise=True)
    done.write_h5ad(partwise.path("done.h5ad"), compression="gzip")
    return result, anndata.read_h5ad(partwise.path("done.h5ad"))


def rows(table, names, wanted):
    """The rows of `table` for the names that are wanted; NaN where there is none."""
    return pd.DataFrame(np.asarray(table), index=names).reindex(wanted).to_numpy()


def parts(w, ht):
    """The part of every program in each cell: of all that the model has in the cell."""
    counts = w.astype("f8") * np.nansum(ht.astype("f8"), axis=0)
    return np.divide(counts, counts.sum(axis=1, keepdims=True), where=counts.sum(axis=1, keepdims=True) > 0, out=np.zeros_like(counts))


def holds(merged, result, done, in_obs):
    """The merged file has the tables of the result, and everything else as it was."""
    w = rows(result.obsm["X_nmf"], result.obs_names, done.obs_names)
    np.testing.assert_array_equal(merged.obsm["X_nmf"], w)
    np.testing.assert_allclose(merged.obsm["X_nmf_norm"], parts(w, result.varm["spectra"]), atol=1e-6)
    for name in ["spectra", "gene_scores", "spectra_scaled"]:
        table = rows(result.varm[name], result.var_names, done.var_names)
        np.testing.assert_array_equal(merged.varm[name], table)
        assert np.isnan(table).all(axis=1).sum() == 2
    assert merged.uns["nmf"]["digest"] == result.uns["nmf"]["digest"]
    np.testing.assert_array_equal(merged.uns["nmf"]["trace"]["loss"], result.uns["nmf"]["trace"]["loss"])
    for component in range(K if in_obs else 0):
        np.testing.assert_array_equal(merged.obs[f"nmf_{component}"], merged.obsm["X_nmf_norm"][:, component])
    ours = [f"nmf_{component}" for component in range(K)]
    # Everything else, by the comparison of anndata's own tests.
    rest = merged.copy()
    if in_obs:
        assert list(rest.obs.columns) == [name for name in done.obs.columns if name not in ours] + ours
        rest.obs = rest.obs.drop(columns=ours)
    for name in ["X_nmf", "X_nmf_norm"]:
        del rest.obsm[name]
    for name in ["spectra", "gene_scores", "spectra_scaled"]:
        del rest.varm[name]
    del rest.uns["nmf"]
    wanted = done.copy()
    if in_obs:
        wanted.obs = wanted.obs.drop(columns=[name for name in ours if name in wanted.obs])
    assert_equal(rest, wanted, exact=True)


@pytest.mark.parametrize("in_obs", [False, True])
def test_a_result_is_added_to_a_copy_and_all_else_stays(partwise, files, in_obs):
    result, done = files
    before = partwise.path("done.h5ad").read_bytes()
    options = ["--obs-usages"] if in_obs else []
    said = partwise.json("export", "x.nmf.h5ad", "--into", "done.h5ad", "-o", "merged.h5ad", *options)
    assert (said["cells"], said["genes"], said["genes_missing"]) == (done.n_obs, done.n_vars, 2)
    assert partwise.path("done.h5ad").read_bytes() == before
    holds(anndata.read_h5ad(partwise.path("merged.h5ad")), result, done, in_obs)
    # A second result takes the place of the first.
    partwise.json("export", "x.nmf.h5ad", "--into", "merged.h5ad", "-o", "again.h5ad", *options)
    holds(anndata.read_h5ad(partwise.path("again.h5ad")), result, done, in_obs)


def test_names_are_matched_in_groups_that_little_memory_holds(partwise):
    rng = np.random.default_rng(3)
    cells = 40_000
    x = anndata.AnnData(sp.csr_matrix(rng.poisson(1.0, (cells, 12)).astype("f4")))
    x.obs_names = [f"c{i}" for i in rng.permutation(cells)]
    x.write_h5ad(partwise.path("x.h5ad"))
    partwise.json("fit", "x.h5ad", "-k", 2, "-o", "x.nmf.h5ad")
    x = x[rng.permutation(cells)].copy()
    x.write_h5ad(partwise.path("other.h5ad"))
    partwise.json("export", "x.nmf.h5ad", "--into", "other.h5ad", "-o", "a.h5ad")
    # So little that a group has the fewest names.
    partwise.json("export", "x.nmf.h5ad", "--into", "other.h5ad", "-o", "b.h5ad", "--memory", "1M")
    assert filecmp.cmp(partwise.path("a.h5ad"), partwise.path("b.h5ad"), shallow=False)
    result = anndata.read_h5ad(partwise.path("x.nmf.h5ad"))
    merged = anndata.read_h5ad(partwise.path("a.h5ad"))
    np.testing.assert_array_equal(merged.obsm["X_nmf"], result[merged.obs_names].obsm["X_nmf"])


def test_a_fit_goes_into_a_copy(partwise, files):
    result, done = files
    fit = ["fit", "x.h5ad", "-k", K, "--scale", "std", "--into", "done.h5ad", "-o", "merged.h5ad"]
    said = partwise.json(*fit, "--obs-usages")
    assert said["digest"] == result.uns["nmf"]["digest"]
    holds(anndata.read_h5ad(partwise.path("merged.h5ad")), result, done, True)
    left = {path.name for path in partwise.folder.iterdir()}
    assert left == {"x.h5ad", "x.pw", "x.nmf.h5ad", "done.h5ad", "merged.h5ad"}
    # It is a result like any other: kept, shown, and a start.
    assert partwise.run(*fit, "--resume").returncode == 0
    assert partwise.json("info", "merged.h5ad")["k"] == K
    refused = partwise.run("fit", "x.h5ad", "-k", "3,4", "--into", "done.h5ad", "-o", "many")
    assert refused.returncode == 2 and "one -k and one --seed" in refused.stderr


def test_cells_that_are_not_in_the_result_are_counted_before_any_work(partwise, files):
    _, done = files
    done.obs_names = ["other" + name if i < 3 else name for i, name in enumerate(done.obs_names)]
    done.write_h5ad(partwise.path("renamed.h5ad"))
    before = sorted(path.name for path in partwise.folder.iterdir())
    refused = partwise.run("export", "x.nmf.h5ad", "--into", "renamed.h5ad", "-o", "merged.h5ad")
    assert refused.returncode == 65, refused.stderr
    assert f"3 of {done.n_obs} cells" in refused.stderr and done.obs_names[0] in refused.stderr
    refused = partwise.run("fit", "x.h5ad", "-k", K, "--into", "renamed.h5ad", "-o", "merged.h5ad")
    assert refused.returncode == 65 and "3 of" in refused.stderr and "pass" not in refused.stderr
    # Cells that the fit leaves out are none that the result has.
    refused = partwise.run("fit", "x.h5ad", "-k", K, "--into", "done.h5ad", "-o", "merged.h5ad", "--min-counts", 40)
    assert refused.returncode == 65 and "cells that" in refused.stderr
    assert sorted(path.name for path in partwise.folder.iterdir()) == before


def test_names_that_repeat_and_foreign_files_are_refused(partwise, files):
    _, done = files
    twice = done.copy()
    twice.obs_names = [twice.obs_names[1], *twice.obs_names[1:]]
    twice.write_h5ad(partwise.path("twice.h5ad"))
    genes = done.copy()
    genes.var_names = [f"other{i}" for i in range(genes.n_vars)]
    genes.write_h5ad(partwise.path("genes.h5ad"))
    (partwise.folder / "text.h5ad").write_text("no HDF5")
    for arguments, code, words in [
        (["x.nmf.h5ad", "--into", "twice.h5ad", "-o", "m.h5ad"], 65, ["twice.h5ad", twice.obs_names[0], "more than once"]),
        (["x.nmf.h5ad", "--into", "genes.h5ad", "-o", "m.h5ad"], 65, ["genes.h5ad", "other0", "gene0"]),
        (["done.h5ad", "--into", "x.h5ad", "-o", "m.h5ad"], 65, ["done.h5ad", "no result"]),
        (["x.nmf.h5ad", "--into", "text.h5ad", "-o", "m.h5ad"], 65, ["text.h5ad"]),
        (["x.nmf.h5ad", "--into", "none.h5ad", "-o", "m.h5ad"], 66, ["none.h5ad"]),
        (["none.h5ad", "--into", "done.h5ad", "-o", "m.h5ad"], 66, ["none.h5ad"]),
        (["x.nmf.h5ad", "--into", "done.h5ad", "-o", "done.h5ad", "--force"], 2, ["would overwrite"]),
        (["x.nmf.h5ad", "--into", "done.h5ad"], 2, ["--output"]),
        (["x.pw", "--into", "done.h5ad", "-o", "m.h5ad"], 2, ["is a store"]),
        (["x.nmf.h5ad", "-o", "m.h5ad"], 2, ["--into", "--csv"]),
        (["done.h5ad", "--csv", "tables"], 65, ["no result"]),
    ]:
        ran = partwise.run("export", *arguments)
        assert ran.returncode == code and all(word in ran.stderr for word in words), (arguments, ran.stderr)
        assert not partwise.path("m.h5ad").exists() and not partwise.path("tables").exists()


def test_components_go_into_a_copy_too(partwise, files):
    _, done = files
    partwise.json("pca", "x.h5ad", "-c", 5, "-o", "x.pca.h5ad")
    partwise.json("export", "x.pca.h5ad", "--into", "done.h5ad", "-o", "merged.h5ad")
    pca, merged = (anndata.read_h5ad(partwise.path(name)) for name in ["x.pca.h5ad", "merged.h5ad"])
    np.testing.assert_array_equal(merged.obsm["X_pca"], pca[merged.obs_names].obsm["X_pca"])
    # scanpy has zeros for genes that it left out.
    np.testing.assert_array_equal(
        merged.varm["PCs"], np.nan_to_num(rows(pca.varm["PCs"], pca.var_names, merged.var_names))
    )
    np.testing.assert_array_equal(merged.uns["pca"]["variance_ratio"], pca.uns["pca"]["variance_ratio"])


def test_tables_of_text_are_those_of_the_result(partwise, files):
    result, _ = files
    said = partwise.json("export", "x.nmf.h5ad", "--csv", "tables")
    assert {path.name for path in partwise.path("tables").iterdir()} == {path.rsplit("/")[-1] for path in said["tables"]}
    names = [f"nmf_{component}" for component in range(K)]
    for table, index, wanted in [
        ("usages", result.obs_names, result.obsm["X_nmf"]),
        ("spectra", result.var_names, result.varm["spectra"]),
        ("gene_scores", result.var_names, result.varm["gene_scores"]),
    ]:
        read = pd.read_csv(partwise.path(f"tables/{table}.csv"), index_col=0, dtype={name: "f4" for name in names})
        assert list(read.columns) == names and list(read.index) == list(index), table
        np.testing.assert_array_equal(read.to_numpy(), wanted)
    programs = pd.read_csv(partwise.path("tables/programs.csv"), index_col=0)
    for name in ["variance", "counts", "usage"]:
        np.testing.assert_allclose(programs[name], result.uns["nmf"]["programs"][name], rtol=1e-15)
    assert partwise.run("export", "x.nmf.h5ad", "--csv", "tables").returncode == 73
    partwise.path("tables/usages.csv").write_text("my own table")
    refused = partwise.run("export", "x.nmf.h5ad", "--csv", "tables", "--force")
    assert refused.returncode == 73 and "usages.csv" in refused.stderr


def test_names_of_any_kind_are_quoted(partwise):
    x = anndata.AnnData(np.random.default_rng(1).poisson(2.0, (50, 5)).astype("f4"))
    x.var_names = ["a,b", 'say "x"', "two\nlines", "µ", " "]
    x.write_h5ad(partwise.path("x.h5ad"))
    partwise.json("fit", "x.h5ad", "-k", 2, "-o", "x.nmf.h5ad")
    partwise.json("export", "x.nmf.h5ad", "--csv", "tables")
    read = pd.read_csv(partwise.path("tables/spectra.csv"), index_col=0, keep_default_na=False)
    assert list(read.index) == list(x.var_names)


def test_a_finished_result_is_kept_only_if_it_has_what_is_asked_for(partwise, files):
    fit = ["fit", "x.h5ad", "-k", K, "--scale", "std", "-o", "x.nmf.h5ad", "--resume"]
    before = partwise.path("x.nmf.h5ad").read_bytes()
    assert partwise.json(*fit)["kept"]
    refused = partwise.run(*fit, "--obs-usages")
    assert refused.returncode == 73 and "without usages in obs" in refused.stderr and "--force" in refused.stderr
    assert partwise.path("x.nmf.h5ad").read_bytes() == before
    partwise.json("fit", "x.h5ad", "-k", K, "--scale", "std", "-o", "x.nmf.h5ad", "--obs-usages", "--force")
    assert partwise.json(*fit, "--obs-usages")["kept"] and partwise.json(*fit)["kept"]


def test_usages_of_new_cells_are_columns_on_request(partwise, files):
    partwise.json("transform", "x.nmf.h5ad", "x.h5ad", "-o", "new.h5ad", "--obs-usages")
    new = anndata.read_h5ad(partwise.path("new.h5ad"))
    w = new.obsm["X_nmf"].astype("f8")
    assert (w[7] == 0).all() and (new.obsm["X_nmf_norm"][7] == 0).all()
    np.testing.assert_allclose(new.obsm["X_nmf_norm"], parts(w, new.varm["spectra"]), atol=1e-6)
    # Their mean is the share of each program in an average cell.
    fitted = anndata.read_h5ad(partwise.path("x.nmf.h5ad"))
    np.testing.assert_allclose(fitted.obsm["X_nmf_norm"].mean(axis=0), fitted.uns["nmf"]["programs"]["usage"], rtol=1e-3)
    for component in range(K):
        np.testing.assert_array_equal(new.obs[f"nmf_{component}"], new.obsm["X_nmf_norm"][:, component])
    with h5py.File(partwise.path("new.h5ad")) as file:
        assert list(file["obs"].attrs["column-order"])[-K:] == [f"nmf_{component}" for component in range(K)]
