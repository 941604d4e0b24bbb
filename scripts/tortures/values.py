"""The values of a file as h5py and numpy read them, in a process of its own: the HDF5 library may
crash there as well."""

import os
import pathlib
import pickle
import select
import signal

import h5py
import numpy as np
import scipy.io

PATIENCE = 20


def of(path):
    """Matrix and names of cells and genes in the file at `path`; None if it cannot be read.

    A matrix of h5ad is dense f32; names are None where h5py cannot read them.
    """
    return apart(lambda: {".npy": npy, ".mtx": market, ".gz": market, ".h5": tenx}.get(path.suffix, h5ad)(path))[0]


def apart(read, patience=PATIENCE):
    """What `read` returns in a process of its own, and an empty text; or None, and why it failed.
    The process is ended if it sends nothing for `patience` seconds."""
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reads)
        try:
            with os.fdopen(writes, "wb") as pipe:
                try:
                    answer = read(), ""
                except Exception as error:
                    answer = None, f"{type(error).__name__}: {error}"
                pickle.dump(answer, pipe)
        finally:
            os._exit(0)
    os.close(writes)
    content = bytearray()
    while select.select([reads], [], [], patience)[0] and (piece := os.read(reads, 1 << 20)):
        content += piece
    os.close(reads)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    try:
        return pickle.loads(content)
    except (EOFError, pickle.UnpicklingError):
        return None, "the reader crashed or found no end"


def npy(path):
    # Python may use up the memory for a damaged shape.
    return np.asarray(np.load(path, mmap_mode="r"), np.float32), None, None


def market(path):
    x = scipy.io.mmread(path)
    if x.shape[0] * x.shape[1] > 1 << 26:
        raise ValueError("too large to compare")
    return x.toarray().T.astype(np.float32), None, None


def tenx(path):
    """A file of Cell Ranger that holds one matrix."""
    with h5py.File(path, "r") as file:
        [group] = [file[name] for name in file if "indptr" in file[name]]
        genes, cells = group["shape"][:]
        rows = by_rows(group, (cells, genes))
        features = [name for name in ("features/name", "gene_names") if name in group]
        return rows, texts(group, "barcodes"), texts(group, *features)


def texts(group, *names):
    try:
        return [name.decode("utf-8", "replace").split("\0")[0] for name in group[names[0]][:]]
    except Exception:
        return None


def h5ad(path):
    with h5py.File(path, "r") as file:
        return matrix(file["X"]), names(file, "obs"), names(file, "var")


def matrix(x):
    if isinstance(x, h5py.Dataset):
        return np.asarray(x[:], np.float32)
    attributes = dict(x.attrs)
    return by_rows(x, attributes.get("shape", attributes.get("h5sparse_shape")))


def by_rows(x, shape):
    """The matrix of compressed rows in the group `x`, dense."""
    rows, columns = map(int, shape)
    if rows * columns > 1 << 26:
        raise ValueError("too large to compare")
    indptr, indices, data = x["indptr"][:], x["indices"][:], x["data"][:]
    if len(indptr) != rows + 1 or indptr[-1] != len(data):
        raise ValueError("the row pointers do not fit")
    dense = np.zeros((rows, columns))
    np.add.at(dense, (np.repeat(np.arange(rows), np.diff(indptr)), indices), data)
    return dense.astype(np.float32)


def names(file, table):
    try:
        group = file[table]
        if isinstance(group, h5py.Dataset):
            return None
        index = group.attrs["_index"]
        return [name.decode("utf-8", "replace").split("\0")[0] for name in group[index][:]]
    except Exception:
        return None


def differ(expected, path):
    """How the sound file at `path` differs from the `expected` values; empty if it does not."""
    with h5py.File(pathlib.Path(path), "r") as file:
        found = matrix(file["X"]), names(file, "obs"), names(file, "var")
    if expected[0].shape != found[0].shape:
        return f"the shape is {found[0].shape}, not {expected[0].shape}"
    if not np.array_equal(expected[0], found[0]):
        return f"{(expected[0] != found[0]).sum()} values differ"
    for what, mine, theirs in zip(("cells", "genes"), found[1:], expected[1:]):
        if theirs is not None and mine != theirs:
            at = next((i for i, pair in enumerate(zip(mine, theirs)) if pair[0] != pair[1]), min(len(mine), len(theirs)))
            return f"names of {what} differ at {at}: {mine[at : at + 1]}, not {theirs[at : at + 1]}"
    return ""
