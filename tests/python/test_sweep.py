"""A sweep: its replicates, stability and error are those of scikit-learn, numpy and scipy, and go on from where they stopped."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import time

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.optimize import linear_sum_assignment, nnls
from sklearn.cluster import KMeans
from sklearn.decomposition import NMF
from sklearn.metrics import silhouette_score

CELLS, GENES, PROGRAMS = 900, 200, 4


@pytest.fixture
def counts(partwise):
    """Counts of four programs; one cell has almost nothing."""
    rng = np.random.default_rng(3)
    programs = rng.gamma(0.2, 1, (PROGRAMS, GENES)) + 1e-3
    rates = rng.dirichlet(np.full(PROGRAMS, 0.3), CELLS) @ (programs / programs.sum(1, keepdims=True))
    x = rng.poisson(rates * rng.gamma(4, 120, (CELLS, 1))).astype("f4")
    obs, var = pd.DataFrame(index=[f"cell{i}" for i in range(CELLS)]), pd.DataFrame(index=[f"gene{i}" for i in range(GENES)])
    anndata.AnnData(sp.csr_matrix(x), obs=obs, var=var).write_h5ad(partwise.path("x.h5ad"))
    return x


def normal(x, chosen):
    """Selected genes over their standard deviations."""
    return x[:, chosen].astype("f8") / x[:, chosen].std(0, ddof=1)


def replicates(folder, k):
    """The files of all cohorts of k."""
    found, number = [], 0
    while (path := folder / "replicates" / f"k{k}.from{number}.h5ad").exists():
        found.append(anndata.read_h5ad(path))
        number += 20
    return found


def test_replicates_stability_and_error_are_those_of_independent_tools(partwise, counts):
    said = partwise.json("sweep", "x.h5ad", "-k", "3..5", "--replicates", 8, "--hvg", 120, "--seed", 1)
    assert said["sweep"].endswith("x.sweep") and said["selected_genes"] == 120 and said["passes"] == 1
    folder = partwise.path("x.sweep")
    names = (folder / "genes.txt").read_text().split()
    chosen = [int(name[4:]) for name in names]
    assert chosen == sorted(chosen)
    partwise.json("genes", "x.h5ad", "--hvg", 120, "-o", "g.csv")
    marked = pd.read_csv(partwise.path("g.csv"), index_col=0)
    assert list(marked.index[marked["highly_variable"]]) == names
    xh = normal(counts, chosen)
    table = pd.read_csv(folder / "stability.csv", index_col=0)
    assert list(table.index) == [3, 4, 5] == [row["k"] for row in said["k"]]
    for row in said["k"]:
        k = row["k"]
        (found,) = replicates(folder, k)
        assert list(found.var_names) == names and found.shape == (8 * k, 120)
        spectra, told = np.asarray(found.X, "f8"), found.uns["sweep"]
        for r in range(8):
            h = spectra[r * k : (r + 1) * k]
            w = np.array([nnls(h.T, cell)[0] for cell in xh])
            error = ((xh - w @ h) ** 2).sum() / (xh**2).sum()
            assert told["error"][r] == pytest.approx(error, rel=2e-4)
        # Nobody else finds a lower median from as many starts.
        theirs = [NMF(k, init="random", random_state=r, tol=1e-4, max_iter=1000).fit(xh).reconstruction_err_ ** 2 for r in range(8)]
        assert row["median_error"] * (xh**2).sum() <= np.median(theirs) * (1 + 1e-5) or k != PROGRAMS
        unit = spectra / np.linalg.norm(spectra, axis=1, keepdims=True)
        labels = KMeans(k, n_init=30, random_state=1).fit_predict(unit)
        assert row["stability"] == pytest.approx(silhouette_score(unit, labels), abs=1e-5)
        medians = np.array([np.median(unit[labels == c], axis=0) for c in range(k)])
        medians /= medians.sum(1, keepdims=True)
        w = np.array([nnls(medians.T, cell)[0] for cell in xh])
        assert row["error"] == pytest.approx(((xh - w @ medians) ** 2).sum(), rel=1e-5)
        assert row["explained"] == pytest.approx(1 - row["error"] / (xh**2).sum(), rel=1e-4)
        assert table.loc[k, "stability"] == pytest.approx(row["stability"], rel=1e-12) and table.loc[k, "replicates"] == 8
        assert row["passes"] == pytest.approx(np.mean(told["passes"]))
    assert said["most_stable"] == PROGRAMS == table["stability"].idxmax()


def test_the_planted_programs_come_out(partwise, counts):
    partwise.json("sweep", "x.h5ad", "-k", PROGRAMS, "--replicates", 10, "--hvg", 150)
    said = partwise.json("consensus", "x.sweep", "-k", PROGRAMS, "-o", "c.h5ad")
    # All of X once; usages come from the copy of the selected genes.
    assert said["passes"] == 1 and said["selected_genes"] == 150
    found = anndata.read_h5ad(partwise.path("c.h5ad"))
    rng = np.random.default_rng(3)
    planted = rng.gamma(0.2, 1, (PROGRAMS, GENES)) + 1e-3
    spectra = found.varm["spectra_tpm"].T
    cosines = (planted / np.linalg.norm(planted, axis=1, keepdims=True)) @ (spectra / np.linalg.norm(spectra, axis=1, keepdims=True)).T
    rows, columns = linear_sum_assignment(-cosines)
    assert cosines[rows, columns].min() > 0.98, cosines
    about = found.uns["nmf"]
    assert about["replicates_of"] == "sweep" and about["replicates"] == 10 and about["seed"] == "0" and about["meet"] == "true"
    # The same from the counts as a user names them, and as new cells.
    named = partwise.json("consensus", "x.sweep", "--input", "x.h5ad", "-k", PROGRAMS, "-o", "n.h5ad")
    assert named["results"][0]["digest"] == said["results"][0]["digest"]
    partwise.json("transform", "c.h5ad", "x.h5ad", "-o", "t.h5ad")
    np.testing.assert_array_equal(anndata.read_h5ad(partwise.path("t.h5ad")).obsm["X_nmf"], found.obsm["X_nmf"])


def files(folder):
    return {p.name: p.read_bytes() for p in sorted((folder / "replicates").iterdir())}


@pytest.mark.parametrize("start", ["random", "sample"])
def test_threads_memory_waves_and_extensions_change_no_bit(partwise, counts, start):
    ask = ["sweep", "x.h5ad", "--hvg", 100, "--start", start]
    whole = partwise.json(*ask, "-k", "3..5", "--replicates", 24, "-o", "whole.sweep")
    want = files(partwise.path("whole.sweep"))
    assert sorted(want) == [f"k{k}.from{first}.h5ad" for k in (3, 4, 5) for first in (0, 20)] and whole["replicates_made"] == 72
    small = partwise.json(*ask, "-k", "3..5", "--replicates", 24, "-o", "small.sweep", "--threads", 1, "--memory", "50M")
    assert files(partwise.path("small.sweep")) == want and small["digest"] == whole["digest"]
    assert small["peak_rss_bytes"] <= small["memory_bytes"]
    # Bit by bit, and in another order: first a k with few replicates, then more of it, then the other k.
    for k, replicates, made in (("4", 5, 5), ("4", 24, 24), ("3..5", 24, 48), ("5", 10, 0)):
        grown = partwise.json(*ask, "-k", k, "--replicates", replicates, "-o", "grown.sweep")
        # The copy is made once; a cohort that grows is made anew.
        assert grown["replicates_made"] == made and grown["passes"] == (1 if replicates == 5 else 0)
    assert files(partwise.path("grown.sweep")) == want and grown["digest"] == whole["digest"]
    assert partwise.path("grown.sweep/stability.csv").read_bytes() == partwise.path("whole.sweep/stability.csv").read_bytes()


def test_replicates_that_start_from_cells_of_their_own_find_the_planted_programs(partwise, counts):
    ask = ["sweep", "x.h5ad", "--hvg", GENES, "-k", PROGRAMS, "--replicates", 12]
    random = partwise.json(*ask, "-o", "random.sweep")
    sample = partwise.json(*ask, "-o", "sample.sweep", "--start", "sample", "--max-passes", 8)
    (of_random,), (of_sample,) = random["k"], sample["k"]
    assert of_sample["passes"] <= 8 and sample["digest"] != random["digest"]
    assert of_sample["stability"] > 0.9 and abs(of_sample["error"] / of_random["error"] - 1) < 1e-3
    refused = partwise.run(*ask, "-o", "random.sweep", "--start", "sample")
    assert refused.returncode == 73 and "start = random, not sample" in refused.stderr
    partwise.json("consensus", "sample.sweep", "-k", PROGRAMS, "-o", "c.h5ad")
    assert anndata.read_h5ad(partwise.path("c.h5ad")).uns["nmf"]["start"] == "sample"


def test_replicates_that_have_met_are_equal_and_may_be_kept_apart(partwise, counts):
    ask = ["sweep", "x.h5ad", "-k", PROGRAMS, "--replicates", 12, "--hvg", 100]
    met = partwise.json(*ask, "-o", "met.sweep")["k"][0]
    apart = partwise.json(*ask, "-o", "apart.sweep", "--no-meet")["k"][0]
    (found,) = replicates(partwise.path("met.sweep"), PROGRAMS)
    numbers = found.uns["sweep"]["met"]
    assert (numbers >= 0).sum() > 3
    spectra = np.asarray(found.X).reshape(12, PROGRAMS, -1)
    for replicate, earlier in enumerate(numbers):
        if earlier >= 0:
            np.testing.assert_array_equal(spectra[replicate], spectra[earlier])
    (alone,) = replicates(partwise.path("apart.sweep"), PROGRAMS)
    assert (alone.uns["sweep"]["met"] == -1).all()
    assert met["passes"] < apart["passes"] and abs(met["stability"] - apart["stability"]) < 0.05


def test_a_sweep_that_was_stopped_goes_on(partwise, counts):
    ask = ["sweep", "x.h5ad", "-k", "3..12", "--replicates", 60, "--hvg", 100, "--max-passes", 40, "--tol", 0, "--no-meet"]
    whole = partwise.json(*ask, "-o", "whole.sweep")
    folder = partwise.path("part.sweep")
    command = [str(argument) for argument in [partwise.binary, *ask, "-o", "part.sweep", "--threads", 1]]
    for how in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM):
        run = subprocess.Popen(command, cwd=partwise.folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        before = len(list((folder / "replicates").glob("k*"))) if folder.exists() else 0
        while run.poll() is None and len(list((folder / "replicates").glob("k*"))) <= before:
            time.sleep(0.002)
        run.send_signal(how)
        said = run.communicate()[1].decode()
        assert run.returncode == {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: 75}[how], said
        assert how == signal.SIGKILL or "part.sweep keeps what was done" in said and "run the same command again" in said
    done = len(list((folder / "replicates").glob("k*")))
    assert 0 < done < 30, "it was stopped in between"
    rest = partwise.json(*ask, "-o", "part.sweep")
    assert 0 < rest["replicates_made"] < 600 and rest["digest"] == whole["digest"]
    assert files(folder) == files(partwise.path("whole.sweep"))


def test_a_wave_that_is_stopped_anywhere_goes_on_from_its_last_passes(partwise, counts):
    ask = ["sweep", "x.h5ad", "-k", "4..7", "--replicates", 25, "--hvg", 100, "--max-passes", 120, "--tol", 0, "--seed", 2]
    whole = partwise.json(*ask, "-o", "whole.sweep")
    assert whole["waves"] == 1
    folder, rng = partwise.path("part.sweep"), random.Random(5)
    ask += ["-o", "part.sweep", "--checkpoint-every", 1]
    manifests = [folder / f"unfinished/k{k}.from{first}/manifest.json" for k in range(4, 8) for first in (0, 20)]

    def behind():
        """The passes that the last checkpoint of every cohort has behind it."""
        passes = [json.loads(path.read_text())["checkpoints"][0]["passes"] if path.exists() else 0 for path in manifests]
        return max(passes)

    def goes_on(said):
        told = re.search("replicates go on from where they were stopped, after ([0-9]+) passes", said)
        return int(told[1]) if told else 0

    before = 0
    for how in [signal.SIGKILL, signal.SIGINT, signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGKILL]:
        # Other threads and memory, and so perhaps other waves.
        machine = ["--threads", rng.choice([1, 2])]
        command = [str(argument) for argument in [partwise.binary, *ask, *machine]]
        run = subprocess.Popen(command, cwd=partwise.folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        while run.poll() is None and behind() <= before:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.03))
        run.send_signal(how)
        said = run.communicate()[1].decode()
        assert run.returncode == {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: 75}[how], said
        assert goes_on(said) == before, said
        assert behind() > before and not any((folder / "replicates").iterdir())
        before = behind()
    rest = partwise.run(*ask, "--json")
    assert rest.returncode == 0 and goes_on(rest.stderr) == before, rest.stderr
    assert json.loads(rest.stdout)["digest"] == whole["digest"]
    assert files(folder) == files(partwise.path("whole.sweep")) and not (folder / "unfinished").exists()


def test_one_run_at_a_time_works_in_a_folder(partwise, counts):
    ask = ["sweep", "x.h5ad", "-k", 5, "--replicates", 20, "--hvg", 100, "--max-passes", 100_000, "--tol", 0, "--no-meet"]
    command = [str(argument) for argument in [partwise.binary, *ask, "--checkpoint-every", 5]]
    run = subprocess.Popen(command, cwd=partwise.folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    while run.poll() is None and not partwise.path("x.sweep/unfinished/k5.from0/manifest.json").exists():
        time.sleep(0.005)
    for more in ([], ["--force"]):
        second = partwise.run(*ask, *more)
        assert second.returncode == 73 and f"process {run.pid} on " in second.stderr, second.stderr
    assert run.poll() is None
    run.kill()
    run.communicate()
    # With --force, nothing of the run before is left.
    done = partwise.run("sweep", "x.h5ad", "-k", 5, "--replicates", 3, "--hvg", 100, "--max-passes", 3, "--force")
    assert done.returncode == 0 and "go on from" not in done.stderr, done.stderr
    assert not partwise.path("x.sweep/unfinished").exists()


def test_a_plan_foresees_a_sweep(partwise):
    partwise.json("simulate", "--kind", "counts", "--cells", 12000, "--genes", 3000, "--programs", 6, "-o", "y.h5ad")
    ask = ["-k", "4..8", "--replicates", 24, "--hvg", 500, "--threads", 2]
    told = partwise.json("plan", "y.h5ad", *ask)
    assert told["estimated"] and not partwise.path("y.pw").exists()
    assert told["peak_bytes"] >= told["converting_peak_bytes"] > 0
    partwise.json("convert", "y.h5ad", "-o", "y.pw")
    for memory in ["1G", "42M"]:
        plan = partwise.json("plan", "y.pw", *ask, "--memory", memory)
        sweep = partwise.json("sweep", "y.pw", *ask, "--memory", memory, "--force")
        assert not plan["estimated"] and plan["converting_peak_bytes"] is None
        # A process that has copied genes has a little less room.
        assert plan["waves"] <= sweep["waves"] <= plan["waves"] + 1 and plan["threads"] == sweep["threads"]
        assert plan["selected_genes"] == sweep["selected_genes"] == 500 and plan["replicates"] == sweep["replicates_made"]
        copy = partwise.json("info", "y.sweep/counts.pw")
        assert plan["nonzeros"] == pytest.approx(copy["nonzeros"], rel=0.05)
        assert sweep["peak_rss_bytes"] <= plan["peak_bytes"] <= 1.3 * sweep["peak_rss_bytes"]
        passes = np.mean([row["passes"] for row in sweep["k"]])
        assert passes / 2 <= plan["passes"] <= 2 * passes, (plan, sweep)
    assert plan["waves"] > 1
    # The genes of a few rows are much like those of all.
    for key, slack in [("nonzeros", 0.1), ("copy_bytes", 0.1), ("sweeping_peak_bytes", 0.2), ("passes", 0.5)]:
        assert told[key] == pytest.approx(partwise.json("plan", "y.pw", *ask)[key], rel=slack), key
    many = partwise.json("plan", "y.pw", *ask, "--nodes", 4, "--network", "100Gb")
    row = next(row for row in many["scaling"] if row["nodes"] == 4)
    gain = many["scaling"][0]["pass_seconds"] / row["pass_seconds"]
    waves = many["seconds"] - many["copying_seconds"]
    assert many["seconds_on_nodes"] == pytest.approx(many["copying_seconds"] + waves / gain)
    for code, text, more in [
        (2, "replicates", ["-k", 4, "--replicates", 1]),
        (2, "--solver", ["-k", 4, "--replicates", 9, "--solver", "mu"]),
        (2, "--replicates", ["-k", 4, "--hvg", 100]),
        (2, "501", ["-k", "4,501", "--replicates", 9, "--hvg", 500]),
        (2, "the smallest is", ["-k", 4, "--replicates", 9, "--memory", "12M"]),
    ]:
        ran = partwise.run("plan", "y.pw", *more)
        assert ran.returncode == code and text in ran.stderr, (ran.stderr, more)
def test_genes_of_one_name_are_told_apart_by_their_places(partwise, counts):
    """Symbols repeat in files of 10x. The programs are those of the same counts under unique names."""
    ask = ["--hvg", 50, "-k", 3, "--replicates", 4]
    partwise.json("sweep", "x.h5ad", *ask)
    chosen = partwise.path("x.sweep/genes.txt").read_text().split()
    other = next(f"gene{i}" for i in reversed(range(GENES)) if f"gene{i}" not in chosen)
    # Two selected genes have one name, and so has a gene that is not selected.
    one_name = {chosen[1]: "TWIN", chosen[2]: "TWIN", other: "TWIN"}
    twice = anndata.read_h5ad(partwise.path("x.h5ad"))
    twice.var_names = [one_name.get(name, name) for name in twice.var_names]
    twice.write_h5ad(partwise.path("twice.h5ad"))
    partwise.json("sweep", "twice.h5ad", *ask)
    assert partwise.path("twice.sweep/genes.txt").read_text().split() == [one_name.get(name, name) for name in chosen]
    # The same command again finds its replicates.
    assert partwise.json("sweep", "twice.h5ad", *ask)["replicates_made"] == 0
    for name in ("x", "twice"):
        partwise.json("consensus", f"{name}.sweep", "-k", 3)
    unique, found = (anndata.read_h5ad(partwise.path(f"{name}.k3.h5ad")) for name in ("x", "twice"))
    assert list(found.var_names) == list(twice.var_names)
    assert list(found.var["highly_variable"]) == list(unique.var["highly_variable"]) and found.var["highly_variable"].sum() == 50
    for table in ("gene_scores", "spectra_tpm", "spectra"):
        np.testing.assert_array_equal(found.varm[table], unique.varm[table])
    np.testing.assert_array_equal(found.obsm["X_nmf"], unique.obsm["X_nmf"])


def test_mistakes_are_named_and_change_nothing(partwise, counts):
    ask = ["sweep", "x.h5ad", "--hvg", 50, "--replicates", 4]

    def fails(code, *arguments):
        ran = partwise.run(*arguments)
        assert ran.returncode == code and "panicked" not in ran.stderr, ran.stderr
        return ran.stderr

    assert "two replicates" in fails(2, "sweep", "x.h5ad", "-k", 3, "--replicates", 1)
    assert "twice" in fails(2, *ask, "-k", "3,3")
    assert "50" in fails(2, *ask, "-k", 51)
    assert "tol" in fails(2, *ask, "-k", 3, "--tol", -1)
    assert "no such" in fails(66, "sweep", "nothing.h5ad", "-k", 3)
    assert "--memory" in fails(2, *ask, "-k", 3, "--memory", "12M")
    assert not partwise.path("x.sweep").exists()
    partwise.json(*ask, "-k", 3)
    before = files(partwise.path("x.sweep"))
    assert "seed = 0, not 1" in fails(73, *ask, "-k", 3, "--seed", 1)
    assert "50 selected genes, not 60" in fails(73, "sweep", "x.h5ad", "--hvg", 60, "-k", 3, "--replicates", 4)
    assert "meet = true, not false" in fails(73, *ask, "-k", 3, "--no-meet")
    other = anndata.AnnData(sp.csr_matrix(counts[::-1].copy()), var=pd.DataFrame(index=[f"gene{i}" for i in range(GENES)]))
    other.write_h5ad(partwise.path("y.h5ad"))
    assert "other data" in fails(73, "sweep", "y.h5ad", *ask[2:], "-k", 3, "-o", "x.sweep")
    assert files(partwise.path("x.sweep")) == before
    assert "only of 3" in fails(2, "consensus", "x.sweep", "-k", 4, "-o", "c.h5ad")
    assert "other data" in fails(73, "consensus", "x.sweep", "--input", "y.h5ad", "-k", 3, "-o", "c.h5ad")
    # The store of other data is not replaced.
    partwise.json("convert", "y.h5ad", "-o", "other.pw")
    assert "store of another matrix" in fails(73, *ask, "-k", 3, "-o", "z.sweep", "--store", "other.pw")
    assert not partwise.path("z.sweep").exists()
    # A changed bit in a replicate, the copy or the description is noticed, and the remedy that is named works.
    path = partwise.path("x.sweep/replicates/k3.from0.h5ad")
    damaged = anndata.read_h5ad(path)
    damaged.X[0, 0] += 1
    damaged.write_h5ad(path)
    assert "k3.from0.h5ad" in fails(65, "consensus", "x.sweep", "-k", 3, "-o", "c.h5ad")
    path.unlink()
    partwise.json(*ask, "-k", 3)
    assert files(partwise.path("x.sweep")) == before
    manifest = partwise.path("x.sweep/sweep.json")
    manifest.write_text(manifest.read_text().replace('"tol": "0.000001"', '"tol": "0.000002"'))
    assert "sweep.json" in fails(65, "consensus", "x.sweep", "-k", 3, "-o", "c.h5ad")
    assert "sweep.json" in fails(65, *ask, "-k", 3)
    partwise.json(*ask, "-k", 3, "--force")
    assert files(partwise.path("x.sweep")) == before
    # Replicates without a description may be of anything.
    manifest.unlink()
    assert "sweep.json is missing" in fails(73, *ask, "-k", 3, "--seed", 1)
    partwise.json(*ask, "-k", 3, "--force")
    assert files(partwise.path("x.sweep")) == before
    # Without its copy the sweep makes it again; without its store a consensus asks for the counts.
    shutil.rmtree(partwise.path("x.sweep/counts.pw"))
    assert partwise.json(*ask, "-k", 3)["passes"] == 1 and files(partwise.path("x.sweep")) == before
    shutil.rmtree(partwise.path("x.pw"))
    assert "--input" in fails(66, "consensus", "x.sweep", "-k", 3, "-o", "c.h5ad")
    partwise.json("consensus", "x.sweep", "--input", "x.h5ad", "-k", 3, "-o", "c.h5ad")
    assert json.loads(manifest.read_text())["selected_genes"] == 50
    assert not os.path.exists(partwise.path("c.h5ad.part"))


def test_a_page_follows_the_folder_and_other_files_stay(partwise, counts):
    ask = ["sweep", "x.h5ad", "-k", "3,4", "--hvg", 100, "--max-passes", 5, "--report"]
    page = partwise.path("x.sweep.report.html")
    page.write_text("thesis")
    for more in ([], ["--force"]):
        before = sorted(partwise.folder.rglob("*"))
        ran = partwise.run(*ask, "--replicates", 3, *more)
        assert ran.returncode == 73 and "x.sweep.report.html: " in ran.stderr and "not a report" in ran.stderr, ran.stderr
        assert sorted(partwise.folder.rglob("*")) == before and page.read_text() == "thesis"
    page.unlink()
    # The page is that of the verb, and is made anew with the table.
    for replicates in (3, 5):
        ran = partwise.run(*ask, "--replicates", replicates)
        assert ran.returncode == 0 and "x.sweep.report.html: pictures of the sweep" in ran.stderr, ran.stderr
        partwise.json("report", "x.sweep", "-o", "alone.html", "--force")
        assert page.read_bytes() == partwise.path("alone.html").read_bytes()
        assert f"{replicates} replicates of k = 3, 4" in page.read_text()


def test_data_without_a_value_are_refused(partwise):
    cells = anndata.AnnData(sp.csr_matrix((20, 30), dtype="f4"))
    cells.write_h5ad(partwise.path("zeros.h5ad"))
    for ask in [["plan"], ["sweep"], ["plan"]]:  # the last finds a store
        ran = partwise.run(*ask, "zeros.h5ad", "-k", 2, "--replicates", 4, "--quiet")
        lines = [line for line in ran.stderr.splitlines() if "warning" not in line]
        assert ran.returncode == 65 and "no nonzero entry is left" in lines[-1], (ask, ran)
