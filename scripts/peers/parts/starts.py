"""Compares the error of default fits, seed by seed, with three starts of scikit-learn (nndsvda and
two random ones; cd, tol 1e-5, at most 400 iterations) on real files.

The files are those of the folder PARTWISE_DATA; a file that is not there is left out. All are
written anew, by row or dense with gzip, since partwise does not read all of them yet.
"""

from .. import clock
from ..data.real import folder

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
    for name in FILES:
        if (folder() / name).exists():
            compare(bench, folder() / name)
        else:
            bench.say(f"skipped, there is no {folder() / name} (set PARTWISE_DATA)")


def compare(bench, path):
    written = bench.folder / "starts.h5ad"
    clock.python("rebox", {"path": str(path), "to": str(written)})
    for k in KS:
        job = {"path": str(written), "k": k, "starts": STARTS, "tol": 1e-5, "iterations": 400}
        theirs = clock.python("starts", job)["errors"]
        seeds = ",".join(map(str, SEEDS))
        said, _ = bench.program.run("fit", written.name, "-k", k, "--seed", seeds, "-o", "starts", "--force")
        ours = [fit["relative_error"] for fit in said["fits"]]
        note = f"ours {errors(ours)}; scikit-learn {errors(theirs)}"
        what = f"k = {k}: the worst of six seeds, of scikit-learn's best of three"
        bench.figure("starts", path.name, what, max(ours) / min(theirs), most=MOST, note=note)


def errors(values):
    return " ".join(f"{value:.6f}" for value in values)
