"""The values of a file as h5py and numpy read them, in a process of its own: the HDF5 library may
crash there as well."""

import os
import pathlib
import pickle
import select
import signal

import h5py
import numpy as np

PATIENCE = 20


def of(path):
    """Matrix and names of cells and genes in the file at `path`; None if it cannot be read.

    A matrix of h5ad is dense f32; names are None where h5py cannot read them.
    """
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reads)
        try:
            with os.fdopen(writes, "wb") as pipe:
                pickle.dump(npy(path) if path.suffix == ".npy" else h5ad(path), pipe)
        finally:
            os._exit(0)
    os.close(writes)
    content = bytearray()
    while select.select([reads], [], [], PATIENCE)[0] and (piece := os.read(reads, 1 << 20)):
        content += piece
    os.close(reads)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    try:
        return pickle.loads(content)
    except (EOFError, pickle.UnpicklingError):
        return None


def npy(path):
    # Python may use up the memory for a damaged shape.
    return np.asarray(np.load(path, mmap_mode="r"), np.float32), None, None


def h5ad(path):
    with h5py.File(path, "r") as file:
        return matrix(file["X"]), names(file, "obs"), names(file, "var")


def matrix(x):
    if isinstance(x, h5py.Dataset):
        return np.asarray(x[:], np.float32)
    attributes = dict(x.attrs)
    rows, columns = attributes.get("shape", attributes.get("h5sparse_shape"))
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
