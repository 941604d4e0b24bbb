"""Goes from an h5ad file to a result beside it, as a user would write it with anndata and
scikit-learn. Nothing is measured here.

The job: `path`, `result`, `k`, `seed`, `init`, `iterations`.
"""

import anndata
from sklearn.decomposition import NMF

from .job import job


def main():
    work = job()
    data = anndata.read_h5ad(work["path"])
    model = NMF(
        work["k"], solver="cd", init=work["init"], random_state=work["seed"], tol=0, max_iter=work["iterations"]
    )
    w = model.fit_transform(data.X)
    spectra = {"spectra": model.components_.T}
    anndata.AnnData(obs=data.obs, var=data.var, obsm={"X_nmf": w}, varm=spectra).write_h5ad(work["result"])


if __name__ == "__main__":
    main()
