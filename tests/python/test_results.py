"""A result opens in anndata, holds true figures, and carries the input's names and columns."""

import anndata
import numpy as np
import pandas as pd
import pytest

from conftest import Result


@pytest.mark.parametrize("options", [[], ["--scale", "std"], ["--solver", "mu"], ["--solver", "hals", "--init", "random"]])
def test_factors_have_the_error_that_was_reported_in_the_units_of_the_input(partwise, counts, options):
    said, result = partwise.fit(counts, 4, *options, "--max-passes", 8)
    x = anndata.read_h5ad(counts).X.astype("f8")
    assert result.w.shape == (3000, 4) and result.h.shape == (4, 800)
    assert result.file.obsm["X_nmf"].dtype == result.file.varm["spectra"].dtype == np.float32
    assert (result.w >= 0).all() and (result.h >= 0).all()
    h = result.h
    if "std" in options:  # the error is of the matrix factorized, X with every gene divided by its standard deviation
        mean = np.asarray(x.mean(0)).ravel()
        deviation = np.sqrt(np.asarray(x.multiply(x).mean(0)).ravel() - mean**2)
        scale = 1 / np.where(deviation > 0, deviation, 1)
        x, result.h = x.multiply(scale).tocsr(), h * scale
    assert result.relative_error(x) == pytest.approx(said["relative_error"], rel=1e-5)
    assert said["explained"] == pytest.approx(1 - said["relative_error"] ** 2)


def test_names_and_columns_are_those_of_the_input(partwise, counts):
    _, result = partwise.fit(counts, 3, "--max-passes", 3)
    source = anndata.read_h5ad(counts)
    pd.testing.assert_frame_equal(result.file.obs, source.obs)
    pd.testing.assert_frame_equal(result.file.var, source.var)


def test_the_story_of_a_fit_is_in_uns(partwise, counts):
    said, result = partwise.fit(counts, 3, "--seed", 5, "--scale", "std", "--tol", 0, "--max-passes", 6, "--trace", "t.csv")
    story = result.file.uns["nmf"]
    for key in ("k", "passes", "sample_passes", "relative_error", "stop", "digest", "solver"):
        assert story[key] == said[key], key
    assert (story["seed"], story["scale"], story["max_passes"], story["tol"]) == ("5", "std", 6, 0)
    # Equal runs give equal files: nothing that belongs to the run is in them.
    foreign = {"seconds", "bytes", "source", "host", "cpu", "threads", "memory", "resumed_from_pass"}
    assert not [key for key in [*story, *story["trace"]] if key in foreign or "seconds" in key or "bytes" in key]
    trace = pd.read_csv(partwise.path("t.csv"), float_precision="round_trip")
    of_the_run = {column for column in trace.columns if "seconds" in column or column == "bytes"}
    assert set(trace.columns) - of_the_run == set(story["trace"])
    for column in story["trace"]:
        want = trace[column].to_numpy(dtype="f8")
        np.testing.assert_allclose(np.asarray(story["trace"][column], "f8"), want, rtol=0, err_msg=column)


def test_every_result_of_a_set_holds_true_figures(partwise, counts):
    said = partwise.json("fit", counts, "-k", "3,5", "--seed", "0,4", "--max-passes", 6, "-o", "set")
    x = anndata.read_h5ad(counts).X.astype("f8")
    assert [(fit["k"], fit["seed"]) for fit in said["fits"]] == [(3, 0), (3, 4), (5, 0), (5, 4)]
    for fit in said["fits"]:
        assert fit["result"] == f"set/k{fit['k']}.seed{fit['seed']}.h5ad"
        result = Result(partwise.path(fit["result"]))
        assert result.w.shape == (3000, fit["k"]) and (result.w >= 0).all() and (result.h >= 0).all()
        assert result.relative_error(x) == pytest.approx(fit["relative_error"], rel=1e-5)
        story = result.file.uns["nmf"]
        assert (story["k"], story["seed"], story["digest"]) == (fit["k"], str(fit["seed"]), fit["digest"])
        assert len(story["trace"]["pass"]) == fit["passes"] - 1  # the first read is the sample's
        assert not [column for column in story["trace"] if "seconds" in column]
        pd.testing.assert_frame_equal(result.file.obs, anndata.read_h5ad(counts).obs)


def test_the_digest_is_of_the_bits_in_the_file(partwise, counts):
    import hashlib

    said, result = partwise.fit(counts, 3, "--max-passes", 3)
    w, h, height = result.w.astype("<f4"), result.h.astype("<f4"), int(result.file.uns["nmf"]["block_rows"])
    parts = [w[first : first + height] for first in range(0, len(w), height)] + [h]
    hashes = [hashlib.sha256(part.tobytes()).digest() for part in parts]
    assert hashlib.sha256(b"".join(hashes)).hexdigest() == said["digest"]


def test_a_result_is_a_start(partwise, counts):
    first, _ = partwise.fit(counts, 4, "--max-passes", 4, "--tol", 0)
    partwise.path("result.h5ad").rename(partwise.path("start.h5ad"))
    second, _ = partwise.fit(counts, 4, "--init", "start.h5ad", "--max-passes", 3, "--tol", 0)
    assert second["relative_error"] <= first["relative_error"] * (1 + 1e-6)
    assert second["sample_passes"] == 0
    wrong = partwise.run("fit", counts, "-k", 5, "--init", "start.h5ad", "-o", "other.h5ad")
    assert wrong.returncode == 65 and "start.h5ad" in wrong.stderr
