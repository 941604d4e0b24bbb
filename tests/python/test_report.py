"""The page of a result: its numbers are those that numpy finds in the file, and a browser shows it without a network."""

import html
import json
import os
import re
import shutil
from xml.etree import ElementTree

import anndata
import numpy as np
import pandas as pd
import pytest

CONSENSUS = ["programs", "density", "clusters", "cells", "shares", "genes", "overlap"]
HOSTILE = "</script><b>x</b> &amp; \"q\" 'a'\nnew <img src=x onerror=alert(1)> $x$ %{y}"


def data_of(page):
    """The data of the page."""
    text = page.read_text()
    inside = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    return json.loads(inside.group(1))


def shares_of(result):
    parts = np.asarray(result.obsm["X_nmf"], np.float64) * np.asarray(result.varm["spectra"], np.float64).sum(axis=0)
    return parts / np.maximum(parts.sum(axis=1, keepdims=True), 1e-300)


@pytest.fixture
def labelled(partwise, counts):
    """A result with labels of several kinds, some of its names hostile."""
    x = anndata.read_h5ad(counts)
    rng = np.random.default_rng(0)
    kinds = np.array(["B", "T", HOSTILE])
    x.obs["kind"] = pd.Categorical(np.where(rng.random(x.n_obs) < 0.02, None, kinds[rng.integers(0, 3, x.n_obs)]))
    x.obs["cluster"] = rng.integers(0, 12, x.n_obs)
    x.obs["depth"] = np.asarray(x.X.sum(axis=1)).ravel() + 0.5
    x.obs["good"] = rng.random(x.n_obs) < 0.5
    x.obs["barcode"] = [f"c{i}" for i in range(x.n_obs)]
    names = x.var_names.to_list()
    names[0] = HOSTILE
    x.var_names = names
    x.obsm["X_umap"] = rng.normal(size=(x.n_obs, 2))
    x.write_h5ad(partwise.path("labelled.h5ad"))
    partwise.json("fit", "labelled.h5ad", "-k", 5, "-o", "r.h5ad")
    return partwise.path("labelled.h5ad")


def report(partwise, result, *options):
    said = partwise.json("report", result, *options, "-o", "page.html", "--force")
    page = partwise.path("page.html")
    assert said["report"] == "page.html" and said["bytes"] == page.stat().st_size < 5_000_000
    return said, data_of(page)


def test_the_numbers_of_a_fit_are_those_of_its_file(partwise, labelled):
    said, data = report(partwise, "r.h5ad", "--label", "kind", "--label", "depth", "--label", "good")
    assert said["pictures"] == ["programs", "cells", "labels", "shares", "genes", "overlap", "error"]
    result = anndata.read_h5ad(partwise.path("r.h5ad"))
    shares, h = shares_of(result), np.asarray(result.varm["spectra"], np.float64).T
    n, k = shares.shape

    # The share of an average cell, over all cells.
    page = partwise.path("page.html").read_text()
    sizes = {int(a): float(b) for a, b in re.findall(r'data-number="(\d+)" data-size="([^"]+)"', page)}
    assert np.allclose([sizes[i] for i in range(k)], shares.mean(axis=0), rtol=1e-6)
    assert np.allclose([sizes[i] for i in range(k)], result.uns["nmf"]["programs"]["usage"], rtol=1e-5)

    # Cells: shares and their principal components, up to sign.
    cells = data["cells"]
    assert cells["cells"] == result.obs_names.to_list()
    by_name = {colour["name"]: colour for colour in cells["colours"]}
    for i in range(k):
        assert np.allclose(by_name[f"program {i}"]["values"], shares[:, i], atol=6e-4)
    centred = shares - shares.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    for c, axis in enumerate(cells["axes"][:3]):
        scores = centred @ vectors[:, ::-1][:, c]
        mine = np.array(axis["values"])
        sign = np.sign(mine @ scores)
        assert np.allclose(mine, sign * scores, atol=1e-3), c
        assert f"({100 * values[::-1][c] / values.sum():.0f} %)" in axis["name"]
    assert by_name["kind"]["groups"][-1] == "no value"
    codes = np.array(by_name["kind"]["codes"])
    assert (codes == len(by_name["kind"]["groups"]) - 1).sum() == result.obs["kind"].isna().sum()
    assert np.allclose(by_name["depth"]["values"], result.obs["depth"], rtol=6e-3)

    # Overlap.
    for view, table in zip(data["overlap"]["views"], [h, np.asarray(result.varm["gene_scores"], np.float64).T]):
        order = [int(text.split()[1]) for text in view["layout"]["yaxis"]["ticktext"]]
        assert np.allclose(view["data"][0]["z"], np.corrcoef(table)[np.ix_(order, order)], atol=6e-4)

    # Error by pass.
    trace = result.uns["nmf"]["trace"]
    kept = np.asarray(trace["accepted"]) != 0
    line = data["error"]["views"][0]["data"][0]
    assert line["x"] == np.asarray(trace["pass"])[kept].tolist()
    assert np.allclose(line["y"], np.asarray(trace["relative_error"])[kept], rtol=1e-6)

    # Means of groups.
    assert [view["name"] for view in data["labels"]["views"]] == ["kind", "good"]
    view = data["labels"]["views"][0]
    order = [int(text) for text in view["layout"]["xaxis"]["ticktext"]]
    for row, group in zip(view["data"][0]["z"], view["layout"]["yaxis"]["ticktext"]):
        assert np.allclose(row, shares[(result.obs["kind"] == group).to_numpy()].mean(axis=0)[order], atol=6e-5)

    # Genes: each with its scores.
    genes, scores = data["genes"], np.asarray(result.varm["gene_scores"], np.float64)
    assert genes["names"] == result.var_names.to_list() and genes["word"] == "score"
    assert np.allclose(np.reshape(genes["values"], scores.shape), scores, rtol=6e-3)

    # The heat map has each cell of its sample once, and its programs' shares.
    heat = data["shares"]["views"][0]
    trace = heat["data"][0]
    assert len(set(trace["columns"])) == len(trace["columns"]) == 1000
    order = [int(text.split()[1]) for text in heat["layout"]["yaxis"]["ticktext"]]
    at = result.obs_names.get_indexer(trace["columns"])
    assert np.allclose(np.array(trace["z"]).T, shares[at][:, order], atol=6e-4)


def test_an_embedding_is_matched_by_the_names_of_cells(partwise, labelled):
    x = anndata.read_h5ad(labelled)
    x.obsm["X_other"] = x.obsm["X_umap"] + 100
    x[::-1].copy().write_h5ad(partwise.path("turned.h5ad"))
    place = pd.DataFrame(x.obsm["X_umap"], index=x.obs_names)
    for option, shift, key in [("turned.h5ad", 0, "X_umap"), ("turned.h5ad:X_other", 100, "X_other")]:
        _, data = report(partwise, "r.h5ad", "--embedding", option)
        cells = data["cells"]
        assert [axis["name"] for axis in cells["axes"]] == [f"{key} 1", f"{key} 2"]
        for c in range(2):
            assert np.allclose(cells["axes"][c]["values"], place.loc[cells["cells"], c] + shift, rtol=6e-3, atol=1e-3)

    x[: x.n_obs - 7].copy().write_h5ad(partwise.path("fewer.h5ad"))
    ran = partwise.run("report", "r.h5ad", "--embedding", "fewer.h5ad", "-o", "fewer.html")
    assert ran.returncode == 0 and f"7 of the {x.n_obs} cells shown are not in this file" in ran.stderr, ran.stderr
    assert "7 of the" in partwise.path("fewer.html").read_text()

    x.obs_names = [f"other{i}" for i in range(x.n_obs)]
    x.write_h5ad(partwise.path("strange.h5ad"))
    ran = partwise.run("report", "r.h5ad", "--embedding", "strange.h5ad", "-o", "strange.html")
    assert ran.returncode == 65 and "none of the 3000 cells" in ran.stderr and "other0" in ran.stderr, ran.stderr
    assert not partwise.path("strange.html").exists()
    ran = partwise.run("report", "r.h5ad", "--embedding", "turned.h5ad:X_none")
    assert ran.returncode == 65 and "obsm has X_other, X_umap" in ran.stderr, ran.stderr


def test_labels_that_are_missing_or_name_each_cell_are_refused(partwise, labelled):
    ran = partwise.run("report", "r.h5ad", "--label", "none")
    assert ran.returncode == 65 and "no column" in ran.stderr and "library_size, kind, depth" in ran.stderr, ran.stderr
    partwise.json("simulate", "--kind", "counts", "--cells", 10500, "--genes", 60, "--depth", 30, "-o", "many.h5ad")
    x = anndata.read_h5ad(partwise.path("many.h5ad"))
    x.obs["barcode"] = [f"c{i}" for i in range(x.n_obs)]
    x.write_h5ad(partwise.path("many.h5ad"))
    partwise.json("fit", "many.h5ad", "-k", 2, "-o", "many.nmf.h5ad")
    ran = partwise.run("report", "many.nmf.h5ad", "--label", "barcode")
    assert ran.returncode == 65 and "more than 10000 different values" in ran.stderr, ran.stderr


def test_a_sample_is_said_and_sums_are_over_all_cells(partwise, labelled):
    partwise.json("simulate", "--kind", "counts", "--cells", 9000, "--genes", 200, "--programs", 4, "--depth", 100, "-o", "x.h5ad")
    partwise.json("fit", "x.h5ad", "-k", 4, "-o", "x.nmf.h5ad")
    _, data = report(partwise, "x.nmf.h5ad")
    page = partwise.path("page.html").read_text()
    assert "4,000 of the 9,000 cells" in page
    result = anndata.read_h5ad(partwise.path("x.nmf.h5ad"))
    rows = np.arange(4000) * 9000 // 4000
    assert data["cells"]["cells"] == result.obs_names[rows].to_list()
    sizes = [float(size) for size in re.findall(r'data-size="([^"]+)"', page)]
    assert np.allclose(sizes, shares_of(result).mean(axis=0), rtol=1e-6)


def test_a_folder_of_fits_is_shown_against_k(partwise, counts):
    partwise.json("fit", "counts.h5ad", "-k", "3,5", "--seed", "0,1,2", "-o", "set")
    said = partwise.json("report", "set")
    assert said["report"] == "set.report.html" and said["pictures"] == ["by_k", "agreement"]
    data = data_of(partwise.path("set.report.html"))
    points = data["by_k"]["views"][1]["data"][1]
    told = {(k, seed): anndata.read_h5ad(partwise.path(f"set/k{k}.seed{seed}.h5ad")) for k in (3, 5) for seed in range(3)}
    errors = [result.uns["nmf"]["relative_error"] for result in told.values()]
    assert points["x"] == [3, 3, 3, 5, 5, 5] and np.allclose(points["y"], errors, rtol=1e-6)

    def unit(result):
        h = np.asarray(result.varm["spectra"], np.float64).T
        return h / np.linalg.norm(h, axis=1, keepdims=True)

    expected = []
    for k in (3, 5):
        seeds = [unit(told[k, seed]) for seed in range(3)]
        for mine in range(3):
            others = [(seeds[mine] @ seeds[other].T).max(axis=1) for other in range(3) if other != mine]
            expected.extend(np.mean(others, axis=0))
    assert np.allclose(data["agreement"]["views"][0]["data"][1]["y"], expected, atol=1e-4)
    ran = partwise.run("report", "set", "--label", "x", "--force")
    assert ran.returncode == 2 and "one result" in ran.stderr


def swept(partwise, counts):
    """The folder of a sweep of the file, and its table."""
    partwise.json("sweep", counts, "-k", "2..5", "--replicates", 22, "--hvg", 150, "-o", "x.sweep")
    return pd.read_csv(partwise.path("x.sweep/stability.csv"))


def test_a_sweep_is_shown_against_k(partwise, counts):
    table = swept(partwise, counts)
    said = partwise.json("report", "x.sweep")
    assert said["report"] == "x.sweep.report.html" and said["pictures"] == ["stability", "explained", "passes"]
    page = partwise.path("x.sweep.report.html")
    data = data_of(page)
    stability, replicates, medians = data["stability"]["views"][0]["data"]
    assert stability["x"] == medians["x"] == [2, 3, 4, 5]
    assert np.allclose(stability["y"], table["stability"], rtol=1e-6)
    assert np.allclose(medians["y"], table["relative_error"], rtol=1e-6)
    assert np.allclose(data["explained"]["views"][0]["data"][0]["y"], table["explained"], rtol=1e-6)
    each, mean = data["passes"]["views"][0]["data"]
    assert np.allclose(mean["y"], table["passes"], rtol=1e-6)

    # A point for each replicate, and one for several that are equal.
    for trace, value in [(replicates, lambda of: np.sqrt(of["error"])), (each, lambda of: np.asarray(of["passes"]))]:
        for k in (2, 3, 4, 5):
            files = [partwise.path(f"x.sweep/replicates/k{k}.from{first}.h5ad") for first in (0, 20)]
            expected = np.concatenate([value(anndata.read_h5ad(file).uns["sweep"]) for file in files])
            points = [(y, about) for x, y, about in zip(trace["x"], trace["y"], trace["customdata"]) if x == k]
            shown = np.concatenate([[y] * int(about.split(" of ")[0]) for y, about in points])
            assert len(expected) == 22 and np.allclose(shown, np.sort(expected), rtol=1e-4)

    best = table.sort_values("stability", ascending=False).iloc[:2]
    lead = best["stability"].iloc[0] - best["stability"].iloc[1]
    text = page.read_text()
    assert f"k = {best['k'].iloc[0]} is the most stable ({best['stability'].iloc[0]:.3f})" in text
    assert f"{lead:.3f} below" in text and ("but not clearly" in text) == (lead < 0.075)
    # Nothing of the machine is in the page.
    assert str(partwise.folder) not in text


def agreed(partwise, counts, threshold):
    """The page of a consensus of a sweep of the file, its result, and the spectra of all replicates with norm 1."""
    swept(partwise, counts)
    partwise.json("consensus", "x.sweep", "-k", 4, "--density", threshold, "-o", "c.h5ad", "--force")
    said, data = report(partwise, "c.h5ad")
    assert said["pictures"] == CONSENSUS
    files = [partwise.path(f"x.sweep/replicates/k4.from{first}.h5ad") for first in (0, 20)]
    spectra = np.vstack([np.asarray(anndata.read_h5ad(file).X, np.float64) for file in files])
    spectra /= np.linalg.norm(spectra, axis=1, keepdims=True)
    return data, anndata.read_h5ad(partwise.path("c.h5ad")), spectra


def distances_of(spectra):
    return np.sqrt(np.maximum(2 - 2 * spectra @ spectra.T, 0))


def test_the_densities_of_a_consensus_are_those_of_its_replicates(partwise, counts):
    _, result, spectra = agreed(partwise, counts, 2)
    nearest = int(0.3 * 22)
    density = np.sort(distances_of(spectra), axis=1)[:, : nearest + 1].sum(axis=1) / nearest
    assert len(density) == 88
    # A threshold that leaves out some spectra, between two densities.
    low, high = np.quantile(density, [0.85, 0.9], method="nearest")
    threshold = round((low + high) / 2, 6)
    assert low < threshold < high
    data, result, _ = agreed(partwise, counts, threshold)
    left_out = int((density >= threshold).sum())
    assert 4 < left_out < 20
    linear, logarithmic = data["density"]["views"]
    kept, out, mark = linear["data"]
    assert kept["name"] == f"kept ({88 - left_out})"
    assert out["name"] == f"left out ({left_out}, {100 * left_out / 88:.1f} %)"
    assert mark["x"] == [threshold, threshold]
    edges = np.append(np.array(kept["x"]) - np.array(kept["width"]) / 2, kept["x"][-1] + kept["width"][-1] / 2)
    # Rounding moves no density over an edge, but those of replicates that are alike: these are zero or nearly so.
    density = np.asarray(result.uns["nmf"]["local_density"])
    edges = np.round(edges, 9)
    for trace, chosen in ((kept, density < threshold), (out, density >= threshold)):
        assert trace["y"] == np.histogram(density[chosen], edges)[0].tolist() and sum(trace["y"]) == chosen.sum()
    assert linear["data"] != logarithmic["data"] and logarithmic["layout"]["yaxis"]["type"] == "log"
    text = partwise.path("page.html").read_text()
    assert f"leaves out {left_out} of 88 spectra ({100 * left_out / 88:.1f} %)" in text
    assert "Consensus of 22 replicates of a sweep: k = 4 programs of 3,000 cells" in text
    assert f"Stability {result.uns['nmf']['stability']:.3f}" in text


def test_the_distances_of_a_consensus_are_those_of_its_replicates(partwise, counts):
    data, result, spectra = agreed(partwise, counts, 2)
    view = data["clusters"]["views"][0]
    heat = view["data"][0]
    told = [re.fullmatch(r"spectrum (\d+) of program (\d+), local density ([\d.]+)", name).groups() for name in heat["pairs"]]
    places, programs = np.array([int(place) for place, *_ in told]), [int(program) for _, program, _ in told]
    # All 88 spectra, by program; their distances are those that numpy finds.
    assert sorted(places) == list(range(88)) and programs == sorted(programs)
    assert np.allclose(heat["z"], distances_of(spectra[places]), atol=2e-3)
    assert np.array_equal(result.uns["nmf"]["program_of_spectrum"][places], programs)
    assert view["data"][1]["z"][0] == programs
    assert np.allclose([float(of) for *_, of in told], result.uns["nmf"]["local_density"][places], atol=6e-4)
    # The name of a program is in the middle of its rows.
    for program, (middle, name) in enumerate(zip(view["layout"]["yaxis"]["tickvals"], view["layout"]["yaxis"]["ticktext"])):
        assert middle == np.flatnonzero(np.array(programs) == program).mean() and name == f"program {program}"
    # Inside a program neighbours are alike: no farther apart than in the order of the file.
    for program in range(4):
        mine = places[np.array(programs) == program]
        steps = lambda order: np.diag(distances_of(spectra[order]), 1).sum()
        assert steps(mine) <= steps(np.sort(mine)) + 1e-6
    assert "All 88 spectra that the threshold keeps are shown." in partwise.path("page.html").read_text()


def test_principal_components_are_shown_as_they_are(partwise, labelled):
    partwise.json("pca", "labelled.h5ad", "-c", 6, "--log1p", "-o", "p.h5ad")
    said, data = report(partwise, "p.h5ad", "--label", "cluster")
    assert said["pictures"] == ["cells", "variance", "axes"]
    result = anndata.read_h5ad(partwise.path("p.h5ad"))
    for c in range(6):
        assert np.allclose(data["cells"]["axes"][c]["values"], result.obsm["X_pca"][:, c], rtol=6e-3, atol=1e-6)
    ratio = data["variance"]["views"][0]["data"][0]["y"]
    assert np.allclose(ratio, result.uns["pca"]["variance_ratio"], rtol=1e-5)
    assert data["cells"]["colours"][0]["groups"] == [str(i) for i in range(12)]
    first = re.search(r'<ol class="genes">.*?title="[^"]*"><span class="name">([^<]+)<', partwise.path("page.html").read_text(), re.S)
    assert first.group(1) == result.var_names[np.argmax(result.varm["PCs"][:, 0])]


def test_equal_results_give_equal_pages(partwise, labelled):
    options = ["--label", "kind", "--embedding", "labelled.h5ad"]
    partwise.json("report", "r.h5ad", *options, "-o", "a.html")
    shutil.copy(partwise.path("r.h5ad"), partwise.path("there.h5ad"))
    os.utime(partwise.path("there.h5ad"), (1, 1))
    inner = partwise.path("inner")
    inner.mkdir()
    shutil.copy(partwise.path("r.h5ad"), inner / "r.h5ad")
    partwise.json("report", inner / "r.h5ad", *options, "-o", "b.html", "--threads", 1)
    a, b = (partwise.path(name).read_bytes() for name in ("a.html", "b.html"))
    assert a == b and str(partwise.folder).encode() not in a


SVG = "{http://www.w3.org/2000/svg}"


def figures_of(partwise, result, *options):
    """The figures that the program writes: texts and sizes in mm of each SVG, and the pixels of each PNG."""
    image = pytest.importorskip("matplotlib.image", reason="matplotlib is not installed")
    said = partwise.json("report", result, *options, "-o", "page.html", "--svg", "figures", "--png", "figures", "--force")
    assert said["files"] == [f"figures/{name}.{kind}" for kind in ("svg", "png") for name in said["pictures"]]
    vectors, pixels = {}, {}
    for name in said["pictures"]:
        root = ElementTree.parse(partwise.path(f"figures/{name}.svg")).getroot()
        assert root.tag == SVG + "svg" and root.find(SVG + "title").text
        size = [float(root.get(side).removesuffix("mm")) for side in ("width", "height")]
        box = [float(number) for number in root.get("viewBox").split()]
        assert 30 < size[0] < 181 and 20 < size[1] < 730, (name, size)
        # A point of the drawing is a point on paper.
        assert box[2] == pytest.approx(size[0] * 72 / 25.4, abs=0.05)
        texts = root.findall(SVG + "text")
        assert {text.get("font-size") for text in texts} <= {"7", "8"}, name
        for text in texts:
            assert 0 <= float(text.get("x")) <= box[2] and 0 <= float(text.get("y")) <= box[3], (name, text.text)
        vectors[name] = [text.text for text in texts]
        pixels[name] = image.imread(partwise.path(f"figures/{name}.png"))
        height, width, channels = pixels[name].shape
        assert channels == 3 and abs(width - size[0] / 25.4 * 300) < 2 and abs(height - size[1] / 25.4 * 300) < 2
        # Not blank, and white at the edge: nothing is cut off.
        assert 0.005 < (pixels[name].min(axis=2) < 0.9).mean() < 0.9, name
        for edge in (pixels[name][:6], pixels[name][-6:], pixels[name][:, :6], pixels[name][:, -6:]):
            assert (edge == 1).all(), name
    return vectors, pixels


def test_figures_are_files_of_a_papers_size_with_the_texts_of_the_page(partwise, labelled):
    vectors, pixels = figures_of(partwise, "r.h5ad", "--label", "kind", "--label", "cluster")
    assert set(vectors) == {"programs", "cells", "labels", "shares", "genes", "overlap", "error"}
    data = data_of(partwise.path("page.html"))
    for name in ("labels", "shares", "overlap", "error"):
        layout = data[name]["views"][0]["layout"]
        assert vectors[name].count(layout["xaxis"]["title"]["text"]) >= 1, name
    for axis in data["cells"]["axes"][:2]:
        assert sum(text.startswith(axis["name"][:7]) for text in vectors["cells"]) == 7, axis["name"]
    # A panel for each choice of colours.
    assert {colour["name"] for colour in data["cells"]["colours"]} <= set(vectors["cells"])
    first = re.findall(r'<span class="name">([^<]+)<', partwise.path("page.html").read_text())
    assert set(first) - set(vectors["programs"]) <= {html.escape(HOSTILE, quote=False)}, first
    # Names that would be markup are texts, and cut to their room.
    hostile = HOSTILE.replace("\n", " ")
    assert any(len(text) > 8 and hostile.startswith(text.rstrip("\u2026")) for text in vectors["labels"])

    # The fields of the heat map have the colours of the shares: the darkest and the brightest ones.
    shares = np.array(data["shares"]["views"][0]["data"][0]["z"])
    dark = (np.abs(pixels["shares"] - np.array([0x44, 0x01, 0x54]) / 255).max(axis=2) < 0.05).mean()
    assert dark > 0.3 * (shares < 0.02).mean(), dark


def test_figures_of_sets_and_of_principal_components_are_files_too(partwise, labelled):
    partwise.json("fit", "labelled.h5ad", "-k", "2,3", "--seed", "0,1", "-o", "set")
    vectors, _ = figures_of(partwise, "set")
    assert set(vectors) == {"by_k", "agreement"}
    assert vectors["by_k"].count("number of programs k") == 2 and "explained part" in vectors["by_k"]
    swept(partwise, labelled)
    vectors, pixels = figures_of(partwise, "x.sweep")
    assert set(vectors) == {"stability", "explained", "passes"}
    assert vectors["stability"].count("number of programs k") == 1 and vectors["stability"].count("4") == 2
    assert "stability (silhouette)" in vectors["stability"]
    # The two plots are one above the other.
    assert pixels["stability"].shape[0] > 1.4 * pixels["explained"].shape[0]
    partwise.json("pca", "labelled.h5ad", "-c", 5, "-o", "p.h5ad")
    vectors, _ = figures_of(partwise, "p.h5ad", "--label", "kind")
    assert set(vectors) == {"cells", "variance", "axes"}
    assert vectors["variance"].count("component") == 2
    assert [text for text in vectors["axes"] if text.startswith("PC")] == [f"PC{c}" for c in range(1, 6)]


# A browser.


@pytest.fixture
def browser():
    """Chromium without a window; skipped if it is not installed."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    from selenium.webdriver.chrome.service import Service

    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no chromium with chromedriver (scripts/setup installs them)")

    opened = []

    def open_at(page, width=1280, height=900, scripts=True):
        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        for argument in ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]:
            options.add_argument(argument)
        # Nothing outside has an address.
        options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        window = webdriver.Chrome(options=options, service=Service(driver))
        opened.append(window)
        # The size of the page, as on a phone: a window cannot be so narrow.
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        window.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        if not scripts:
            window.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
        window.get(page.as_uri())
        if not scripts:
            return window
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(window, 60).until(lambda w: w.execute_script("return document.documentElement.dataset.live || !document.getElementById('problem').hidden"))
        assert window.execute_script("return document.getElementById('problem').textContent") == ""
        return window

    yield open_at
    for window in opened:
        window.quit()


def requests_of(window):
    sent = []
    for entry in window.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            sent.append(message["params"]["request"]["url"])
    return [url for url in sent if not url.startswith(("file:", "data:", "blob:"))]


def undrawn(window):
    """The figures that are not drawn."""
    return window.execute_script(
        "return [...document.querySelectorAll('.plot')].filter(p => !p.querySelector('.main-svg')).map(p => p.closest('section').id)")


def scrolled(window):
    """Goes through the page as a reader does, until the figures of each screen are drawn."""
    from selenium.webdriver.support.ui import WebDriverWait

    seen = (
        "return [...document.querySelectorAll('.plot')].filter(p => { const r = p.getBoundingClientRect();"
        "return r.top < innerHeight && r.bottom > 0; }).every(p => p.querySelector('.main-svg'))")
    top, height = 0, window.execute_script("return innerHeight")
    while top < window.execute_script("return document.documentElement.scrollHeight"):
        window.execute_script("window.scrollTo(0, arguments[0])", top)
        WebDriverWait(window, 20).until(lambda w: w.execute_script(seen))
        top += height


def click(window, selector):
    from selenium.webdriver.common.by import By

    element = window.find_element(By.CSS_SELECTOR, selector)
    window.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    element.click()
    return element


def hovered(window, figure, point):
    """The text that the reader sees at a point of a figure."""
    return window.execute_script(
        "const plot = document.querySelector(arguments[0] + ' .plot');"
        "Plotly.Fx.hover(plot, [arguments[1]]);"
        "return plot.querySelector('.hovertext').textContent", figure, point)


def chosen(window, selector, text):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select

    Select(window.find_element(By.CSS_SELECTOR, selector)).select_by_visible_text(text)


def test_a_browser_shows_the_page_without_a_network_and_its_controls_work(partwise, labelled, browser):
    from selenium.webdriver.common.by import By

    partwise.json("report", "r.h5ad", "--label", "kind", "--label", "cluster", "-o", "page.html")
    window = browser(partwise.path("page.html"))
    run = window.execute_script

    # What is far below is drawn when the reader comes there, then every picture is there, and every axis has a name.
    assert undrawn(window)[-1] == "error"
    scrolled(window)
    plots = run("return [...document.querySelectorAll('.plot')].map(p => p.closest('section').id)")
    assert len(plots) == 6 and undrawn(window) == []
    for figure in ["cells", "labels", "shares", "genes", "overlap", "error"]:
        names = run(
            "const l = document.querySelector(arguments[0] + ' .plot')._fullLayout;"
            "return [l.xaxis.title.text, l.yaxis.title.text]", f"#{figure}")
        assert all(names), (figure, names)

    # Hostile names change nothing, and are shown as they are.
    assert run("return document.querySelectorAll('img').length") == 0
    legend = run("return [...document.querySelectorAll('#cells .legendtext')].map(e => e.textContent)")
    shown = HOSTILE.replace("\n", "\u21b5")
    assert f"{shown[:29]}…" in legend, legend
    assert run("return document.querySelectorAll('#cells .legendtext a, #cells .legendtext tspan[style*=bold]').length") == 0

    # The reader points at a field, and at a cell of a group with a hostile name.
    data = data_of(partwise.path("page.html"))
    heat = data["shares"]["views"][0]
    said = hovered(window, "#shares", {"curveNumber": 0, "pointNumber": [1, 7]})
    assert said.startswith(heat["data"][0]["columns"][7] + heat["layout"]["yaxis"]["ticktext"][1] + ": share"), said
    group = data["cells"]["colours"][0]["groups"].index(HOSTILE)
    assert shown in hovered(window, "#cells", {"curveNumber": group, "pointNumber": 0})

    # Choose a program: on the card, and in the list.
    colours = "return document.querySelector('#cells .plot').data.map(t => t.marker.color)"
    before = run(colours)
    assert len(before) == 4
    click(window, ".card[data-number='2'] .choose")
    after = run(colours)
    program = next(colour for colour in data["cells"]["colours"] if colour["name"] == "program 2")
    assert sorted(after[0]) == sorted(program["values"])
    assert run("return document.querySelector('.card.chosen').dataset.number") == "2"
    chosen(window, "#cells .colour", "cluster")
    assert len(run(colours)) == 12
    axis = "return document.querySelector('#cells .plot')._fullLayout.xaxis.title.text"
    first = run(axis)
    chosen(window, "#cells .x", data["cells"]["axes"][2]["name"])
    assert run(axis) != first and run(axis).startswith("PC3")

    # Search a gene: also one whose name is hostile.
    for typed in [data["genes"]["names"][5], "</SCRIPT>"]:
        field = window.find_element(By.CSS_SELECTOR, "#genes input")
        field.clear()
        field.send_keys(typed)
        gene = next(i for i, name in enumerate(data["genes"]["names"]) if typed.lower() in name.lower())
        assert run("return document.querySelector('#genes .plot').dataset.gene") == data["genes"]["names"][gene]
        bars = run("return document.querySelector('#genes .plot').data[0].y")
        assert bars == data["genes"]["values"][5 * gene : 5 * gene + 5]

    # Sort the cards.
    order = "return [...document.querySelectorAll('.card')].map(c => [Number(c.dataset.number), Number(c.dataset.size)])"
    assert [number for number, _ in run(order)] == [0, 1, 2, 3, 4]
    chosen(window, "#programs .sort", "size")
    sizes = [size for _, size in run(order)]
    assert sizes == sorted(sizes, reverse=True)

    # Copy genes.
    button = click(window, ".card[data-number='1'] .copy")
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(window, 10).until(lambda _: button.text == "copied")

    # A view, and the theme.
    kind = "return document.querySelector('#error .plot')._fullLayout.yaxis.type"
    assert run(kind) == "linear"
    chosen(window, "#error .view", "logarithmic")
    assert run(kind) == "log"
    back = "return [getComputedStyle(document.body).backgroundColor, document.querySelector('#error .plot')._fullLayout.font.color]"
    light = run(back)
    click(window, "#theme")
    dark = run(back)
    assert light != dark and light[1] != dark[1]

    # The camera gives SVG.
    assert run("return document.querySelector('#cells .plot')._context.toImageButtonOptions.format") == "svg"

    problems = [entry for entry in window.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
    assert not problems, problems
    assert requests_of(window) == []


def test_the_table_of_a_sweep_is_sorted_and_copied(partwise, counts, browser):
    from selenium.webdriver.support.ui import WebDriverWait

    swept(partwise, counts)
    partwise.json("report", "x.sweep", "-o", "page.html")
    window = browser(partwise.path("page.html"))
    scrolled(window)
    assert undrawn(window) == []
    run = window.execute_script
    legend = run("return [...document.querySelectorAll('#stability .legendtext')].map(e => e.textContent)")
    assert legend == ["a replicate", "medians of the clusters"]
    rows = "return [...document.querySelectorAll('#table tbody tr')].map(r => [...r.cells].map(c => c.textContent))"
    before = run(rows)
    assert [row[0] for row in before] == ["2", "3", "4", "5"]
    # By numbers, down at the second click; 9.5 is less than 12.3.
    for column in (3, 4, 5):
        number = lambda row: float(row[column].removesuffix(" %"))
        head = f"#table th:nth-child({column + 1})"
        click(window, head + " button")
        assert [number(row) for row in run(rows)] == sorted(map(number, before))
        click(window, head + " button")
        assert [number(row) for row in run(rows)] == sorted(map(number, before), reverse=True)
        assert run("return document.querySelector(arguments[0]).ariaSort", head) == "descending"
        assert run("return document.querySelectorAll('#table th[aria-sort]').length") == 1

    run("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    button = click(window, "#table .copy")
    WebDriverWait(window, 10).until(lambda _: button.text == "copied")
    copied = [line.split("\t") for line in run("return window.copied").split("\n")]
    assert copied[0][:3] == ["k", "replicates", "stability"] and copied[1:] == run(rows)
    WebDriverWait(window, 10).until(lambda _: button.text == "copy table")
    problems = [entry for entry in window.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
    assert not problems and requests_of(window) == []


def test_a_browser_shows_the_page_of_a_consensus(partwise, counts, browser):
    data, result, _ = agreed(partwise, counts, 0.3)
    window = browser(partwise.path("page.html"))
    scrolled(window)
    assert undrawn(window) == []
    run = window.execute_script
    names = "const l = document.querySelector(arguments[0] + ' .plot')._fullLayout; return [l.xaxis.title.text, l.yaxis.title.text]"
    assert run(names, "#density") == ["local density (distance to nearest spectra)", "spectra"]
    legend = run("return [...document.querySelectorAll('#density .legendtext')].map(e => e.textContent)")
    assert legend == [trace["name"] for trace in data["density"]["views"][0]["data"]] and legend[-1] == "threshold 0.3"
    bar = next(at for at, count in enumerate(data["density"]["views"][0]["data"][0]["y"]) if count)
    said = hovered(window, "#density", {"curveNumber": 0, "pointNumber": bar})
    assert said.startswith(f"{data['density']['views'][0]['data'][0]['y'][bar]} spectra, local density "), said
    # Two spectra, by the text at their field.
    heat = data["clusters"]["views"][0]["data"][0]
    said = hovered(window, "#clusters", {"curveNumber": 0, "pointNumber": [3, 70]})
    assert said.startswith(heat["pairs"][3] + heat["pairs"][70] + "distance "), said
    assert run(names, "#clusters") == ["spectra of each program"] * 2
    assert run("return document.querySelectorAll('#clusters .legendtext').length") == 0
    chosen(window, "#density .view", "logarithmic")
    assert run("return document.querySelector('#density .plot')._fullLayout.yaxis.type") == "log"
    problems = [entry for entry in window.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
    assert not problems and requests_of(window) == []


@pytest.mark.parametrize("what", ["fit", "set", "pca", "sweep", "consensus"])
def test_no_page_is_wider_than_a_phone(partwise, labelled, browser, what):
    if what == "set":
        partwise.json("fit", "labelled.h5ad", "-k", "2,3", "--seed", "0,1", "-o", "set")
        partwise.json("report", "set", "-o", "page.html")
    elif what == "sweep":
        swept(partwise, labelled)
        partwise.json("report", "x.sweep", "-o", "page.html")
    elif what == "consensus":
        agreed(partwise, labelled, 0.3)
    elif what == "pca":
        partwise.json("pca", "labelled.h5ad", "-c", 5, "-o", "p.h5ad")
        partwise.json("report", "p.h5ad", "--label", "kind", "-o", "page.html")
    else:
        partwise.json("report", "r.h5ad", "--label", "kind", "--label", "cluster", "-o", "page.html")
    window = browser(partwise.path("page.html"), width=390, height=844)
    assert window.execute_script("return innerWidth") == 390
    assert window.execute_script("return document.documentElement.scrollWidth") <= 390
    scrolled(window)
    assert undrawn(window) == []
    wide = window.execute_script(
        "return [...document.querySelectorAll('.plot svg')].filter(s => s.getBoundingClientRect().right > 390.5).length")
    assert wide == 0
    assert requests_of(window) == []


def test_pictures_stand_still_until_they_are_drawn_and_without_javascript(partwise, labelled, browser):
    from selenium.webdriver.common.by import By

    partwise.json("report", "r.h5ad", "-o", "page.html")
    still = browser(partwise.path("page.html"), scripts=False)
    pictures = still.find_elements(By.CSS_SELECTOR, ".plot .still svg")
    assert len(pictures) == 5 and all(min(picture.size.values()) > 150 for picture in pictures)
    # Axes have names, and the ink is that of the page.
    texts = still.find_elements(By.CSS_SELECTOR, "#error .still text")
    assert "pass (reads of the data)" in [text.text for text in texts]
    ink = still.find_element(By.TAG_NAME, "h1").value_of_css_property("color")
    assert {text.value_of_css_property("fill") for text in texts} <= {ink, ink.replace("rgba", "rgb").replace(", 1)", ")")}

    # All that is seen first is there before plotly.js has begun.
    partwise.json("pca", "labelled.h5ad", "-c", 5, "-o", "p.h5ad")
    partwise.json("report", "p.h5ad", "-o", "page.html", "--force")
    drawn = browser(partwise.path("page.html"))
    ready, live = drawn.execute_script("const d = document.documentElement.dataset; return [Number(d.ready), Number(d.live)]")
    assert 0 < ready < live
    scrolled(drawn)
    assert drawn.find_elements(By.CSS_SELECTOR, ".still") == []


def test_a_card_and_a_printer_need_figures_that_the_reader_has_not_seen(partwise, labelled, browser):
    from selenium.webdriver.support.ui import WebDriverWait

    partwise.json("report", "r.h5ad", "-o", "page.html")
    # In a narrow window, the figure is far below the first card.
    window = browser(partwise.path("page.html"), width=390, height=300)
    assert len(undrawn(window)) == 5
    click(window, ".card[data-number='0'] .choose")
    chosen_card = "const card = document.querySelector('.card.chosen'); return card && card.dataset.number"
    WebDriverWait(window, 20).until(lambda w: w.execute_script(chosen_card) == "0")
    assert "cells" not in undrawn(window)

    # Paper has all figures.
    window = browser(partwise.path("page.html"), height=300)
    assert len(undrawn(window)) == 5
    window.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    assert undrawn(window) == []
    widths = window.execute_script("return [...document.querySelectorAll('.plot')].map(p => p._fullLayout.width)")
    assert widths == [680] * 5, widths
    window.execute_script("window.dispatchEvent(new Event('afterprint'))")
    assert not [entry for entry in window.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.mark.parametrize("k", [1, 2])
def test_few_programs_have_a_page_too(partwise, counts, browser, k):
    partwise.json("fit", "counts.h5ad", "-k", k, "--no-scores", "-o", "r.h5ad")
    partwise.json("report", "r.h5ad", "-o", "page.html")
    assert "The result has no scores" in partwise.path("page.html").read_text()
    window = browser(partwise.path("page.html"))
    scrolled(window)
    assert undrawn(window) == []
    assert not [entry for entry in window.get_log("browser") if entry["level"] == "SEVERE"]
