"""Simulated data hold the truth that they claim, and a fit finds it."""

import anndata
import numpy as np
import scipy.sparse as sp
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score


def labels(w, clusters):
    usages = w / np.maximum(w.sum(1, keepdims=True), 1e-30)
    return KMeans(clusters, n_init=10, random_state=0).fit_predict(usages)


def test_clusters_are_found(partwise):
    partwise.json("simulate", "--kind", "clusters", "--cells", 3000, "--genes", 500, "--programs", 5, "--seed", 7, "-o", "x.h5ad")
    source = anndata.read_h5ad(partwise.path("x.h5ad"))
    assert not sp.issparse(source.X) and source.X.min() == 0 and source.obs["cluster"].nunique() == 5
    _, result = partwise.fit("x.h5ad", 5, "--scale", "std")
    assert adjusted_rand_score(source.obs["cluster"], labels(result.w, 5)) > 0.95


def test_counts_follow_the_planted_programs(partwise):
    partwise.json("simulate", "--kind", "counts", "--cells", 4000, "--genes", 1000, "--programs", 3, "--depth", 2000, "-o", "x.h5ad")
    source = anndata.read_h5ad(partwise.path("x.h5ad"))
    x, programs = source.X, source.varm["programs"]
    assert sp.issparse(x) and (x.data == np.round(x.data)).all() and x.has_sorted_indices
    np.testing.assert_allclose(programs.sum(0), 1, rtol=1e-4)
    sums = np.asarray(x.sum(1)).ravel()
    assert abs(sums.sum() / source.obs["library_size"].sum() - 1) < 0.01
    # The mean profile of the cells of a cluster is closest to the program that dominates them.
    for cluster in range(3):
        cells = (source.obs["cluster"] == str(cluster)).to_numpy()
        profile = np.asarray(x[cells].sum(0)).ravel() / sums[cells].sum()
        distances = np.abs(programs - profile[:, None]).sum(0)
        assert distances.argmin() == cluster, distances


def test_a_seed_is_a_file(partwise):
    def made(name, *options):
        partwise.json("simulate", "--kind", "counts", "--cells", 700, "--genes", 300, "-o", name, *options)
        return anndata.read_h5ad(partwise.path(name))

    one, same, other = made("a.h5ad", "--threads", 1), made("b.h5ad", "--threads", 3), made("c.h5ad", "--seed", 1)
    assert (one.X != same.X).nnz == 0 and one.obs.equals(same.obs)
    assert (one.X != other.X).nnz > 0
