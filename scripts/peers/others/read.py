"""Reads the counts of a file into memory with the reader that Python has for its format, and prints
the seconds of the reading alone.

The job: `path`, `format`.
"""

import time
import zlib

from .job import job, say


def main():
    work = job()
    read = READERS.get(work["format"], h5ad)
    read(work["path"], lambda began: say(seconds=time.perf_counter() - began))


def h5ad(path, ended):
    import anndata
    import hdf5plugin  # noqa: F401

    began = time.perf_counter()
    anndata.read_h5ad(path)
    ended(began)


def tenx(path, ended):
    """What scanpy's `read_10x_h5` does: all arrays with h5py, then a matrix of cells × genes."""
    import h5py
    import scipy.sparse

    began = time.perf_counter()
    with h5py.File(path) as file:
        matrix = file["matrix"]
        data, indices, indptr, (genes, cells) = (matrix[name][...] for name in ("data", "indices", "indptr", "shape"))
        scipy.sparse.csr_matrix((data.astype("f4"), indices, indptr), shape=(cells, genes))
        matrix["barcodes"][...], matrix["features/id"][...]
    ended(began)


def zarr(path, ended):
    import anndata
    import zarr  # noqa: F401

    began = time.perf_counter()
    anndata.read_zarr(path)
    ended(began)


def market(path, ended):
    import scipy.io

    began = time.perf_counter()
    scipy.io.mmread(path)
    ended(began)


def inflate(path, ended):
    """One core, which only unpacks the file."""
    began, unpacker = time.perf_counter(), zlib.decompressobj(31)
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            unpacker.decompress(piece)
    ended(began)


READERS = {"10x": tenx, "zarr": zarr, "mtx": market, "mtx.gz": inflate}

if __name__ == "__main__":
    main()
