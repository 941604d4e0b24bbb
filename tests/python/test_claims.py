"""Names, columns and claims of a file stay within the memory budget, or are refused with the budget
that would do; claims that cannot be true of the file are bad data."""

import json
import re
import subprocess

import anndata
import h5py
import numpy as np
import pytest
import scipy.sparse as sp

BUDGET = 64 << 20
STRING = h5py.string_dtype()


def said(dataset, encoding):
    dataset.attrs["encoding-type"], dataset.attrs["encoding-version"] = encoding, "0.2.0"
    return dataset


def counts(path, cells, genes=3):
    """A file of small counts without names of cells, and its table of cells."""
    x = sp.csr_matrix(np.random.default_rng(0).poisson(1, (cells, genes)).astype("f4"))
    anndata.AnnData(x).write_h5ad(path)
    file = h5py.File(path, "a")
    del file["obs/_index"]
    return file, file["obs"]


def order(obs, names):
    obs.attrs["column-order"] = np.array(names, dtype=STRING)


def integer_names(path):
    file, obs = counts(path, 1_200_000)
    said(obs.create_dataset("_index", data=np.arange(1_200_000)), "array")
    file.close()


def long_names(path):
    file, obs = counts(path, 4096)
    names = [f"{i:05}" + "x" * 25_000 for i in range(4096)]
    said(obs.create_dataset("_index", data=names, dtype=STRING), "string-array")
    file.close()


def wide_strings(path):
    file, obs = counts(path, 4096)
    names = np.array([f"{i}".encode() for i in range(4096)], "S25000")
    said(obs.create_dataset("_index", data=names, chunks=(16,), compression="gzip"), "string-array")
    file.close()


def many_columns(path):
    file, obs = counts(path, 50_000)
    said(obs.create_dataset("_index", data=[f"c{i}" for i in range(50_000)], dtype=STRING), "string-array")
    for i in range(60):
        said(obs.create_dataset(f"n{i}", data=np.arange(50_000) * 1.5, chunks=True, compression="gzip"), "array")
        texts = np.array([f"text {i} {j}" for j in range(50_000)], object)
        said(obs.create_dataset(f"t{i}", data=texts, dtype=STRING), "string-array")
    order(obs, [f"{kind}{i}" for i in range(60) for kind in "nt"])
    file.close()


LONGEST = 256 << 10


def longest_texts(path):
    file, obs = counts(path, 300)
    texts = [f"{i:05}" + "x" * (LONGEST - 6) for i in range(300)]
    said(obs.create_dataset("_index", data=texts, dtype=STRING), "string-array")
    said(obs.create_dataset("t", data=texts[:1] + ["short"] * 299, dtype=STRING), "string-array")
    order(obs, ["t"])
    file.close()


KINDS = {kind.__name__: kind for kind in [integer_names, long_names, longest_texts, wide_strings, many_columns]}


@pytest.mark.parametrize("kind", KINDS)
def test_names_and_columns_stay_within_the_budget_and_the_plan(partwise, kind):
    KINDS[kind](partwise.path("x.h5ad"))
    settings = ["-k", 2, "--memory", "64M", "--threads", 1]
    plan = partwise.json("plan", "x.h5ad", *settings)
    within(partwise.json("convert", "x.h5ad", "--memory", "64M", "--threads", 1, "-o", "c.pw"), plan["converting_peak_bytes"])
    fit = partwise.json("fit", "x.h5ad", *settings, "--max-passes", 2, "-o", "r.h5ad", "--store", "x.pw")
    within(fit, plan["peak_bytes"])
    again = partwise.json("fit", "x.pw", *settings, "--max-passes", 2, "-o", "s.h5ad")
    within(again, again["planned_peak_bytes"])
    within(partwise.json("export", "x.pw", "-o", "y.h5ad"), BUDGET)
    with h5py.File(partwise.path("x.h5ad")) as source, h5py.File(partwise.path("r.h5ad")) as result:
        names, copied = (file["obs"][file["obs"].attrs["_index"]] for file in [source, result])
        assert copied[-1].decode() == (names.asstr()[-1] if names.dtype.kind in "OS" else str(names[-1]))


def within(report, limit):
    peak = report["peak_rss_bytes"]
    assert peak <= min(limit, BUDGET), f"{peak / 2**20:.1f} MiB, not {limit / 2**20:.1f}"


def test_a_text_too_long_to_copy_in_little_memory_is_left_out_or_refused(partwise):
    file, obs = counts(partwise.path("x.h5ad"), 300)
    said(obs.create_dataset("_index", data=[str(i) for i in range(300)], dtype=STRING), "string-array")
    said(obs.create_dataset("t", data=["x" * 4_000_000] * 20 + [""] * 280, dtype=STRING), "string-array")
    order(obs, ["t"])
    file.close()
    converted = partwise.run("convert", "x.h5ad", "-o", "x.pw", "--memory", "64M", "--json")
    assert converted.returncode == 0 and '"obs/t"' in converted.stderr and str(LONGEST) in converted.stderr, converted.stderr
    within(json.loads(converted.stdout), BUDGET)
    with h5py.File(partwise.path("x.h5ad"), "a") as file:
        file["obs"].attrs["_index"] = "t"
    code, line = refusal(partwise, "convert", "x.h5ad", "-o", "y.pw", "--memory", "64M")
    assert code == 65 and str(LONGEST) in line and not partwise.path("y.pw").exists(), line


def within_the_plan(partwise, *settings):
    """A fit in plenty of memory takes no more than its plan says."""
    fit = partwise.json("fit", "x.pw", "--memory", "1G", "--threads", 1, *settings, "--force")
    assert fit["peak_rss_bytes"] <= fit["planned_peak_bytes"], (fit["peak_rss_bytes"], fit["planned_peak_bytes"])


def test_one_pass_from_a_result_has_two_generations_of_usages(partwise):
    file, _ = counts(partwise.path("x.h5ad"), 80_000, 50)
    file.close()
    partwise.json("convert", "x.h5ad", "-o", "x.pw")
    partwise.json("fit", "x.pw", "-k", 40, "--init", "random", "--max-passes", 1, "-o", "r.h5ad")
    within_the_plan(partwise, "-k", 40, "--init", "r.h5ad", "--max-passes", 1, "-o", "s.h5ad")


def test_rows_of_zeros_do_not_change_the_plan_of_the_start(partwise):
    # All nonzeros fit into the sample, but there are more rows than it may have.
    rows = sp.random(2_000, 30_000, 0.005, "csr", np.float32, np.random.default_rng(0))
    rows.data = np.ceil(5 * rows.data)
    anndata.AnnData(sp.vstack([rows, sp.csr_matrix((60_000, 30_000), dtype="f4")]).tocsr()).write_h5ad(partwise.path("x.h5ad"))
    partwise.json("convert", "x.h5ad", "-o", "x.pw")
    within_the_plan(partwise, "-k", 20, "--max-passes", 3, "-o", "s.h5ad")


def refusal(partwise, *arguments):
    """The code and the last line of a run that may address 1.5 GB."""
    line = "ulimit -v 1500000; exec " + " ".join(map(str, [partwise.binary, *arguments]))
    ran = subprocess.run(["sh", "-c", line], cwd=partwise.folder, capture_output=True, text=True)
    return ran.returncode, ran.stderr.strip().splitlines()[-1]


def with_chunk(path, part, chunk, **options):
    """A file in which one list of X has one chunk of `chunk` entries."""
    counts(path, 30_000)[0].close()
    with h5py.File(path, "a") as file:
        values = file["X"][part][:]
        del file["X"][part]
        file["X"].create_dataset(part, data=values, chunks=(chunk,), maxshape=(None,), **options)


@pytest.mark.parametrize("part", ["indptr", "indices", "data"])
def test_a_chunk_beyond_the_budget_is_refused_with_the_budget_that_would_do(partwise, part):
    with_chunk(partwise.path("x.h5ad"), part, 12 << 20, compression="gzip")
    code, line = refusal(partwise, "convert", "x.h5ad", "-o", "x.pw", "--memory", "64M")
    assert code == 2 and not partwise.path("x.pw").exists(), line
    remedy = re.search(r"--memory (\w+)", line)
    assert remedy, line
    done = partwise.json("convert", "x.h5ad", "-o", "x.pw", "--memory", remedy[1])
    assert done["peak_rss_bytes"] <= int(remedy[1][:-1]) << 20, (done["peak_rss_bytes"], remedy[1])


def test_a_column_in_a_chunk_beyond_the_budget_is_refused_with_the_budget_that_would_do(partwise):
    file, obs = counts(partwise.path("x.h5ad"), 30_000)
    values = np.random.default_rng(0).random(30_000)
    said(obs.create_dataset("v", data=values, chunks=(8 << 20,), maxshape=(None,), compression="gzip"), "array")
    order(obs, ["v"])
    file.close()
    code, line = refusal(partwise, "convert", "x.h5ad", "-o", "x.pw", "--memory", "64M")
    assert code == 2 and not partwise.path("x.pw").exists(), line
    remedy = re.search(r"--memory (\w+)", line)[1]
    done = partwise.json("convert", "x.h5ad", "-o", "x.pw", "--memory", remedy)
    assert done["peak_rss_bytes"] <= int(remedy[:-1]) << 20, (done["peak_rss_bytes"], remedy)


@pytest.mark.parametrize("part", ["X/indptr", "obs/v"])
def test_a_chunk_that_the_file_cannot_hold_is_bad_data(partwise, part):
    file, obs = counts(partwise.path("x.h5ad"), 300)
    if part == "obs/v":
        order(obs, ["v"])
    else:
        del file[part]
    options = {"chunks": (64 << 20,), "maxshape": (None,), "compression": "gzip"}
    claimed = file.create_dataset(part, (301 if part == "X/indptr" else 300,), "i8", **options)
    claimed.id.write_direct_chunk((0,), b"not much", 0)
    file.close()
    code, line = refusal(partwise, "convert", "x.h5ad", "-o", "x.pw", "--memory", "64M")
    if part == "obs/v":
        # A column is left out.
        assert code == 0 and "v" not in partwise.export("x.h5ad").obs, line
    else:
        assert code == 65 and "cannot hold" in line and part in line, line


def test_a_hundred_million_genes_are_refused_before_they_are_allocated(partwise):
    file, _ = counts(partwise.path("x.h5ad"), 300)
    file["X"].attrs["shape"] = np.array([300, 100_000_000])
    del file["var"]
    file.close()
    code, line = refusal(partwise, "convert", "x.h5ad", "-o", "x.pw", "--memory", "64M")
    assert code == 2 and "--memory" in line, line
    with h5py.File(partwise.path("d.h5"), "w") as file:
        file.create_dataset("X", (300, 100_000_000), "f4", chunks=(1, 1000), compression="gzip")
    code, line = refusal(partwise, "convert", "d.h5", "-o", "x.pw", "--memory", "64M")
    assert code == 2 and "--memory" in line, line


def test_spectra_that_a_foreign_result_claims_are_not_allocated(partwise):
    file, _ = counts(partwise.path("x.h5ad"), 300)
    file.close()
    partwise.json("fit", "x.h5ad", "-k", 1, "--max-passes", 1, "-o", "r.h5ad", "--store", "x.pw")
    with h5py.File(partwise.path("r.h5ad"), "a") as file:
        del file["varm/spectra"]
        file.create_dataset("varm/spectra", (400_000_000, 1), "f4", chunks=(1000, 1), compression="gzip")
    assert partwise.json("info", "r.h5ad")["genes"] == 400_000_000
    code, line = refusal(partwise, "fit", "x.pw", "-k", 1, "--init", "r.h5ad", "-o", "s.h5ad")
    assert code in (2, 65) and "400000000" in line, line
