"""A program that one cell in a thousand carries is found, with default settings.

The full size, 200,000 cells × 5,000 genes, runs if PARTWISE_SLOW is set.
"""

import os

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

PROGRAMS = 10


def profile(rng, genes, among, breadth=100):
    h = np.zeros(genes)
    h[rng.choice(among, breadth, replace=False)] = rng.gamma(0.5, size=breadth)
    return h / h.sum()


def counts(rng, usages, h):
    """Poisson counts around usages × h as a sparse matrix."""
    number = rng.poisson(usages)
    genes = np.minimum(np.searchsorted(np.cumsum(h), rng.random(number.sum())), len(h) - 1)
    cells = np.repeat(np.arange(len(usages)), number)
    return sp.coo_matrix((np.ones(len(genes), np.float32), (cells, genes)), (len(usages), len(h))).tocsr()


def planted(cells, genes, overlapping, seed, share=0.01):
    """X, the common spectra, and the spectrum of the program that a thousandth of the cells
    carry."""
    rng = np.random.default_rng(seed)
    common_genes, free = np.arange(genes * 9 // 10), np.arange(genes * 9 // 10, genes)
    shared = rng.lognormal(0, 1.5, genes) * np.isin(np.arange(genes), common_genes)
    common = [0.8 * profile(rng, genes, common_genes) + 0.2 * shared / shared.sum() for _ in range(PROGRAMS)]
    rare = profile(rng, genes, np.argsort(-sum(common))[:400] if overlapping else free)
    carriers = rng.choice(cells, cells // 1000, replace=False)
    usages = 0.5 * rng.gamma(0.3, size=(cells, PROGRAMS))
    usages[np.arange(cells), rng.integers(0, PROGRAMS, cells)] += rng.gamma(6, size=cells)
    usages *= (rng.lognormal(5.4, 0.4, cells) / usages.sum(1))[:, None]
    if not overlapping:
        usages[carriers] *= 0.1
    x = sum(counts(rng, usages[:, p], common[p]) for p in range(PROGRAMS))
    # Mean usages for which the program's own part of ‖X‖² is `share`.
    depth = np.sqrt(share / (1 - share) * float((x.data.astype("f8") ** 2).sum()) / len(carriers) / (rare @ rare))
    own = np.zeros(cells)
    own[carriers] = depth * rng.lognormal(-0.02, 0.2, len(carriers))
    return (x + counts(rng, own, rare)).tocsr(), common, rare


@pytest.mark.parametrize("overlapping", [False, True])
@pytest.mark.parametrize(
    "cells,genes",
    [
        (40_000, 2_000),
        pytest.param(200_000, 5_000, marks=pytest.mark.skipif("PARTWISE_SLOW" not in os.environ, reason="PARTWISE_SLOW is not set")),
    ],
)
def test_a_program_of_one_cell_in_a_thousand_is_found(partwise, cells, genes, overlapping):
    x, common, rare = planted(cells, genes, overlapping, seed=1)
    names = lambda n: pd.DataFrame(index=np.arange(n).astype(str))
    anndata.AnnData(x, obs=names(cells), var=names(genes)).write_h5ad(partwise.path("x.h5ad"))
    for seed in (0, 1, 2):
        _, result = partwise.fit("x.h5ad", PROGRAMS + 1, "--seed", seed)
        rows = result.h / np.maximum(np.linalg.norm(result.h, axis=1), 1e-30)[:, None]
        found = [(rows @ h).max() / np.linalg.norm(h) for h in [rare, *common]]
        assert found[0] >= 0.9, f"seed {seed}: the rare program only by {found[0]:.3f}"
        assert min(found) >= 0.9, f"seed {seed}: a common program only by {min(found):.3f}"
