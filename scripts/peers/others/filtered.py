"""Counts as cNMF wants them: genes of three cells or more, cells of 200 counts or more.

The job: `path` (h5ad), `to`.
"""

import anndata
import numpy as np
import scipy.sparse as sparse

from .job import job, say


def main():
    work = job()
    data = anndata.read_h5ad(work["path"])
    data.var_names_make_unique()
    x = sparse.csr_matrix(data.X).astype(np.float32)
    genes = np.asarray((x > 0).sum(0)).ravel() >= 3
    x = x[:, genes]
    cells = np.asarray(x.sum(1)).ravel() >= 200
    kept = anndata.AnnData(x[cells])
    kept.obs_names, kept.var_names = data.obs_names[cells], data.var_names[genes]
    kept.write_h5ad(work["to"])
    say(cells=kept.n_obs, genes=kept.n_vars)


main()
