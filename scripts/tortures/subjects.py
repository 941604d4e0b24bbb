"""The files to damage, and the commands to run on them."""

import gzip
import os
import pathlib
import shutil
from dataclasses import dataclass

import numpy as np
import scipy.io
import scipy.sparse as sp

import records

INPUTS = (
    "simulate --kind counts --cells 700 --genes 300 --programs 3 --depth 80 --seed 1 -o counts.h5ad",
    "simulate --kind clusters --cells 400 --genes 60 --programs 3 --seed 2 -o table.h5ad",
    "convert counts.h5ad -o counts.pw",
    "convert table.h5ad -o table.pw",
    # Its tiles pack the rows of their runs.
    "simulate --kind counts --cells 700 --genes 3000 --programs 3 --depth 120 --seed 4 -o shallow.h5ad",
    "convert shallow.h5ad -o shallow.pw",
    "fit counts.pw -k 3 --max-passes 3 --tol 0 -o counts.nmf.h5ad --checkpoint counts.ck --checkpoint-every 1",
)
# Files larger than this would fill the time with copies.
LARGEST = 2_000_000


@dataclass(frozen=True)
class Subject:
    """A file or folder `name` to be damaged, and the commands for it, of which one is drawn.

    `fellows` are other inputs that the commands need. `changes` says that the commands write into
    the damaged folder.
    """

    name: str
    source: pathlib.Path
    commands: tuple
    fellows: tuple = ()
    changes: bool = False


FIT = "fit {} -k 3 --max-passes 3 --tol 0 -o out.h5ad --json"


def all_subjects(inputs):
    np.save(inputs / "table.npy", np.random.default_rng(3).integers(0, 9, (500, 70)).astype(np.float32))
    files = [inputs / "counts.h5ad", inputs / "table.h5ad", inputs / "table.npy", *market(inputs)]
    shared = pathlib.Path(os.environ.get("PARTWISE_DATA", records.ROOT.parent / "shared/data"))
    files += [path for path in sorted(shared.glob("formats/*.h5ad")) if path.stat().st_size < LARGEST]
    files += sorted(shared.glob("tenx/*.h5"))
    subjects = [Subject("x" + ending(path), path, read(path)) for path in files]
    store = ("verify {}", "info {}", "export {} -o out.h5ad", FIT)
    subjects += [Subject("x.pw", inputs / name, store) for name in ("counts.pw", "table.pw", "shallow.pw")] * 2
    counts = inputs / "counts.pw"
    subjects += [
        Subject("x.nmf.h5ad", inputs / "counts.nmf.h5ad", ("info {}", FIT.format("counts.pw") + " --init {}"), (counts,)),
        Subject("x.ck", inputs / "counts.ck", (FIT.format("counts.pw") + " --checkpoint {} --resume",), (counts,), True),
    ] * 2
    return subjects


def ending(path):
    return "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix


def read(path):
    """The commands that read a file. Damaged types of features must leave none out."""
    options = " --features all" if path.suffix == ".h5" else ""
    convert = "convert {} -o out.pw --quiet" + options
    return convert, convert + " --threads 2", "info {}" + options, FIT.replace("3", "2") + " --store out.pw" + options


def market(inputs):
    """A Matrix Market file of genes × cells, plain and packed."""
    plain, packed = inputs / "market.mtx", inputs / "market.mtx.gz"
    x = sp.random(70, 500, 0.2, random_state=4, data_rvs=lambda count: np.arange(count) % 9 + 1)
    scipy.io.mmwrite(plain, x.astype(np.int64), field="integer", symmetry="general")
    packed.write_bytes(gzip.compress(plain.read_bytes(), mtime=0))
    return [plain, packed]


def copy(source, to):
    if source.is_dir():
        shutil.copytree(source, to)
    else:
        shutil.copy(source, to)
        to.chmod(0o644)
