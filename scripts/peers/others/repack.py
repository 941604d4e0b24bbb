"""Copies an h5ad file with the arrays of X compressed by gzip, as anndata's `compression="gzip"`
does. With `binary` every value is 1.

The job: `path`, `to`, `binary` (may be absent).
"""

import h5py

from .job import job, say

PIECE = 1 << 22


def main():
    work = job()
    with h5py.File(work["path"]) as old, h5py.File(work["to"], "w") as new:
        new.attrs.update(old.attrs)
        for name in old:
            if name != "X":
                old.copy(name, new)
        x = new.create_group("X")
        x.attrs.update(old["X"].attrs)
        for name, array in old["X"].items():
            copy = x.create_dataset(name, array.shape, array.dtype, compression="gzip", chunks=True)
            for a in range(0, len(array), PIECE):
                copy[a : a + PIECE] = 1 if name == "data" and work.get("binary") else array[a : a + PIECE]
    say(done=True)


if __name__ == "__main__":
    main()
