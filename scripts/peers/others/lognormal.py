"""Simulates counts of another law than that of partwise's own simulator.

Every gene has a mean rate, log-normal with σ = 1.8.
A program multiplies the rates by log-normal factors with σ = 0.9, and its rates add up to 1.
A cell mixes the programs by a normalised gamma(0.25), so that most cells use a few of them.
The depth of a cell is log-normal with σ = 0.5, and its counts are Poisson.
The mean depth is such that a twentieth of the values is not zero: 1,000 of 20,000 genes a cell.

Programs share the highly expressed genes, so they are similar and most methods need many
iterations.

The job: `to`, `seed`, `cells`, `genes`, `programs`.
"""

import anndata
import numpy as np
import scipy.sparse as sparse

from .job import job, say

# Cells of one random stream.
BLOCK = 1000
FILLED = 1 / 20


class Law:
    def __init__(self, genes, programs, seed):
        self.seed = seed
        rng = np.random.default_rng([seed, 0])
        rates = rng.lognormal(0, 1.8, genes) * rng.lognormal(0, 0.9, (programs, genes))
        self.rates = rates / rates.sum(axis=1, keepdims=True)
        self.depth = self.solve(rng)

    def expected(self, rng, cells):
        """The rates of cells whose mean depth is 1."""
        mix = rng.gamma(0.25, size=(cells, len(self.rates))) + 1e-4
        depth = rng.lognormal(-0.125, 0.5, (cells, 1))
        return depth * mix / mix.sum(axis=1, keepdims=True) @ self.rates

    def solve(self, rng):
        """The mean depth that fills the wanted part, by bisection of its logarithm on some
        cells."""
        rates, low, high = self.expected(rng, 200), 0.0, 20.0
        for _ in range(40):
            middle = (low + high) / 2
            filled = -np.expm1(-np.exp(middle) * rates).mean()
            low, high = (middle, high) if filled < FILLED else (low, middle)
        return np.exp(low)

    def block(self, index, cells):
        rng = np.random.default_rng([self.seed, 1, index])
        return sparse.csr_matrix(rng.poisson(self.depth * self.expected(rng, cells)).astype(np.float32))


def simulate(cells, genes, programs, seed):
    law = Law(genes, programs, seed)
    starts = range(0, cells, BLOCK)
    return sparse.vstack([law.block(at // BLOCK, min(BLOCK, cells - at)) for at in starts], format="csr")


def main():
    work = job()
    x = simulate(work["cells"], work["genes"], work["programs"], work["seed"])
    anndata.AnnData(x).write_h5ad(work["to"], compression="gzip")
    say(nonzeros=x.nnz)


if __name__ == "__main__":
    main()
