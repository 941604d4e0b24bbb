"""Writes the files that docs/tutorial.md downloads, from copies of the same cells.

    tutorial_data.py DATA FOLDER

DATA/counts has both samples as AnnData files. The copies differ from the downloads in three things:

- pbmc3k lacks the counts of genes that fewer than three cells have (0.06 % of all). As many genes
  without counts take their places, so that the shape is that of the download.
- There are no Ensembl ids. A symbol is its own id, with a number where it repeats.
- Seurat has numbered symbols that repeat; they get their names back where the first of them is there too.

The exit code is 3 if the copies are not there.
"""

import io
import pathlib
import sys
import tarfile
import warnings

import anndata
import h5py
import numpy as np
import scipy.io
import scipy.sparse as sp

OLD, NEW = "pbmc3k_raw_csr_f32_gzip.h5ad", "pbmc1k_v2_raw_csr_u16_i64idx_gzip.h5ad"
# Genes of the reference that pbmc3k was aligned to.
GENES = 32738


def unique(names):
    """The names; those that repeat with a number."""
    seen, found = {}, []
    for name in names:
        found.append(f"{name}-{seen[name]}" if name in seen else name)
        seen[name] = seen.get(name, 0) + 1
    return found


def write_old(cells, path):
    """A packed folder of Cell Ranger 1."""
    known = set(cells.var_names)
    names = [name[:-2] if name.endswith(".1") and name[:-2] in known else name for name in cells.var_names]
    names += [f"absent{number}" for number in range(GENES - len(names))]
    x = sp.csc_matrix(cells.X.T, dtype="i4")
    x.resize(GENES, cells.n_obs)
    matrix = io.BytesIO()
    scipy.io.mmwrite(matrix, x)
    texts = {
        "barcodes.tsv": "".join(f"{cell}-1\n" for cell in cells.obs_names).encode(),
        "genes.tsv": "".join(f"{one}\t{name}\n" for one, name in zip(unique(names), names)).encode(),
        "matrix.mtx": matrix.getvalue(),
    }
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        for name, text in texts.items():
            about = tarfile.TarInfo(f"filtered_gene_bc_matrices/hg19/{name}")
            about.size = len(text)
            tar.addfile(about, io.BytesIO(text))


def write_new(cells, path):
    """A file of Cell Ranger 3."""
    x, genes = sp.csr_matrix(cells.X), cells.n_vars
    with h5py.File(path, "w") as file:
        matrix = file.create_group("matrix")
        for name, values in (("data", x.data.astype("i4")), ("indices", x.indices.astype("i8")), ("indptr", x.indptr.astype("i8"))):
            matrix.create_dataset(name, data=values, compression=1)
        matrix["shape"] = np.array([genes, cells.n_obs], "i4")
        matrix["barcodes"] = np.array(list(cells.obs_names), "S")
        features = matrix.create_group("features")
        features["id"], features["name"] = np.array(unique(cells.var_names), "S"), np.array(list(cells.var_names), "S")
        features["feature_type"] = np.array(["Gene Expression"] * genes, "S")
        features["genome"], features["_all_tag_keys"] = np.array(["GRCh38"] * genes, "S"), np.array(["genome"], "S")


def main(data, folder):
    counts = data / "counts"
    if not all((counts / name).exists() for name in (OLD, NEW)):
        sys.exit(3)
    # Symbols that repeat are part of the copy.
    warnings.filterwarnings("ignore", "Variable names are not unique")
    write_old(anndata.read_h5ad(counts / OLD), folder / "pbmc3k_filtered_gene_bc_matrices.tar.gz")
    write_new(anndata.read_h5ad(counts / NEW), folder / "pbmc_1k_v2_filtered_feature_bc_matrix.h5")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
