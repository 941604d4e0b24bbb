"""Writes a file of values anew as AnnData with gzip: sparse by row, or dense as it was.

The job: `path` (h5ad of any layout and filter, or npy), `to`.
"""

import anndata
import hdf5plugin  # noqa: F401 – registers the filters of the files
import numpy as np
import scipy.sparse as sparse

from .job import job, say


def values(path):
    """X as f32: dense if it was, or compressed rows."""
    if path.endswith(".npy"):
        return np.load(path).astype(np.float32)
    x = anndata.read_h5ad(path).X
    if not sparse.issparse(x):
        return np.asarray(x, np.float32)
    x = sparse.csr_matrix(x).astype(np.float32)
    x.sort_indices()
    return x


def main():
    work = job()
    anndata.AnnData(values(work["path"])).write_h5ad(work["to"], compression="gzip")
    say(done=True)


if __name__ == "__main__":
    main()
