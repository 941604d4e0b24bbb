"""Prints the relative error of a result file on the data in `path`, by the function that judges
all.

The job: `path`, `scale`, `result`.
"""

import anndata
import numpy as np

from .job import job, say
from .matrix import RelativeError, load


def main():
    work = job()
    x = load(work["path"], work["scale"])
    result = anndata.read_h5ad(work["result"])
    w, h = np.asarray(result.obsm["X_nmf"], np.float64), np.asarray(result.varm["spectra"], np.float64).T
    if work["scale"] == "std":
        # A result is in the units of the input; the error is of the matrix factorized.
        deviation = load(work["path"]).std(axis=0, dtype=np.float64)
        h = h / np.where(deviation > 0, deviation, 1)
    say(error=RelativeError(x)(w, h))


if __name__ == "__main__":
    main()
