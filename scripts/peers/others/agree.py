"""How far two consensus of the same counts agree: cNMF's and ours.

The job: `folder`, `ks`, `sweep` (its folder), `programs` (the folder of the results).
"""

import pathlib

import anndata
import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from .job import job, say


def cosines(folder, programs, k):
    """Of the gene scores of matched programs, over the selected genes."""
    mine = anndata.read_h5ad(folder / programs / f"k{k}.h5ad")
    scores = pd.read_csv(folder / f"cnmf/peer/peer.gene_spectra_score.k_{k}.dt_0_5.txt", sep="\t", index_col=0)
    chosen = mine.var["highly_variable"].to_numpy(bool)
    both = scores.values[:, chosen], np.asarray(mine.varm["gene_scores"], np.float64).T[:, chosen]
    theirs, ours = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in both)
    products = theirs @ ours.T
    return products[linear_sum_assignment(-products)]


def main():
    work = job()
    folder = pathlib.Path(work["folder"])
    # cNMF keeps the names of columns as pickles.
    stats = np.load(folder / "cnmf/peer/peer.k_selection_stats.df.npz", allow_pickle=True)
    table = pd.DataFrame(stats["data"], columns=stats["columns"])
    theirs = dict(zip(table["k"].astype(int), table["silhouette"].astype(float), strict=True))
    ours = pd.read_csv(folder / work["sweep"] / "stability.csv", index_col=0)["stability"].to_dict()
    best = max(theirs, key=theirs.get)
    every = {k: cosines(folder, work["programs"], k) for k in work["ks"]}
    say(
        ours=max(ours, key=ours.get),
        theirs=best,
        least=float(every[best].min()),
        part=float((np.concatenate(list(every.values())) > 0.99).mean()),
        stability=max(abs(ours[k] - theirs[k]) for k in work["ks"]),
    )


main()
