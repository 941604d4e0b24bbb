"""Some genes and cells of the input are fitted: the result is that of a file that has no others."""

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from conftest import Result

CELLS, GENES = 3000, 300


@pytest.fixture
def whole(partwise):
    """Counts with all kinds of columns."""
    rng = np.random.default_rng(8)
    programs = rng.gamma(0.3, 1, (6, GENES))
    rates = rng.gamma(0.5, 1, (CELLS, 6)) @ programs * rng.gamma(0.3, 0.8, GENES)
    x = sp.csr_matrix(rng.poisson(rates).astype("f4"))
    obs = pd.DataFrame(
        {
            "type": pd.Categorical(rng.choice(["a", "b", "c"], CELLS)),
            "depth": np.asarray(x.sum(1)).ravel().astype("f8"),
            "count": pd.array(rng.integers(0, 9, CELLS), dtype="Int64"),
            "good": rng.random(CELLS) > 0.5,
            "note": [f"note {i} é" for i in range(CELLS)],
        },
        index=[f"cell{i}" for i in range(CELLS)],
    )
    obs.loc[obs.index[5], "count"] = pd.NA
    var = pd.DataFrame({"id": [f"ENSG{i:05}" for i in range(GENES)]}, index=[f"gene{i}" for i in range(GENES)])
    data = anndata.AnnData(x, obs=obs, var=var)
    data.write_h5ad(partwise.path("x.h5ad"), compression="gzip")
    return data


def lists(partwise, seed=1, genes=120, cells=1100):
    rng = np.random.default_rng(seed)
    chosen = [f"gene{i}" for i in rng.choice(GENES, genes, replace=False)]
    kept = [f"cell{i}" for i in rng.choice(CELLS, cells, replace=False)]
    partwise.path("genes.txt").write_text("\n".join(chosen) + "\n")
    partwise.path("cells.txt").write_text("\r\n".join(kept))
    return chosen, kept


def of(data, genes, cells):
    """The part of `data` in the order of the data."""
    return data[data.obs_names.isin(cells), data.var_names.isin(genes)].copy()


def frames_equal(found, want):
    for axis in ("obs", "var"):
        have = getattr(found, axis).drop(columns="scale", errors="ignore")
        pd.testing.assert_frame_equal(have, getattr(want, axis), check_categorical=False)


LISTS = ["--genes-file", "genes.txt", "--cells-file", "cells.txt"]


@pytest.mark.parametrize("options", [[], ["--scale", "std"], ["--solver", "mu"], ["--solver", "bpp"], ["--solver", "hals"]])
def test_a_subset_has_the_fit_of_a_file_that_has_no_other_genes_and_cells(partwise, whole, options):
    part = of(whole, *lists(partwise))
    part.write_h5ad(partwise.path("part.h5ad"))
    partwise.fit("part.h5ad", 4, *options, "--max-passes", 3)
    partwise.path("result.h5ad").rename(partwise.path("start.h5ad"))
    # From the same start, pass by pass.
    same = [*options, "--init", "start.h5ad", "--max-passes", 6, "--tol", 0]
    want, theirs = partwise.fit("part.h5ad", 4, *same)
    said, ours = partwise.fit("x.h5ad", 4, *same, *LISTS)
    assert (said["cells"], said["genes"]) == part.shape == ours.file.shape
    frames_equal(ours.file, part)
    assert ours.relative_error(part.X.astype("f8")) <= 1
    assert said["relative_error"] == pytest.approx(want["relative_error"], rel=1e-5)
    for key in ("relative_error", "usages_nonzero", "spectra_nonzero"):
        np.testing.assert_allclose(ours.file.uns["nmf"]["trace"][key], theirs.file.uns["nmf"]["trace"][key], rtol=1e-3)
    assert np.abs(ours.h - theirs.h).max() <= 1e-3 * theirs.h.max()
    assert np.abs(ours.w - theirs.w).max() <= 1e-3 * theirs.w.max()
    # Its own start leads to as good a fit.
    default, result = partwise.fit("x.h5ad", 4, *options, *LISTS, "--max-passes", 100)
    best = min(partwise.json("fit", "part.h5ad", "-k", 4, *options, "--max-passes", 100, "-o", "o.h5ad", "--force", "--seed", s)
               ["relative_error"] for s in (0, 1))
    assert default["relative_error"] <= best * 1.005
    if "std" not in options:
        assert result.relative_error(part.X.astype("f8")) == pytest.approx(default["relative_error"], rel=1e-5)


def test_least_sums_are_numpys(partwise, whole):
    x = whole.X.toarray()
    genes = (x > 0).sum(0) >= 400
    cells = x[:, genes].sum(1) >= 60
    assert 10 < genes.sum() < GENES and 10 < cells.sum() < CELLS
    said, result = partwise.fit("x.h5ad", 3, "--min-cells", 400, "--min-counts", 60, "--max-passes", 4)
    part = whole[cells, genes]
    assert (said["cells"], said["genes"]) == part.shape
    assert list(result.file.obs_names) == list(part.obs_names) and list(result.file.var_names) == list(part.var_names)
    assert result.relative_error(part.X.astype("f8")) == pytest.approx(said["relative_error"], rel=1e-5)
    # Two reads more than full passes: for the cells, and for the sample.
    assert said["passes"] == 5 and len(result.file.uns["nmf"]["trace"]["pass"]) == 3
    only_genes, _ = partwise.fit("x.h5ad", 3, "--min-cells", 400, "--max-passes", 4)
    assert (only_genes["passes"], only_genes["cells"], only_genes["genes"]) == (4, CELLS, genes.sum())


def test_lists_and_least_sums_work_together_on_dense_data_and_in_sets(partwise, whole):
    chosen, kept = lists(partwise, seed=3)
    dense = anndata.AnnData(whole.X.toarray() + np.float32(0.25), obs=whole.obs, var=whole.var)
    dense.write_h5ad(partwise.path("dense.h5ad"))
    part = of(dense, chosen, kept)
    part = part[:, (of(dense, chosen, dense.obs_names).X > 0).sum(0) >= 1]
    cells = part.X.sum(1) >= 90
    assert 10 < cells.sum() < part.n_obs
    said = partwise.json("fit", "dense.h5ad", "-k", "2,4", "--seed", "0,1", *LISTS, "--min-counts", 90, "--max-passes", 4,
                         "-o", "set")
    assert (said["passes"], len(said["fits"])) == (5, 4)
    for fit in said["fits"]:
        result = Result(partwise.path(fit["result"]))
        assert list(result.file.obs_names) == list(part.obs_names[cells])
        assert result.relative_error(part.X[cells].astype("f8")) == pytest.approx(fit["relative_error"], rel=1e-5)
        alone, _ = partwise.fit("dense.h5ad", fit["k"], "--seed", fit["seed"], *LISTS, "--min-counts", 90, "--max-passes", 4)
        assert alone["digest"] == fit["digest"]


def test_bits_do_not_depend_on_threads_and_memory(partwise, whole):
    lists(partwise)
    partwise.json("convert", "x.h5ad", "-o", "x.pw", "--block-rows", 512)
    digests = {
        partwise.fit("x.pw", 4, *LISTS, "--min-counts", 20, *options)[0]["digest"]
        for options in (["--threads", 1], ["--threads", 3], ["--memory", "40M"])
    }
    assert len(digests) == 1


def test_results_and_checkpoints_of_another_subset_are_not_taken_for_it(partwise, whole):
    lists(partwise)
    first, _ = partwise.fit("x.h5ad", 3, *LISTS, "--max-passes", 3, "--checkpoint", "ck", "--checkpoint-every", 1)
    again = partwise.json("fit", "x.h5ad", "-k", 3, *LISTS, "--max-passes", 3, "-o", "result.h5ad", "--resume")
    assert again["digest"] == first["digest"]
    other = partwise.run("fit", "x.h5ad", "-k", 3, "--max-passes", 3, "-o", "result.h5ad", "--resume")
    assert other.returncode == 73 and "of other genes and cells" in other.stderr
    lists(partwise, seed=2)
    for options in (["-o", "result.h5ad"], ["-o", "new.h5ad", "--checkpoint", "ck"]):
        other = partwise.run("fit", "x.h5ad", "-k", 3, *LISTS, "--max-passes", 3, "--resume", *options)
        assert other.returncode in (2, 65, 73) and "of " in other.stderr, other.stderr
    # More passes of the same subset go on.
    lists(partwise)
    more = partwise.json("fit", "x.h5ad", "-k", 3, *LISTS, "--max-passes", 5, "-o", "more.h5ad", "--checkpoint", "ck", "--resume")
    assert more["resumed_from_pass"] > 0
    whole_run, _ = partwise.fit("x.h5ad", 3, *LISTS, "--max-passes", 5)
    assert more["digest"] == whole_run["digest"]


def test_names_that_are_not_there_are_said(partwise, whole):
    path = partwise.path("genes.txt")
    path.write_text("\ufeffgene1\ngene2\n\nMISSING\ngene3\ngene4\n")
    ran = partwise.run("fit", "x.h5ad", "-k", 2, "--genes-file", path, "--max-passes", 3)
    assert ran.returncode == 0, ran.stderr
    assert "1 of its 5 names are of no genes in the data: MISSING" in ran.stderr
    assert f"fitting {CELLS} of {CELLS} cells and 4 of {GENES} genes" in ran.stderr


@pytest.mark.parametrize(
    "content, options, code, line",
    [
        (None, ["--genes-file", "list.txt"], 66, "list.txt"),
        ("A1BG\nA2M\n", ["--genes-file", "list.txt"], 65, 'such as "gene0"'),
        ("A1BG\n", ["--cells-file", "list.txt"], 65, 'such as "cell0"'),
        ("", ["--cells-file", "list.txt"], 65, "none of its names"),
        (b"\xff\xfe", ["--cells-file", "list.txt"], 65, "UTF-8"),
        ("gene1\ngene2\n", ["--genes-file", "list.txt", "-k", "3"], 2, "2 genes"),
        ("cell1\n", ["--cells-file", "list.txt"], 2, "1 cells"),
        (None, ["--min-cells", str(CELLS + 1)], 65, "keep more"),
        (None, ["--min-counts", "1e9"], 65, "keep more"),
        (None, ["--min-counts", "nan"], 2, "least sum"),
        (None, ["--min-counts", "-1"], 2, "least sum"),
    ],
)
def test_a_subset_that_leaves_too_little_is_refused_in_one_line(partwise, whole, content, options, code, line):
    if content is not None:
        path = partwise.path("list.txt")
        path.write_bytes(content) if isinstance(content, bytes) else path.write_text(content)
    ks = [] if "-k" in options else ["-k", "2"]
    partwise.json("convert", "x.h5ad", "-o", "x.pw")
    ran = partwise.run("fit", "x.pw", *ks, *options, "-o", "result.h5ad", "--quiet")
    assert (ran.returncode, line in ran.stderr, ran.stderr.count("\n")) == (code, True, 1), ran.stderr
    assert not partwise.path("result.h5ad").exists()


def test_a_list_is_never_an_output(partwise, whole):
    lists(partwise)
    before = partwise.path("genes.txt").read_text()
    ran = partwise.run("fit", "x.h5ad", "-k", 2, *LISTS, "--trace", "genes.txt", "--force")
    assert ran.returncode == 2 and "the list of names" in ran.stderr, ran.stderr
    assert partwise.path("genes.txt").read_text() == before


def test_the_memory_is_that_of_the_plan(partwise, whole):
    lists(partwise)
    said, _ = partwise.fit("x.h5ad", 8, *LISTS, "--min-counts", 20, "--memory", "64M", "--max-passes", 4)
    assert said["peak_rss_bytes"] <= min(said["planned_peak_bytes"], 64 << 20)
