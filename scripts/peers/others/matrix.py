"""The data as peers hold them in memory, and the one function that judges all."""

import anndata
import numpy as np
import scipy.sparse as sparse


def load(path, scale="none"):
    """X of an h5ad file as f32, CSR or dense; each gene divided by its standard deviation if
    `scale` is "std"."""
    x = anndata.read_h5ad(path).X
    if sparse.issparse(x):
        assert scale == "none", "scaling is compared on dense data only"
        return x.tocsr().astype(np.float32, copy=False)
    x = np.asarray(x, np.float32)
    if scale == "std":
        deviation = x.std(axis=0, dtype=np.float64)
        x = (x / np.where(deviation > 0, deviation, 1)).astype(np.float32)
    return x


class RelativeError:
    """‖X − WH‖/‖X‖ by ‖X‖² − 2⟨XHᵀ, W⟩ + ⟨WᵀW, HHᵀ⟩: no dense product, sums in f64, some rows at a
    time."""

    ROWS = 4096

    def __init__(self, x):
        self.x = x
        self.square = sum(float(np.sum(np.square(values(x[a:b]), dtype=np.float64))) for a, b in self.blocks())

    def blocks(self):
        rows = self.x.shape[0]
        return ((a, min(a + self.ROWS, rows)) for a in range(0, rows, self.ROWS))

    def __call__(self, w, h):
        w, h = np.asarray(w, np.float64), np.asarray(h, np.float64)
        assert w.shape == (self.x.shape[0], h.shape[0]) and h.shape[1] == self.x.shape[1], (w.shape, h.shape)
        assert w.min() >= 0 and h.min() >= 0, "factors are non-negative"
        ht = np.ascontiguousarray(h.T)
        cross = sum(float(np.sum((self.x[a:b].astype(np.float64) @ ht) * w[a:b])) for a, b in self.blocks())
        model = float(np.sum((w.T @ w) * (h @ h.T)))
        return (max(self.square - 2 * cross + model, 0.0) / self.square) ** 0.5


def values(rows):
    return rows.data if sparse.issparse(rows) else rows
