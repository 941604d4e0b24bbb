"""Several files as one matrix, against anndata.concat."""

import gzip
import os
import re
import shutil
import signal
import subprocess
import time

import anndata
import hdf5plugin  # noqa: F401 (anndata reads zstd with it)
import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse as sp

GENES = 60


def sample(number, genes, cells=300, density=0.2):
    """Counts of `cells` cells, with a column of each kind."""
    rng = np.random.default_rng(number)
    x = sp.random(cells, len(genes), density, "csr", "f4", rng, lambda n: rng.integers(1, 300, n))
    obs = pd.DataFrame(
        {
            "kind": pd.Categorical(rng.choice([f"kind {number}", "T", "B"], cells)),
            "note": [f"{number} {cell}" for cell in range(cells)],
            "depth": rng.integers(0, 1000, cells) if number else rng.random(cells),
            "size": rng.integers(0, 1000, cells),
            "sound": rng.random(cells) < 0.5,
            f"only {number}": 1,
        },
        index=[f"cell {number} {cell}" for cell in range(cells)],
    )
    obs.loc[obs.index[::7], "kind"] = np.nan
    return anndata.AnnData(x, obs, pd.DataFrame(index=[f"gene {gene}" for gene in genes]))


def samples():
    """Three samples whose genes overlap in part, in other orders; their cells are no multiple of a tile."""
    order = np.random.default_rng(9)
    return [
        sample(0, range(GENES)),
        sample(1, order.permutation(np.arange(20, GENES + 30)), 17),
        sample(2, order.permutation(np.arange(10, GENES + 5)), 700),
    ]


def same(back, expected):
    """Names, order of cells, and values gene by gene."""
    assert list(back.obs_names) == list(expected.obs_names)
    assert set(back.var_names) == set(expected.var_names) and back.n_vars == expected.n_vars
    difference = sp.csr_matrix(back[:, expected.var_names].X) != sp.csr_matrix(expected.X).astype("f4")
    assert difference.nnz == 0


def convert(partwise, *arguments):
    """The matrix after its way through a store, and what was said."""
    converted = partwise.run("convert", *arguments, "-o", "files.pw", "--force")
    assert converted.returncode == 0, converted.stderr
    partwise.json("export", "files.pw", "-o", "back.h5ad", "--force")
    return anndata.read_h5ad(partwise.path("back.h5ad")), converted.stderr


@pytest.mark.parametrize("join", ["inner", "outer"])
@pytest.mark.parametrize("kind", ["by cell", "by gene", "dense", "mixed"])
def test_several_files_are_what_anndata_makes_of_them(partwise, join, kind):
    parts = samples()
    for number, part in enumerate(parts):
        stored = part.copy()
        if kind == "by gene" or (kind, number) == ("mixed", 1):
            stored.X = sp.csc_matrix(part.X)
        if kind == "dense" or (kind, number) == ("mixed", 2):
            stored.X = part.X.toarray() + (0 if kind == "mixed" else 0.5)
            part.X = stored.X
        stored.write_h5ad(partwise.path(f"s{number}.h5ad"), compression="gzip")
    expected = anndata.concat(parts, join=join, fill_value=0)
    back, said = convert(partwise, "s0.h5ad", "s1.h5ad", "s2.h5ad", "--join", join)
    same(back, expected)
    # In the order in which they first occur, where anndata sorts them.
    seen = dict.fromkeys(gene for part in parts for gene in part.var_names)
    assert list(back.var_names) == [gene for gene in seen if gene in expected.var_names]
    assert list(back.obs["sample"]) == ["s0"] * 300 + ["s1"] * 17 + ["s2"] * 700
    assert "sample s1: " in said and "sorted" not in said, said
    for column in ["kind", "note", "size", "sound"]:
        assert back.obs[column].astype(object).where(back.obs[column].notna(), None).tolist() == (
            expected.obs[column].astype(object).where(expected.obs[column].notna(), None).tolist()
        ), column
    assert back.obs["kind"].dtype == "category" and back.obs["sound"].dtype == bool
    assert np.array_equal(back.obs["depth"], expected.obs["depth"].astype("f8")) and back.obs["depth"].dtype == "f8"
    assert '"obs/only 0" was not copied: not all files have it' in said


def test_a_list_names_samples_and_its_store_is_found_again(partwise):
    parts = samples()
    folder = partwise.path("data")
    folder.mkdir()
    for number, part in enumerate(parts):
        part.write_h5ad(folder / f"s{number}.h5ad")
    listed = folder / "atlas.txt"
    listed.write_text("# samples\n\nolder patient\ts1.h5ad\nyoung\ts0.h5ad\n")
    fit = ["fit", "data/atlas.txt", "-k", 3, "--seed", 1, "--force"]
    assert partwise.json(*fit)["cells"] == 317
    result = anndata.read_h5ad(folder / "atlas.nmf.h5ad")
    assert list(result.obs["sample"]) == ["older patient"] * 17 + ["young"] * 300
    assert list(result.obs_names) == list(anndata.concat([parts[1], parts[0]]).obs_names)
    store = folder / "atlas.pw"
    before = store.stat().st_mtime_ns, (store / "manifest.json").stat().st_mtime_ns
    partwise.json(*fit, "-o", "other.h5ad")
    assert (store.stat().st_mtime_ns, (store / "manifest.json").stat().st_mtime_ns) == before
    assert not partwise.path("atlas.pw").exists()
    # Another list of the same name is another input: the store stays.
    listed.write_text(listed.read_text() + "third\ts2.h5ad\n")
    assert partwise.json(*fit)["cells"] == 1017
    assert (store / "manifest.json").stat().st_mtime_ns == before[1]
    assert (folder / "atlas.2.pw").exists()


def test_patterns_prefixes_and_names_of_outputs(partwise):
    for number, part in enumerate(samples()[:2]):
        part.obs_names = [f"c{cell}" for cell in range(part.n_obs)]
        part.write_h5ad(partwise.path(f"s{number}.h5ad"))
    said = partwise.run("fit", "s?.h5ad", "-k", 2)
    assert said.returncode == 0 and "duplicate name" in said.stderr, said.stderr
    assert partwise.path("s0+1.nmf.h5ad").exists() and partwise.path("s0+1.pw").exists()
    back, said = convert(partwise, "s?.h5ad", "--prefix-cells")
    assert list(back.obs_names[298:302]) == ["s0_c298", "s0_c299", "s1_c0", "s1_c1"] and "duplicate" not in said


def test_genes_with_one_name_need_a_key_and_the_line_names_it(partwise):
    parts = samples()
    for number, part in enumerate(parts):
        part.var["id"] = [f"ENSG{name.split()[1]}" for name in part.var_names]
        part.var_names = ["twice" if index in (3, 30) else name for index, name in enumerate(part.var_names)]
        part.write_h5ad(partwise.path(f"s{number}.h5ad"))
    files = ["s0.h5ad", "s1.h5ad", "s2.h5ad"]
    refused = partwise.run("convert", *files, "-o", "x.pw")
    assert refused.returncode == 65 and "(twice)" in refused.stderr and "--gene-key id" in refused.stderr
    assert not partwise.path("x.pw").exists()
    back, _ = convert(partwise, *files, "--gene-key", "id")
    for part in parts:
        part.var_names = part.var["id"]
    back.var["name"] = back.var_names
    back.var_names = back.var["id"]
    same(back, anndata.concat(parts))
    assert "twice" in set(back.var["name"])
    missing = partwise.run("convert", *files, "-o", "x.pw", "--gene-key", "symbol")
    assert missing.returncode == 65 and 'no column of texts or integers called "symbol"' in missing.stderr


def tenx(folder, x, ids, symbols):
    """A folder of Cell Ranger."""
    folder.mkdir(parents=True)
    scipy.io.mmwrite(folder / "matrix.mtx", sp.csc_matrix(x.T).astype("i4"))
    lines = "".join(f"{i}\t{s}\tGene Expression\n" for i, s in zip(ids, symbols))
    for name, text in [("features.tsv", lines), ("barcodes.tsv", "".join(f"BC{i}\n" for i in range(x.shape[0])))]:
        (folder / f"{name}.gz").write_bytes(gzip.compress(text.encode()))


def test_folders_of_cell_ranger_are_joined_by_id_and_named_after_their_folders(partwise):
    parts, symbols = samples(), "doubled"
    for number, part in enumerate(parts):
        ids = list(part.var_names)
        tenx(partwise.path(f"p{number}/outs/filtered_feature_bc_matrix"), part.X, ids, [symbols] * len(ids))
        part.obs_names = [f"BC{cell}" for cell in range(part.n_obs)]
    back, said = convert(partwise, "p*/outs/filtered_feature_bc_matrix", "--memory", "72M")
    assert list(dict.fromkeys(back.obs["sample"])) == ["p0", "p1", "p2"] and set(back.var_names) == {symbols}
    back.var_names = back.var["gene_ids"]
    same(back, anndata.concat(parts))


def test_samples_of_an_archive_have_the_lists_that_begin_with_their_names(partwise):
    parts = samples()
    for number, part in enumerate(parts):
        tenx(partwise.path(f"p{number}"), part.X, list(part.var_names), list(part.var_names))
        for path in partwise.path(f"p{number}").iterdir():
            path.rename(partwise.path(f"GSM{number}_s_{path.name}"))
        part.obs_names = [f"BC{cell}" for cell in range(part.n_obs)]
    back, said = convert(partwise, "*_matrix.mtx")
    assert list(dict.fromkeys(back.obs["sample"])) == ["GSM0_s", "GSM1_s", "GSM2_s"]
    same(back, anndata.concat(parts))
    assert "no names" not in said


def test_a_bad_file_of_a_list_is_named_with_its_line(partwise):
    # Of few cells, so that no block is whole, and nothing is kept.
    parts = [sample(0, range(GENES), 200), sample(1, range(GENES))]
    parts[0].write_h5ad(partwise.path("good.h5ad"))
    parts[1].X = parts[1].X.copy()
    parts[1].X.data[5] = -1
    parts[1].write_h5ad(partwise.path("bad.h5ad"))
    for text, code, words in [
        ("a\tgood.h5ad\nb\tbad.h5ad\n", 65, ["list.txt, line 2:", "bad.h5ad", "negative"]),
        ("a\tgood.h5ad\n\nb\tnone.h5ad\n", 66, ["list.txt, line 3:", "none.h5ad"]),
        ("a\tgood.h5ad\nb none.h5ad\n", 65, ["list.txt", "line 2"]),
        ("a\tgood.h5ad\nb\t./good.h5ad\n", 2, ["given twice"]),
    ]:
        partwise.path("list.txt").write_text(text)
        refused = partwise.run("convert", "list.txt", "-o", "x.pw")
        assert refused.returncode == code, refused.stderr
        assert refused.stderr.count("\n") == 1 and all(word in refused.stderr for word in words), refused.stderr
        assert not list(partwise.folder.glob("*.pw*"))


def test_hundreds_of_files_stay_within_a_small_budget(partwise):
    parts = [sample(number, range(GENES), 41) for number in range(150)]
    for number, part in enumerate(parts):
        part.write_h5ad(partwise.path(f"s{number:03}.h5ad"))
    report = partwise.json("convert", "s*.h5ad", "-o", "files.pw", "--memory", "64M", "--threads", 2)
    assert report["peak_rss_bytes"] <= 64 << 20, report["peak_rss_bytes"] / 2**20
    partwise.json("export", "files.pw", "-o", "back.h5ad")
    same(anndata.read_h5ad(partwise.path("back.h5ad")), anndata.concat(parts))


@pytest.mark.parametrize("join", ["inner", "outer"])
def test_real_files_together(partwise, real, join):
    paths = [real(f"counts/{name}.h5ad") for name in ["pbmc3k_raw_csr_f32_gzip", "pbmc_donorA_raw_csr_f32_zstd"]]
    parts = [anndata.read_h5ad(path) for path in paths]
    for part in parts:
        part.var_names_make_unique()
    expected = anndata.concat(parts, join=join, fill_value=0)
    for number, part in enumerate(parts):
        part.write_h5ad(partwise.path(f"{number}.h5ad"))
    back, _ = convert(partwise, "0.h5ad", "1.h5ad", "--join", join)
    same(back, expected)


def many_blocks(partwise, files=5, cells=3000):
    """Samples that fill several blocks."""
    parts = [sample(number, range(GENES), cells) for number in range(files)]
    for number, part in enumerate(parts):
        part.write_h5ad(partwise.path(f"s{number}.h5ad"))
    listed = partwise.path("list.txt")
    listed.write_text("".join(f"sample {number}\ts{number}.h5ad\n" for number in range(files)))
    return parts


def same_files(first, second):
    names = sorted(path.name for path in first.iterdir())
    assert names == sorted(path.name for path in second.iterdir())
    return all((first / name).read_bytes() == (second / name).read_bytes() for name in names)


def test_what_was_converted_before_a_bad_file_is_kept_and_the_same_command_goes_on(partwise):
    parts = many_blocks(partwise)
    convert = ["convert", "list.txt", "--block-rows", 512, "-o"]
    assert partwise.run(*convert, "whole.pw").returncode == 0
    bad = parts[3].copy()
    bad.X = bad.X.copy()
    bad.X.data[-1] = np.nan
    good = partwise.path("s3.h5ad").read_bytes()
    times = partwise.path("s3.h5ad").stat()
    bad.write_h5ad(partwise.path("s3.h5ad"))
    refused = partwise.run(*convert, "x.pw")
    assert refused.returncode == 65 and "list.txt, line 4: " in refused.stderr and "are converted and kept" in refused.stderr
    assert not partwise.path("x.pw").exists() and partwise.path("x.pw.partial").exists()
    partwise.path("s3.h5ad").write_bytes(good)
    os.utime(partwise.path("s3.h5ad"), ns=(times.st_atime_ns, times.st_mtime_ns))
    done = partwise.run(*convert, "x.pw")
    assert done.returncode == 0, done.stderr
    went_on = int(re.search(r"(\d+) cells were converted by a run that did not finish", done.stderr)[1])
    assert 6000 <= went_on <= 9000 and went_on % 512 == 0
    assert not partwise.path("x.pw.partial").exists() and same_files(partwise.path("whole.pw"), partwise.path("x.pw"))


def test_blocks_of_files_that_have_changed_are_converted_again(partwise):
    parts = many_blocks(partwise)
    convert = ["convert", "list.txt", "--block-rows", 512, "-o", "x.pw"]
    bad = parts[4].copy()
    bad.X = bad.X.copy()
    bad.X.data[-1] = np.nan
    bad.write_h5ad(partwise.path("s4.h5ad"))
    assert partwise.run(*convert).returncode == 65
    parts[1] = sample(17, range(GENES), 3000)
    parts[1].write_h5ad(partwise.path("s1.h5ad"))
    parts[4].write_h5ad(partwise.path("s4.h5ad"))
    left = partwise.path("x.pw.partial") / "blocks-00000.bin"
    done = partwise.run(*convert)
    assert done.returncode == 0 and int(re.search(r"(\d+) cells were converted by", done.stderr)[1]) == 2560
    partwise.json("export", "x.pw", "-o", "back.h5ad")
    same(anndata.read_h5ad(partwise.path("back.h5ad")), anndata.concat(parts))
    # A damaged block is not taken over, nor those behind it.
    partwise.path("x.pw").rename(partwise.path("whole.pw"))
    bad.write_h5ad(partwise.path("s4.h5ad"))
    assert partwise.run(*convert).returncode == 65
    content = bytearray(left.read_bytes())
    content[len(content) // 2] ^= 1
    left.write_bytes(content)
    parts[4].write_h5ad(partwise.path("s4.h5ad"))
    done = partwise.run(*convert)
    assert done.returncode == 0 and int(re.search(r"(\d+) cells were converted by", done.stderr)[1]) < 9000
    back = [(path / "blocks-00000.bin").read_bytes() for path in [partwise.path("x.pw"), partwise.path("whole.pw")]]
    assert back[0] == back[1]


def test_a_conversion_that_is_killed_at_any_moment_ends_with_the_same_command(partwise):
    many_blocks(partwise, 6, 20_000)
    convert = ["convert", "list.txt", "--block-rows", "1024", "--threads", "2", "-o"]
    began = time.monotonic()
    assert partwise.run(*convert, "whole.pw").returncode == 0
    took, went_on = time.monotonic() - began, 0
    for part in np.random.default_rng(5).uniform(0.05, 0.95, 16):
        running = subprocess.Popen([partwise.binary, *convert, "x.pw"], cwd=partwise.folder, stderr=subprocess.PIPE, text=True)
        try:
            running.wait(part * took)
        except subprocess.TimeoutExpired:
            running.kill()
        went_on += "did not finish" in running.communicate()[1]
        if partwise.path("x.pw").exists():
            # It was faster than the first one.
            shutil.rmtree(partwise.path("x.pw"))
            continue
        looked = partwise.run("info", "x.pw")
        assert looked.returncode in (65, 66), looked.stderr
    done = partwise.run(*convert, "x.pw", "--force")
    assert done.returncode == 0, done.stderr
    assert went_on + ("did not finish" in done.stderr) > 0
    assert same_files(partwise.path("whole.pw"), partwise.path("x.pw"))


@pytest.mark.parametrize("join", ["inner", "outer"])
def test_a_file_is_added_to_a_store_without_the_files_that_it_was_made_from(partwise, join):
    parts = samples()
    for number, part in enumerate(parts):
        part.write_h5ad(partwise.path(f"s{number}.h5ad"))
    partwise.json("convert", "s0.h5ad", "s1.h5ad", "--join", join, "-o", "old.pw")
    before = {path.name: path.read_bytes() for path in partwise.path("old.pw").iterdir()}
    for name in ["s0.h5ad", "s1.h5ad"]:
        partwise.path(name).unlink()
    back, said = convert(partwise, "old.pw", "s2.h5ad", "--join", join)
    same(back, anndata.concat(parts, join=join, fill_value=0))
    assert list(back.obs["sample"]) == ["s0"] * 300 + ["s1"] * 17 + ["s2"] * 700 and '"obs/sample"' not in said
    assert before == {path.name: path.read_bytes() for path in partwise.path("old.pw").iterdir()}
    # The matrix has the bytes of one that is made of all files at once.
    for number, part in enumerate(parts):
        part.write_h5ad(partwise.path(f"s{number}.h5ad"))
    partwise.json("convert", "s0.h5ad", "s1.h5ad", "s2.h5ad", "--join", join, "-o", "all.pw")
    for name in ["blocks-00000.bin", "genes.bin", "cells.bin", "table.bin"]:
        assert (partwise.path("all.pw") / name).read_bytes() == (partwise.path("files.pw") / name).read_bytes()


def test_tables_of_several_stores_are_dense(partwise):
    values = np.random.default_rng(0).random((500, 8), "f4") + 0.1
    for number, rows in enumerate([values[:100], values[100:]]):
        np.save(partwise.path(f"{number}.npy"), rows)
        partwise.json("convert", f"{number}.npy", "-o", f"{number}.pw")
    partwise.json("convert", "0.pw", "1.npy", "-o", "x.pw")
    partwise.json("export", "x.pw", "-o", "x.h5ad")
    assert np.array_equal(anndata.read_h5ad(partwise.path("x.h5ad")).X, values)


def test_a_full_disk_ends_a_conversion_and_the_same_command_ends_it_later(partwise):
    """A limit on the size of files stands for the disk; it hits blocks, the entries put aside, and names."""
    parts = many_blocks(partwise, 3, 5000)
    parts[1].X = sp.csc_matrix(parts[1].X)
    parts[1].write_h5ad(partwise.path("s1.h5ad"))
    convert = ["convert", "list.txt", "--block-rows", "512", "-o"]
    assert partwise.run(*convert, "whole.pw").returncode == 0
    largest = max(path.stat().st_size for path in partwise.path("whole.pw").iterdir()) // 1024
    for kibibytes in [1, largest // 2, largest - 8]:
        command = f"ulimit -f {kibibytes}; exec {partwise.binary} {' '.join(convert)} x.pw"
        limited = subprocess.run(["bash", "-c", command], cwd=partwise.folder, capture_output=True, text=True)
        assert limited.returncode == 74, (kibibytes, limited.stderr)
        assert limited.stderr.splitlines()[-1].startswith("partwise: ") and not partwise.path("x.pw").exists()
    assert partwise.run(*convert, "x.pw").returncode == 0
    assert same_files(partwise.path("whole.pw"), partwise.path("x.pw"))


def test_an_interrupted_conversion_says_what_it_keeps(partwise):
    many_blocks(partwise, 6, 20_000)
    convert = ["convert", "list.txt", "--block-rows", "512", "--threads", "1", "-o", "x.pw"]
    running = subprocess.Popen([partwise.binary, *convert], cwd=partwise.folder, stderr=subprocess.PIPE, text=True)
    blocks = partwise.path("x.pw.partial") / "blocks-00000.bin"
    while running.poll() is None and not (blocks.exists() and blocks.stat().st_size > 1 << 20):
        time.sleep(0.002)
    running.send_signal(signal.SIGINT)
    said = running.communicate()[1].splitlines()[-1]
    assert running.returncode == 130 and "cells are converted and kept, the same command goes on after them" in said, said
    again = partwise.run(*convert)
    assert again.returncode == 0 and "did not finish" in again.stderr
