"""Writes the counts of an h5ad file in another format. Nothing is measured here.

The job: `path`, `result`, `format`.
"""

import gzip
import os

import anndata
import h5py
import hdf5plugin
import numpy as np
import scipy.io
import scipy.sparse

from .job import job

FILTERS = {
    "gzip": {"compression": "gzip", "compression_opts": 4},
    "lzf": {"compression": "lzf"},
    "zstd": dict(hdf5plugin.Zstd(clevel=3)),
    "blosc": dict(hdf5plugin.Blosc(cname="lz4", clevel=5, shuffle=hdf5plugin.Blosc.SHUFFLE)),
    "plain": {},
}


def main():
    work = job()
    data, result, wanted = anndata.read_h5ad(work["path"]), work["result"], work["format"]
    data = anndata.AnnData(data.X.tocsr().astype("f4"), data.obs[[]], data.var[[]])
    if wanted in FILTERS:
        h5ad(data, result, FILTERS[wanted])
    elif wanted == "csc":
        data.X = data.X.tocsc()
        h5ad(data, result, FILTERS["gzip"])
    elif wanted == "10x":
        tenx(data, result)
    elif wanted == "zarr":
        anndata.settings.zarr_write_format = 3
        sharded(data, result)
    else:
        # Not as text of floats: counts.
        scipy.io.mmwrite(f"{result}.tmp.mtx", data.X.T.astype("i4").tocoo())
        with open(f"{result}.tmp.mtx", "rb") as plain, opened(result) as packed:
            while piece := plain.read(1 << 22):
                packed.write(piece)
        os.remove(f"{result}.tmp.mtx")


def opened(path):
    return gzip.open(path, "wb", compresslevel=6) if path.endswith(".gz") else open(path, "wb")


def h5ad(data, path, how):
    # The matrix alone: Blosc cannot pack names.
    with h5py.File(path, "w") as file:
        anndata.io.write_elem(file, "/", anndata.AnnData(obs=data.obs, var=data.var))
        anndata.io.write_elem(file, "X", data.X, dataset_kwargs=how)


def tenx(data, path):
    """As Cell Ranger 3 writes it: genes × cells by column, that is, cells by row."""
    x = data.X
    with h5py.File(path, "w") as file:
        matrix = file.create_group("matrix")
        put = lambda group, name, values: group.create_dataset(name, data=values, chunks=True, compression="gzip")
        put(matrix, "data", x.data.astype("i4"))
        put(matrix, "indices", x.indices.astype("i8"))
        put(matrix, "indptr", x.indptr.astype("i8"))
        put(matrix, "shape", np.array([data.n_vars, data.n_obs], "i4"))
        put(matrix, "barcodes", data.obs_names.to_numpy().astype("S"))
        features = matrix.create_group("features")
        for name in ("id", "name"):
            put(features, name, data.var_names.to_numpy().astype("S"))
        for name, value in (("feature_type", "Gene Expression"), ("genome", "GRCh38")):
            put(features, name, np.full(data.n_vars, value, "S"))


def sharded(data, path):
    """Arrays of the matrix in shards of many chunks, as anndata 0.13 writes them."""
    import zarr

    store = zarr.open_group(path, mode="w", zarr_format=3)
    anndata.io.write_elem(store, "/", anndata.AnnData(obs=data.obs, var=data.var))
    x = scipy.sparse.csr_matrix(data.X)
    group = store.create_group("X", attributes={
        "encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": list(x.shape)
    })
    for name, values in (("data", x.data), ("indices", x.indices), ("indptr", x.indptr)):
        chunk = 1 << 17
        shard = chunk * max(1, min(128, -(-len(values) // chunk)))
        array = group.create_array(name, shape=values.shape, dtype=values.dtype, chunks=(chunk,), shards=(shard,))
        array[...] = values


if __name__ == "__main__":
    main()
