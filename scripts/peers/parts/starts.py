"""Compares the error of default fits, seed by seed, with three starts of scikit-learn (nndsvda and
two random ones; cd, tol 1e-5, at most 400 iterations) on real files.

The files are those of the folder PARTWISE_DATA; a file that is not there is left out. What the
program does not read yet is written anew as AnnData, by row.
"""

import os
import pathlib
import warnings

import anndata
import hdf5plugin  # noqa: F401 – registers the filters of the files
import numpy as np
import records
import scipy.sparse as sp
from sklearn.decomposition import NMF

FILES = (
    "counts/pbmc1k_v2_raw_csr_u16_i64idx_gzip.h5ad",
    "counts/pbmc3k_raw_csr_f32_gzip.h5ad",
    "counts/pbmc_donorA_raw_csr_f32_zstd.h5ad",
    "counts/pbmc_kang_ctrl_stim_csc_i32_lzf.h5ad",
    "counts/worm_embryo_csr_f32_blosc_lz4.h5ad",
    "counts/worm_l2_sparse_csc_f64_gzip.h5ad",
    "counts/newsgroups_18774x55911_csr_i32_i64idx_gzip.h5ad",
    "nmf_bench/digits_1797x64_u8.npy",
    "nmf_bench/golub_leukemia_38x5000_f64.npy",
)
KS = (5, 10, 20)
STARTS = (("nndsvda", 0), ("random", 1), ("random", 2))
SEEDS = range(6)
# No default fit may end higher than this times the best of the three.
MOST = 1.003


def run(bench):
    folder = pathlib.Path(os.environ.get("PARTWISE_DATA", records.ROOT.parent / "shared/data"))
    for name in FILES:
        if (folder / name).exists():
            compare(bench, folder / name)
        else:
            bench.say(f"skipped, there is no {folder / name} (set PARTWISE_DATA)")


def compare(bench, path):
    x, written = matrix(path), bench.folder / f"starts{'.npy' if path.suffix == '.npy' else '.h5ad'}"
    if path.suffix == ".npy":
        np.save(written, x)
    else:
        anndata.AnnData(x).write_h5ad(written)
    for k in KS:
        theirs = [scikit(x, k, *start) for start in STARTS]
        seeds = ",".join(map(str, SEEDS))
        said, _ = bench.program.run("fit", written.name, "-k", k, "--seed", seeds, "-o", "starts", "--force")
        ours = [fit["relative_error"] for fit in said["fits"]]
        note = f"ours {errors(ours)}; scikit-learn {errors(theirs)}"
        what = f"k = {k}: the worst of six seeds, of scikit-learn's best of three"
        bench.figure("starts", path.name, what, max(ours) / min(theirs), most=MOST, note=note)


def matrix(path):
    """The values as f32: dense, or compressed rows."""
    if path.suffix == ".npy":
        return np.load(path).astype("f4")
    x = sp.csr_matrix(anndata.read_h5ad(path).X).astype("f4")
    x.sort_indices()
    return x


def scikit(x, k, init, seed):
    model = NMF(k, init=init, solver="cd", tol=1e-5, max_iter=400, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        w, h = model.fit_transform(x).astype("f8"), model.components_.astype("f8")
    square = float(x.multiply(x).sum() if sp.issparse(x) else (x.astype("f8") ** 2).sum())
    cross, gram = float(((x.T @ w).T * h).sum()), float(((w.T @ w) * (h @ h.T)).sum())
    return (max(square - 2 * cross + gram, 0) / square) ** 0.5


def errors(values):
    return " ".join(f"{value:.6f}" for value in values)
