"""The values of a file as cells × genes, read by the libraries of the field."""

import csv
import gzip
import io
import resource

import anndata
import h5py
import hdf5plugin  # noqa: F401 - registers filters with h5py
import numpy as np
import scipy.io
import scipy.sparse as sp
import zarr

# A reader believes a damaged shape; larger matrices than this are not compared.
LARGEST = 1 << 24
# The memory of a reader, which allocates all that a damaged file claims.
MEMORY = 8 << 30


def read(kind, path):
    """The values of the file of a kind, as f32.

    Raises whatever the library raises that finds the file damaged.
    """
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    x = READERS[kind.format](path, kind.options.split()[-1:])
    if x.ndim != 2 or x.shape[0] * x.shape[1] > LARGEST:
        raise ValueError(f"a shape of {x.shape}")
    if not sp.issparse(x):
        return np.asarray(x).astype(np.float32)
    if hasattr(x, "check_format"):
        x.check_format(full_check=True)
    # The values of a place add up, each as the 32 bits that a store keeps.
    x = x.tocoo()
    x = sp.coo_matrix((x.data.astype(np.float32).astype(np.float64), (x.row, x.col)), x.shape)
    return x.toarray().astype(np.float32)


def h5ad(path, option):
    with h5py.File(path) as file:
        return anndata.io.read_elem(file[f"layers/{option[0]}" if option else "X"])


def h5mu(path, option):
    with h5py.File(path) as file:
        return anndata.io.read_elem(file[f"mod/{option[0]}/X"])


def tenx(path, option):
    with h5py.File(path) as file:
        group = file["matrix" if option else "GRCh38"]
        parts = tuple(group[name][:] for name in ("data", "indices", "indptr"))
        return sp.csr_matrix(parts, shape=tuple(map(int, group["shape"][:][::-1])))


def tenx_folder(path, option):
    [matrix] = path.glob("matrix.mtx*")
    return market(matrix, option)


def market(path, option):
    content = path.read_bytes()
    content = gzip.decompress(content) if path.suffix == ".gz" else content
    # Of integers scipy reads the digits in front: 1 of 1e2. As real numbers it reads them whole.
    return scipy.io.mmread(io.BytesIO(content.replace(b" integer ", b" real ", 1))).T


def loom(path, option):
    with h5py.File(path) as file:
        return file["matrix"][:].T


def anndata_zarr(path, option):
    store = zarr.storage.ZipStore(path, mode="r") if path.suffix == ".zip" else str(path)
    return anndata.io.read_elem(zarr.open_group(store, mode="r", use_consolidated=False)["X"])


def npy(path, option):
    return np.load(path)


def npz(path, option):
    with np.load(path) as file:
        if len(set(file.files)) == 1:
            return file[file.files[0]]
    return sp.load_npz(path)


def table(path, option):
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", newline="") as file:
        lines = csv.reader(file, delimiter="\t" if ".tsv" in path.name else ",")
        next(lines)
        return np.array([[float(value) for value in line[1:]] for line in lines if line])


def bare(path, option):
    with h5py.File(path) as file:
        if not option:
            return file["X"][:]
        group = file[option[0]]
        parts = tuple(group[name][:] for name in ("data", "indices", "indptr"))
        return sp.csr_matrix(parts, shape=tuple(map(int, group.attrs["shape"])))


READERS = {
    "h5ad": h5ad,
    "h5mu": h5mu,
    "10x h5": tenx,
    "10x folder": tenx_folder,
    "mtx": market,
    "loom": loom,
    "zarr 2": anndata_zarr,
    "zarr 3": anndata_zarr,
    "npy": npy,
    "npz": npz,
    "csv": table,
    "HDF5": bare,
}
