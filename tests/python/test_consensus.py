"""A consensus of replicates is that of cNMF's steps, made with scikit-learn and scipy."""

import os

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.optimize import nnls
from scipy.spatial.distance import pdist
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
    # The spectra that are kept, by program, and their distances.
    programs, distances = found.uns["nmf"]["program_of_spectrum"], found.uns["nmf"]["distances"]
    np.testing.assert_array_equal(programs >= 0, want["density"] < threshold)
    rows = run.spectra[k] / np.linalg.norm(run.spectra[k], axis=1, keepdims=True)
    for program in range(k):
        median = np.median(rows[programs == program], axis=0)
        close(found.varm["spectra"][run.chosen, program], median / median.sum(), 1e-6)
    np.testing.assert_array_equal(distances["spectra"], np.flatnonzero(programs >= 0))
    np.testing.assert_allclose(distances["pairs"], pdist(rows[programs >= 0]), atol=1e-6)
    close(found.varm["spectra"][run.chosen].T, want["medians"], 1e-6)
    assert not found.varm["spectra"][np.setdiff1d(np.arange(GENES), run.chosen)].any()
    close(found.varm["spectra_tpm"].T, want["tpm"], 1e-4)
    close(found.varm["gene_scores"].T, want["scores"], 1e-4)
    close(found.obsm["X_nmf"], want["usages"], 1e-4)
    assert one["unused_cells"] == 1 and not found.obsm["X_nmf"][3].any()


def test_of_many_spectra_a_result_keeps_the_distances_of_some_of_each_program(partwise, run):
    rng = np.random.default_rng(9)
    base = run.spectra[4][:4]
    run.spectra[4] = np.vstack([base[rng.permutation(4)] * rng.gamma(30, 1 / 30, (4, SELECTED)) for _ in range(90)])
    run.write(4)
    partwise.json("consensus", "runs/mine", "--input", "x.h5ad", "-k", 4, "--density", 2, "-o", "c.h5ad")
    found = anndata.read_h5ad(partwise.path("c.h5ad")).uns["nmf"]
    programs, chosen = found["program_of_spectrum"], found["distances"]["spectra"]
    assert list(np.bincount(programs)) == [90] * 4
    # 200 of 360: as many of each program, from all replicates.
    assert len(chosen) == len(set(chosen)) and 196 <= len(chosen) <= 200 and list(chosen) == sorted(chosen)
    of_programs = np.bincount(programs[chosen])
    assert len(of_programs) == 4 and of_programs.min() >= 49 and of_programs.max() <= 50
    for program in range(4):
        replicates = chosen[programs[chosen] == program] // 4
        assert np.diff(replicates).max() <= 2 and replicates[0] <= 1 and replicates[-1] >= 87
    rows = run.spectra[4] / np.linalg.norm(run.spectra[4], axis=1, keepdims=True)
    np.testing.assert_allclose(found["distances"]["pairs"], pdist(rows[chosen]), atol=1e-6)
    partwise.json("report", "c.h5ad", "-o", "c.html")
    assert f"{len(chosen)} of the 360 spectra that the threshold keeps are shown" in partwise.path("c.html").read_text()


def test_threads_memory_and_other_k_change_no_bit(partwise, run):
    ask = ["consensus", "runs/mine", "--input", "x.h5ad", "--density", 0.4, "--force"]
    both = partwise.json(*ask, "-k", "4,5", "-o", "both")
    assert [one["k"] for one in both["results"]] == [4, 5] and both["passes"] == 2
    assert sorted(os.listdir(partwise.path("both"))) == ["k4.h5ad", "k4.top_genes.tsv", "k5.h5ad", "k5.top_genes.tsv"]
    for options in (["--threads", 1], ["--threads", 2, "--memory", "64M"]):
        for one in both["results"]:
            alone = partwise.json(*ask, "-k", one["k"], "-o", "alone.h5ad", *options)
            assert alone["results"][0]["digest"] == one["digest"]
            assert alone["peak_rss_bytes"] <= alone["planned_peak_bytes"] <= alone["memory_bytes"]
            for ending in ("h5ad", "top_genes.tsv"):
                assert partwise.path(f"alone.{ending}").read_bytes() == partwise.path(f"both/k{one['k']}.{ending}").read_bytes()


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


def read(path):
    """A table as scripts of cNMF's users read it."""
    return pd.read_csv(path, sep="\t", index_col=0)


def test_top_genes_are_those_of_highest_score(partwise, run):
    said = partwise.json("consensus", "runs/mine", "--input", "x.h5ad", "-k", 4, "-o", "c.h5ad")
    assert said["results"][0]["top_genes"] == "c.top_genes.tsv"
    found = anndata.read_h5ad(partwise.path("c.h5ad"))
    table = pd.read_csv(partwise.path("c.top_genes.tsv"), sep="\t")
    assert list(table.columns) == ["nmf_0", "nmf_1", "nmf_2", "nmf_3"] and len(table) == 50
    for program, scores in enumerate(found.varm["gene_scores"].T):
        best = [found.var_names[gene] for gene in np.argsort(-scores, kind="stable") if scores[gene] > 0][:50]
        assert list(table.iloc[:, program].dropna()) == best


def test_files_for_readers_of_cnmf_hold_the_result(partwise, run):
    partwise.path("other").mkdir()
    said = partwise.json("consensus", "runs/mine", "--input", "x.h5ad", "-k", "4,5", "--density", 0.4, "-o", "both", "--cnmf-files", "other/name")
    assert said["results"][1]["cnmf_files"][-1] == "other/name/name.usages.k_5.dt_0_4.consensus.txt"
    kinds = ["gene_spectra_score.k_{}.dt_0_4.txt", "gene_spectra_tpm.k_{}.dt_0_4.txt", "spectra.k_{}.dt_0_4.consensus.txt"]
    kinds += ["starcat_spectra.k_{}.dt_0_4.txt", "usages.k_{}.dt_0_4.consensus.txt"]
    folder = partwise.path("other/name")
    assert sorted(os.listdir(folder)) == sorted("name." + kind.format(k) for k in (4, 5) for kind in kinds)
    for k in (4, 5):
        found = anndata.read_h5ad(partwise.path(f"both/k{k}.h5ad"))
        scores, tpm, medians, reference, usages = [read(folder / ("name." + kind.format(k))) for kind in kinds]
        for table, key in ((scores, "gene_scores"), (tpm, "spectra_tpm")):
            assert list(table.index) == list(range(1, k + 1)) and list(table.columns) == list(found.var_names)
            np.testing.assert_array_equal(table.to_numpy("f4"), found.varm[key].T)
        assert list(medians.index) == list(range(1, k + 1)) and list(medians.columns) == run.genes
        np.testing.assert_array_equal(medians.to_numpy("f4"), found[:, run.genes].varm["spectra"].T)
        assert list(usages.columns) == [str(c + 1) for c in range(k)] and list(usages.index) == list(found.obs_names)
        np.testing.assert_array_equal(usages.to_numpy("f4"), found.obsm["X_nmf"])
        # cNMF's build_reference, from the texts that it reads itself.
        x = run.x.astype("f8")
        t = pd.DataFrame(x / x.sum(1, keepdims=True) * 1e6, columns=found.var_names)
        want = (tpm.div(tpm.sum(axis=1), axis=0) * 1e6).div(t.std(axis=0, ddof=0))[run.genes]
        assert list(reference.index) == [f"GEP{c + 1}" for c in range(k)] and list(reference.columns) == run.genes
        np.testing.assert_allclose(reference, want, rtol=1e-5)
        # A gene without counts has no deviation, and cNMF leaves its values empty.
        assert list(reference.columns[reference.isna().any()]) == ["gene7"]


def test_columns_of_selected_genes_have_the_order_of_the_list(partwise, run):
    order = np.random.default_rng(1).permutation(SELECTED)
    ask = ["consensus", "runs/mine", "--input", "x.h5ad", "-k", 4, "--density", 0.4, "--force"]
    partwise.json(*ask, "-o", "a.h5ad", "--cnmf-files", "a")
    run.genes = [run.genes[i] for i in order]
    run.spectra[4] = np.ascontiguousarray(run.spectra[4][:, order])
    (run.folder / "mine.overdispersed_genes.txt").write_text("\n".join(run.genes))
    run.write(4)
    partwise.json(*ask, "-o", "b.h5ad", "--cnmf-files", "b")
    for kind in ("spectra.k_4.dt_0_4.consensus", "starcat_spectra.k_4.dt_0_4"):
        a, b = read(partwise.path(f"a/a.{kind}.txt")), read(partwise.path(f"b/b.{kind}.txt"))
        assert list(b.columns) == run.genes and list(a.columns) != run.genes
        np.testing.assert_allclose(b[a.columns], a, rtol=1e-5)


def test_the_head_of_usages_names_the_index_of_the_cells(partwise, run):
    data = anndata.read_h5ad(partwise.path("x.h5ad"))
    ask = ["consensus", "runs/mine", "--input", "x.h5ad", "-k", 4, "-o", "c.h5ad", "--cnmf-files", "runs/mine", "--force"]
    usages = run.folder / "mine.usages.k_4.dt_0_5.consensus.txt"
    for name, head in ((None, "\t1\t2\t3\t4\n"), ("barcode", "barcode\t1\t2\t3\t4\n")):
        data.obs.index.name = name
        data.write_h5ad(partwise.path("x.h5ad"))
        partwise.json(*ask)
        with usages.open() as file:
            assert file.readline() == head
    # Names stay whole.
    data.obs_names = [f'cell "{i}"\tof\nµ' for i in range(CELLS)]
    data.write_h5ad(partwise.path("x.h5ad"))
    partwise.json(*ask)
    assert list(read(usages).index) == list(data.obs_names)


def test_texts_in_the_way_are_refused_before_any_work_and_replaced_with_force(partwise, run):
    ask = ["consensus", "runs/mine", "--input", "x.h5ad", "-k", 4, "-o", "c.h5ad"]
    files = ["--cnmf-files", "runs/mine"]
    scores, usages = run.folder / "mine.gene_spectra_score.k_4.dt_0_5.txt", run.folder / "mine.usages.k_4.dt_0_5.consensus.txt"

    def refuses(code, said, *arguments):
        before = sorted(partwise.folder.rglob("*"))
        ran = partwise.run(*arguments)
        assert ran.returncode == code and said in ran.stderr, ran.stderr
        assert sorted(partwise.folder.rglob("*")) == before

    table = partwise.path("c.top_genes.tsv")
    for path, text, arguments in ((table, "nmf_0\tnmf_1\n", []), (scores, "\tgene0\n", files), (usages, "barcode\t1\n", files)):
        path.write_text(text)
        refuses(73, f"{path.name}: exists already", *ask, *arguments)
        assert path.read_text() == text
        partwise.json(*ask, *arguments, "--force")
        assert path.read_text() != text
        for path in [partwise.path("c.h5ad"), table, *run.folder.glob("*.txt")]:
            if "overdispersed" not in path.name:
                path.unlink()
    # Files of other kinds stay.
    for path, arguments in ((table, []), (scores, files)):
        path.write_text("thesis")
        refuses(73, "will not be overwritten", *ask, *arguments, "--force")
        path.unlink()
    refuses(74, "the folder nowhere does not exist", *ask, "--cnmf-files", "nowhere/name")
    partwise.path("notes").write_text("mine")
    refuses(73, "a folder is needed", *ask, "--cnmf-files", "notes")
    refuses(2, "would overwrite the input x.h5ad; choose another --cnmf-files", *ask, "--cnmf-files", "x.h5ad")
    refuses(2, "lies inside the store", *ask, "--cnmf-files", "x.pw/name")
    refuses(2, "would overwrite", "consensus", "runs/mine", "--input", "x.h5ad", "-k", 4, "-o", "c.top_genes.tsv", "--cnmf-files", "c.top_genes.tsv")
    # The folder of the results, too, can be that of a run of cNMF, and the one in which the program is.
    partwise.json("consensus", "runs/mine", "--input", "x.h5ad", "-k", "4,5", "-o", "new", "--cnmf-files", "new")
    assert "new.usages.k_5.dt_0_5.consensus.txt" in os.listdir(partwise.path("new"))
    partwise.json(*ask, "--cnmf-files", ".")
    assert partwise.path(f"{partwise.folder.name}.usages.k_4.dt_0_5.consensus.txt").exists()


def test_names_and_shapes_are_those_of_a_run_of_cnmf(partwise, real):
    """The counts and selected genes of a run of cNMF 1.7.1; its tables, and ours of its replicates."""
    there = real("cnmf/pbmc3k_raw_csr_f32_gzip")
    data = anndata.read_h5ad(real("counts/pbmc3k_raw_csr_f32_gzip.h5ad"))
    data.var_names_make_unique()
    data = data[:, np.asarray((data.X > 0).sum(0)).ravel() >= 3]
    data = data[np.asarray(data.X.sum(1)).ravel() >= 200]
    anndata.AnnData(sp.csr_matrix(data.X), pd.DataFrame(index=data.obs_names), pd.DataFrame(index=data.var_names)).write_h5ad(partwise.path("x.h5ad"))
    genes, spectra = (there / "overdispersed_genes.txt").read_text(), np.load(there / "replicates/k_8.npz")["spectra"]
    folder = partwise.path("pbmc")
    (folder / "cnmf_tmp").mkdir(parents=True)
    (folder / "pbmc.overdispersed_genes.txt").write_text(genes)
    np.savez(folder / "cnmf_tmp/pbmc.spectra.k_8.merged.df.npz", data=spectra.reshape(-1, spectra.shape[2]), index=[], columns=[])
    partwise.json("consensus", "pbmc", "--input", "x.h5ad", "-k", 8, "-o", "c.h5ad", "--cnmf-files", "pbmc")
    for theirs, ours, most in (("usages", "usages.k_8.dt_0_5.consensus", 2e-3), ("gene_spectra_score", "gene_spectra_score.k_8.dt_0_5", 1e-3), ("gene_spectra_tpm", "gene_spectra_tpm.k_8.dt_0_5", 1e-3)):
        want, got = read(there / f"{theirs}.k_8.dt_0_5.tsv.gz"), read(folder / f"pbmc.{ours}.txt")
        assert got.shape == want.shape
        if theirs == "usages":  # the tables kept of the run may sum to 1
            want, got = want.div(want.sum(axis=1), axis=0), got.div(got.sum(axis=1), axis=0)
        assert list(got.index) == list(want.index) and list(got.columns) == list(want.columns)
        close(got.to_numpy(), want.to_numpy(), most)
    reference = read(folder / "pbmc.starcat_spectra.k_8.dt_0_5.txt")
    assert list(reference.columns) == genes.split() and reference.shape == (8, 2000)


def test_pages_are_written_beside_the_results_and_refused_before_any_work(partwise, run):
    ask = ["consensus", "runs/mine", "--input", "x.h5ad", "-k", "4,5", "-o", "both", "--report"]
    partwise.path("both").mkdir()
    page = partwise.path("both/k5.report.html")
    page.write_text("thesis")
    before = sorted(partwise.folder.rglob("*"))
    ran = partwise.run(*ask, "--force")
    assert ran.returncode == 73 and "both/k5.report.html: " in ran.stderr and "not a report" in ran.stderr, ran.stderr
    assert sorted(partwise.folder.rglob("*")) == before and page.read_text() == "thesis"
    page.unlink()
    ran = partwise.run(*ask)
    assert ran.returncode == 0 and ran.stderr.count("pictures of the result") == 2, ran.stderr
    for k in (4, 5):
        partwise.json("report", f"both/k{k}.h5ad", "-o", "alone.html", "--force")
        assert partwise.path(f"both/k{k}.report.html").read_bytes() == partwise.path("alone.html").read_bytes()
    # A page that is there is refused, and replaced with --force.
    for k in (4, 5):
        partwise.path(f"both/k{k}.h5ad").unlink()
        partwise.path(f"both/k{k}.top_genes.tsv").unlink()
    ran = partwise.run(*ask)
    assert ran.returncode == 73 and "k4.report.html: exists already" in ran.stderr, ran.stderr
    assert not partwise.path("both/k4.h5ad").exists()
    partwise.json(*ask, "--force")
    one = [*ask[:5], 4, "-o", "c.h5ad", "--report"]
    partwise.json(*one)
    assert partwise.path("c.report.html").exists()
