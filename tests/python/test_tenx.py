"""Matrix Market files, and files of Cell Ranger, against scipy and h5py."""

import gzip

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp

GENES, CELLS = 40, 700


def matrix(dtype="i8", seed=1):
    """Genes × cells, with an empty cell and an empty gene."""
    rng = np.random.default_rng(seed)
    x = sp.random(GENES, CELLS, 0.1, "csc", random_state=rng, data_rvs=lambda n: rng.integers(1, 300, n)).astype(dtype)
    x = x.tolil()
    x[7], x[:, 300] = 0, 0
    return x.tocsc()


def same(back, x):
    assert (sp.csr_matrix(back.X) != sp.csr_matrix(x.T).astype("f4")).nnz == 0


def pack(path):
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    return packed


@pytest.mark.parametrize("field", ["integer", "real", "pattern"])
@pytest.mark.parametrize("packed", [False, True])
def test_what_scipy_writes_comes_back(partwise, field, packed):
    x = matrix("f8" if field == "real" else "i8")
    if field == "real":
        x.data += np.random.default_rng(2).random(x.nnz)
    if field == "pattern":
        x.data[:] = 1
    path = partwise.path("x.mtx")
    scipy.io.mmwrite(path, x, field=field, comment=" made here\n and there", symmetry="general")
    path = pack(path) if packed else path
    back = partwise.export(path)
    same(back, x)
    assert list(back.obs_names[:3]) == ["0", "1", "2"] and len(back.var_names) == GENES
    same(partwise.export(path, "--transpose"), x.T)


def test_entries_in_no_order_and_twice_are_added(partwise):
    x = matrix().tocoo()
    order = np.random.default_rng(3).permutation(2 * x.nnz)
    rows, columns, values = (np.concatenate([part, part])[order] for part in (x.row, x.col, x.data))
    lines = "".join(f"{r + 1} {c + 1} {v}\n" for r, c, v in zip(rows, columns, values))
    head = f"%%MatrixMarket matrix coordinate integer general\n%\n\n{GENES} {CELLS} {2 * x.nnz}\n"
    partwise.path("x.mtx").write_text(head + lines)
    same(partwise.export("x.mtx"), 2 * x)


@pytest.mark.parametrize("make, remedy", [
    (lambda path, x: scipy.io.mmwrite(path, x @ x.T, symmetry="symmetric"), "scipy.io.mmwrite(NAME, x, symmetry=\"general\")"),
    (lambda path, x: scipy.io.mmwrite(path, x.toarray()), "scipy.io.mmwrite(NAME, scipy.sparse.coo_matrix(x))"),
])
def test_the_remedies_of_refused_files_work(partwise, make, remedy):
    path = partwise.path("x.mtx")
    make(path, matrix())
    ran = partwise.run("convert", path, "-o", "x.pw")
    assert ran.returncode == 65 and remedy in ran.stderr and "x.mtx: line 1 " in ran.stderr, ran.stderr
    x = scipy.io.mmread(path)
    eval(remedy, {"scipy": scipy, "NAME": path, "x": x})
    same(partwise.export(path), sp.csc_matrix(x))


FEATURES = [(f"ENSG{gene}", f"symbol{gene % 35}", "Gene Expression" if gene < 30 else "Antibody Capture") for gene in range(GENES)]
CELL_NAMES = [f"cell-{cell}" for cell in range(CELLS)]


def folder(path, x, version, packed):
    """Writes a folder of Cell Ranger 2 or 3. `packed` says which files are."""
    path.mkdir(parents=True)
    scipy.io.mmwrite(path / "matrix.mtx", x)
    columns = 3 if version == 3 else 2
    features = path / ("features.tsv" if version == 3 else "genes.tsv")
    features.write_text("".join("\t".join(feature[:columns]) + "\n" for feature in FEATURES))
    (path / "barcodes.tsv").write_text("".join(name + "\n" for name in CELL_NAMES))
    for file in list(path.iterdir()):
        if file.name.split(".")[0] in packed:
            pack(file)


def names_are_whole(back, version, kept=range(GENES)):
    assert list(back.obs_names) == CELL_NAMES
    assert list(back.var_names) == [FEATURES[gene][1] for gene in kept]
    assert list(back.var["gene_ids"]) == [FEATURES[gene][0] for gene in kept]
    if version == 3:
        assert list(back.var["feature_types"]) == [FEATURES[gene][2] for gene in kept]


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("packed", [(), ("matrix",), ("matrix", "features", "genes", "barcodes")])
@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_folders_come_back_with_names_and_columns(partwise, version, packed):
    x = matrix()
    folder(partwise.path("outs/filtered_feature_bc_matrix"), x, version, packed)
    for path in ["outs/filtered_feature_bc_matrix", "outs"]:
        back = partwise.export(path, "--features", "all")
        same(back, x)
        names_are_whole(back, version)
    back = partwise.export("outs")
    kept = range(30) if version == 3 else range(GENES)
    same(back, x[list(kept)])
    names_are_whole(back, version, kept)


def hdf5(path, x, version, index, chunks, **filters):
    """Writes a file of Cell Ranger 2 or 3, with its rows in falling order as it does."""
    x = x.tocsc()
    x.sort_indices()
    order = np.concatenate([np.arange(a, b)[::-1] for a, b in zip(x.indptr[:-1], x.indptr[1:])])
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix" if version == 3 else "GRCh38")
        for name, values in [("data", x.data[order]), ("indices", x.indices[order].astype(index)), ("indptr", x.indptr.astype(index))]:
            group.create_dataset(name, data=values, chunks=chunks, maxshape=(None,) if chunks else None, **filters)
        group["shape"] = np.array(x.shape, "i4")
        group["barcodes"] = np.array(CELL_NAMES, "S")
        ids, symbols, types = ([feature[part] for feature in FEATURES] for part in range(3))
        if version == 2:
            group["genes"], group["gene_names"] = np.array(ids, "S20"), np.array(symbols, "S")
            return
        group["features/id"], group["features/name"] = np.array(ids, "S256"), symbols
        group["features/feature_type"], group["features/genome"] = np.array(types, "S"), ["GRCh38"] * GENES


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("index, chunks, filters", [
    ("i8", (80_000,), dict(compression="gzip", shuffle=True)),
    ("i4", (100,), dict(compression="lzf")),
    ("u4", None, {}),
    ("u8", (1000,), {}),
])
@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_hdf5_files_come_back_with_names_and_columns(partwise, version, index, chunks, filters):
    x = matrix("i4")
    hdf5(partwise.path("x.h5"), x, version, index, chunks, **filters)
    back = partwise.export("x.h5", "--features", "all")
    same(back, x)
    names_are_whole(back, version)
    if version == 3:
        back = partwise.export("x.h5", "--features", "Antibody Capture")
        same(back, x[30:])
        names_are_whole(back, version, range(30, GENES))
        ran = partwise.run("convert", "x.h5", "-o", "other.pw")
        assert ran.returncode == 0 and "10 others left out (Antibody Capture)" in ran.stderr


def test_a_store_of_features_is_that_of_a_file_without_the_others(partwise):
    x = matrix("i4")
    hdf5(partwise.path("both.h5"), x, 3, "i8", (80_000,), compression="gzip")
    partwise.json("convert", "both.h5", "-o", "both.pw")
    folder(partwise.path("folder"), x, 3, ("matrix",))
    partwise.json("convert", "folder", "-o", "folder.pw")
    for name in ["blocks-00000.bin", "table.bin", "genes.bin", "cells.bin"]:
        assert partwise.path(f"both.pw/{name}").read_bytes() == partwise.path(f"folder.pw/{name}").read_bytes(), name


def test_several_genomes_are_named_with_the_option(partwise):
    x = matrix("i4")
    hdf5(partwise.path("x.h5"), x, 2, "i8", None)
    with h5py.File(partwise.path("x.h5"), "a") as file:
        file.copy("GRCh38", "mm10")
    ran = partwise.run("convert", "x.h5", "-o", "x.pw")
    assert ran.returncode == 65, ran.stderr
    assert ran.stderr.strip().endswith("choose one: --genome GRCh38, --genome mm10"), ran.stderr
    same(partwise.export("x.h5", "--genome", "mm10"), x)


def test_a_fit_of_a_folder_finds_its_store_again(partwise):
    folder(partwise.path("filtered_feature_bc_matrix"), matrix(), 3, ("matrix",))
    for passes in (3, 4):
        partwise.json("fit", "filtered_feature_bc_matrix", "-k", 3, "--max-passes", passes, "--force")
    stores = [path for path in partwise.folder.iterdir() if path.suffix == ".pw"]
    assert [store.name for store in stores] == ["filtered_feature_bc_matrix.pw"]


@pytest.mark.parametrize("name, key", [
    ("tenx/scanpy_cr3.0_filtered_feature_bc_matrix.h5", "matrix"),
    ("tenx/scanpy_cr1.2_two_genomes.h5", "another_genome"),
    ("tenx/scanpy_spaceranger2.1_raw_probe.h5", "matrix"),
    ("tenx/liger_ctrl_uint32_indices.h5", "matrix"),
    ("tenx/scvi_cr1_no_barcodes_no_genes.h5", "mm10"),
])
@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_real_hdf5_files_come_back(partwise, real, name, key):
    options = ["--genome", key] if "two_genomes" in name else []
    back = partwise.export(real(name), *options)
    with h5py.File(real(name)) as file:
        group = file[key]
        parts = group["data"][:], group["indices"][:].astype("i8"), group["indptr"][:].astype("i8")
        same(back, sp.csc_matrix(parts, shape=tuple(group["shape"][:])))
        for names, places in [(back.obs_names, ["barcodes"]), (back.var_names, ["features/name", "gene_names"])]:
            found = next((group[place] for place in places if place in group), None)
            assert list(names) == ([*map(str, range(len(names)))] if found is None else list(found.asstr()[:]))
