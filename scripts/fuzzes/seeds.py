"""Small sound files of every format, written by the libraries of the field.

Each file lies in a folder of its own, since some inputs are folders. All are the same matrix, so
that only few bytes of a file are not looked at by its reader.
"""

import gzip
import os
import unittest.mock
import warnings
import zipfile
from dataclasses import dataclass

import anndata
import h5py
import hdf5plugin
import numcodecs
import numpy as np
import pandas as pd
import scipy.io
import scipy.sparse as sp
import zarr

warnings.filterwarnings("ignore", message=".*autosharding")

CELLS, GENES = 40, 17


@dataclass(frozen=True)
class Kind:
    """A way in which a format is written.

    `write` writes cells × genes to a path; `options` are those of the conversion; `name` is the file
    or folder, by which the program and other readers know the format.
    """

    format: str
    variant: str
    name: str
    write: callable
    options: str = ""

    def __str__(self):
        return f"{self.format} {self.variant}"


def counts():
    """Cells × genes, a third of which are not zero, some beyond a byte."""
    rng = np.random.default_rng(1)
    x = rng.poisson(0.4, (CELLS, GENES)).astype(np.float32)
    x[rng.random(x.shape) < 0.02] *= 300
    x[7], x[:, 3] = 0, 0
    return x


def names(letter, count):
    return [f"{letter}{i}" for i in range(count)]


def anndata_in(group, layout, at, x):
    """Writes AnnData into a group of HDF5 or zarr, with the matrix at `X` or in a layer. What an
    AnnData object has besides is left out, since no reader looks at it."""
    obs = pd.DataFrame(
        {
            "label": pd.Categorical(["ab"[i % 2] for i in range(CELLS)]),
            "text": [f"µ{i}" for i in range(CELLS)],
            "score": np.linspace(0, 1, CELLS, dtype="f4"),
        },
        index=names("cell", CELLS),
    )
    group.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
    for key, part in (("obs", obs), ("var", pd.DataFrame(index=names("gene", GENES))), (at, layout(x))):
        anndata.io.write_elem(group, key, part)


def tables(group, at):
    """The tables and lists of the matrix in a group."""
    return [f"{at}/{part}" for part in ("data", "indices", "indptr")] if hasattr(group[at], "keys") else [at]


def h5ad(layout, at="X", **filters):
    """An .h5ad whose lists and tables have small chunks, packed by `filters`."""

    def write(path, x):
        with h5py.File(path, "w") as file:
            anndata_in(file, layout, at, x)
            for table in tables(file, at) if filters else []:
                values, attributes = file[table][:], dict(file[table].attrs)
                del file[table]
                chunks = (16, 10) if values.ndim == 2 else (min(64, len(values)),)
                file.create_dataset(table, data=values, chunks=chunks, **filters).attrs.update(attributes)

    return write


def h5mu(path, x):
    h5ad(sp.csr_matrix, compression="gzip")(path.with_name("part"), x)
    with h5py.File(path.with_name("part")) as part, h5py.File(path, "w") as file:
        file.attrs["encoding-type"] = "MuData"
        modalities = file.create_group("mod")
        for name in ("rna", "atac"):
            part.copy("/", modalities, name)
    path.with_name("part").unlink()


def tenx(version, **filters):
    """A file of Cell Ranger."""

    def write(path, x):
        x = sp.csc_matrix(x.T.astype("i4"))
        with h5py.File(path, "w") as file:
            group = file.create_group("matrix" if version == 3 else "GRCh38")
            for name, values in (("data", x.data), ("indices", x.indices.astype("i8")), ("indptr", x.indptr.astype("i8"))):
                group.create_dataset(name, data=values, chunks=(64,), maxshape=(None,), **filters)
            group["shape"], group["barcodes"] = np.array(x.shape, "i4"), np.array(names("cell", CELLS), "S")
            ids, symbols = np.array(names("ENSG", GENES), "S"), np.array(names("gene", GENES), "S")
            if version == 2:
                group["genes"], group["gene_names"] = ids, symbols
            else:
                group["features/id"], group["features/name"] = ids, symbols
                group["features/feature_type"] = np.array(["Gene Expression"] * GENES, "S")

    return write


def market(path, x):
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    scipy.io.mmwrite(plain, sp.coo_matrix(x.T.astype("i8")), field="integer", symmetry="general")
    pack(plain) if path.suffix == ".gz" else None


def pack(path):
    path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    path.unlink()


def tenx_folder(version):
    """A folder of Cell Ranger: plain in version 2, packed in version 3."""

    def write(path, x):
        path.mkdir()
        market(path / "matrix.mtx", x)
        features = [[f"ENSG{i}", f"gene{i}", "Gene Expression"][:version] for i in range(GENES)]
        table = path / ("features.tsv" if version == 3 else "genes.tsv")
        table.write_text("".join("\t".join(feature) + "\n" for feature in features))
        (path / "barcodes.tsv").write_text("".join(name + "\n" for name in names("cell", CELLS)))
        for file in sorted(path.iterdir()) if version == 3 else []:
            pack(file)

    return write


def loom(**filters):
    def write(path, x):
        with h5py.File(path, "w") as file:
            file.create_dataset("matrix", data=x.T, chunks=(10, 16), **filters)
            file["col_attrs/CellID"], file["row_attrs/Gene"] = np.array(names("cell", CELLS), "S"), names("gene", GENES)
            file["col_attrs/total"] = x.sum(1)
            file.create_group("layers")

    return write


def anndata_zarr(version, layout, compressors, chunks=(16, 10), shards=None):
    """A zarr store of anndata, as a folder or a zip archive, whose matrix is packed by `compressors`."""

    def write(path, x):
        folder = path.with_suffix("") if path.suffix == ".zip" else path
        group = zarr.open_group(str(folder), mode="w", zarr_format=version)
        anndata_in(group, layout, "X", x)
        whole = layout is np.asarray
        for table in tables(group, "X"):
            values, attributes = group[table][:], dict(group[table].attrs)
            del group[table]
            array = group.create_array(
                table,
                shape=values.shape,
                dtype=values.dtype,
                chunks=chunks if whole else (64,),
                shards=(shards if whole else (256,)) if shards else None,
                compressors=compressors,
                fill_value=0,
            )
            array[:] = values
            array.attrs.update(attributes)
        if path.suffix == ".zip":
            archive(folder, path)

    return write


def archive(folder, path):
    """A zip archive of the folder, which is removed. Its entries have no time, so that it is the same
    each time."""
    with zipfile.ZipFile(path, "w") as out:
        files = [os.path.join(at, name) for at, _, found in os.walk(folder) for name in found]
        for file in sorted(files):
            with open(file, "rb") as content:
                out.writestr(zipfile.ZipInfo(os.path.relpath(file, folder)), content.read(), zipfile.ZIP_DEFLATED)
            os.unlink(file)
    for at, _, _ in os.walk(folder, topdown=False):
        os.rmdir(at)


def npy(dtype, order):
    return lambda path, x: np.save(path, np.asarray(x.astype(dtype), order=order))


def npz(layout, compressed=True):
    return lambda path, x: sp.save_npz(path, layout(x), compressed=compressed)


def table(separator):
    def write(path, x):
        lines = [["", *names("gene", GENES)]]
        lines += [[f"cell{i}", *(f"{value:g}" for value in row)] for i, row in enumerate(x)]
        text = "".join(separator.join(line) + "\n" for line in lines).encode()
        path.write_bytes(gzip.compress(text, mtime=0) if path.suffix == ".gz" else text)

    return write


def bare(layout, at, **filters):
    def write(path, x):
        with h5py.File(path, "w") as file:
            if layout is np.asarray:
                file.create_dataset(at, data=x, **filters)
                return
            x = layout(x)
            for name in ("data", "indices", "indptr"):
                file.create_dataset(f"{at}/{name}", data=getattr(x, name), **filters)
            file[at].attrs["shape"] = x.shape

    return write


BLOSC = zarr.codecs.BloscCodec(cname="lz4", shuffle="shuffle")
KINDS = (
    Kind("h5ad", "CSR, plain", "x.h5ad", h5ad(sp.csr_matrix)),
    Kind("h5ad", "CSR, gzip", "x.h5ad", h5ad(sp.csr_matrix, compression="gzip", shuffle=True)),
    Kind("h5ad", "CSR, zstd", "x.h5ad", h5ad(sp.csr_matrix, **hdf5plugin.Zstd())),
    Kind("h5ad", "CSC, lzf, layer", "x.h5ad", h5ad(sp.csc_matrix, "layers/counts", compression="lzf"), "--layer counts"),
    Kind("h5ad", "CSC, blosc", "x.h5ad", h5ad(sp.csc_matrix, **hdf5plugin.Blosc(cname="lz4", shuffle=1))),
    Kind("h5ad", "dense, plain", "x.h5ad", h5ad(np.asarray)),
    Kind("h5ad", "dense, gzip", "x.h5ad", h5ad(np.asarray, compression="gzip", fletcher32=True)),
    Kind("h5ad", "dense, blosc", "x.h5ad", h5ad(np.asarray, **hdf5plugin.Blosc(cname="zstd", shuffle=2))),
    Kind("h5mu", "CSR, gzip", "x.h5mu", h5mu, "--modality rna"),
    Kind("10x h5", "version 2, lzf", "x.h5", tenx(2, compression="lzf")),
    Kind("10x h5", "version 3, gzip", "x.h5", tenx(3, compression="gzip", shuffle=True), "--features all"),
    Kind("10x folder", "version 2, plain", "x", tenx_folder(2)),
    Kind("10x folder", "version 3, gzip", "x", tenx_folder(3), "--features all"),
    Kind("mtx", "plain", "x.mtx", market),
    Kind("mtx", "gzip", "x.mtx.gz", market),
    Kind("loom", "plain", "x.loom", loom()),
    Kind("loom", "gzip", "x.loom", loom(compression="gzip")),
    Kind("zarr 2", "CSR, blosc", "x.zarr", anndata_zarr(2, sp.csr_matrix, numcodecs.Blosc(cname="lz4", shuffle=1))),
    Kind("zarr 2", "CSC, plain", "x.zarr", anndata_zarr(2, sp.csc_matrix, None)),
    Kind("zarr 2", "dense, gzip", "x.zarr", anndata_zarr(2, np.asarray, numcodecs.GZip())),
    Kind("zarr 2", "dense, zstd, zip", "x.zarr.zip", anndata_zarr(2, np.asarray, numcodecs.Zstd())),
    Kind("zarr 3", "CSR, zstd", "x.zarr", anndata_zarr(3, sp.csr_matrix, zarr.codecs.ZstdCodec())),
    Kind("zarr 3", "CSC, gzip, zip", "x.zarr.zip", anndata_zarr(3, sp.csc_matrix, zarr.codecs.GzipCodec())),
    Kind("zarr 3", "CSR, blosc, shards", "x.zarr", anndata_zarr(3, sp.csr_matrix, BLOSC, shards=(32, 20))),
    Kind("zarr 3", "dense, plain", "x.zarr", anndata_zarr(3, np.asarray, None)),
    Kind("zarr 3", "dense, zstd, shards", "x.zarr", anndata_zarr(3, np.asarray, zarr.codecs.ZstdCodec(), shards=(32, 20))),
    Kind("npy", "f4", "x.npy", npy("f4", "C")),
    Kind("npy", ">i8 by column", "x.npy", npy(">i8", "F")),
    Kind("npz", "CSR", "x.npz", npz(sp.csr_matrix)),
    Kind("npz", "CSC, plain", "x.npz", npz(sp.csc_matrix, False)),
    Kind("npz", "COO", "x.npz", npz(sp.coo_matrix)),
    Kind("npz", "an array", "x.npz", lambda path, x: np.savez_compressed(path, x=x)),
    Kind("csv", "plain", "x.csv", table(",")),
    Kind("csv", "gzip", "x.csv.gz", table(",")),
    Kind("csv", "tabs", "x.tsv", table("\t")),
    Kind("csv", "tabs, gzip", "x.tsv.gz", table("\t")),
    Kind("HDF5", "dense", "x.hdf5", bare(np.asarray, "X", chunks=(16, 10), compression="gzip")),
    Kind("HDF5", "CSR at a path", "x.hdf5", bare(sp.csr_matrix, "data/counts"), "--dataset data/counts"),
)


def write_all(folder):
    """Writes each kind into the folder of its number."""
    for number, kind in enumerate(KINDS):
        (folder / str(number)).mkdir()
        # gzip writes the time.
        with unittest.mock.patch("time.time", lambda: 0):
            kind.write(folder / str(number) / kind.name, counts())
