"""Runs the program through its command line, and finds the real files.

PARTWISE_BIN names the program (default: target/release/partwise). PARTWISE_DATA names a folder of
real files (default: the folder shared/data beside the repository); without it, tests of real files
are skipped with a message.
"""

import json
import os
import pathlib
import subprocess
import warnings

import anndata
import numpy as np
import pytest

warnings.filterwarnings("ignore", category=FutureWarning, module="anndata")

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def pytest_configure(config):
    config.addinivalue_line("markers", "long: takes minutes; scripts/test leaves it to scripts/test-long")


class Program:
    """Runs `partwise` in a folder of its own."""

    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder

    def path(self, name):
        return self.folder / name

    def run(self, *arguments):
        command = [self.binary, *map(str, arguments)]
        return subprocess.run(command, cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)

    def json(self, *arguments):
        ran = self.run(*arguments, "--json")
        assert ran.returncode == 0, f"partwise {' '.join(map(str, arguments))}\n{ran.stderr}"
        return json.loads(ran.stdout)

    def export(self, source, *options):
        """The matrix of `source` after its way through a store, as an AnnData object."""
        self.json("convert", source, *options, "-o", "there.pw", "--force")
        self.json("export", "there.pw", "-o", "back.h5ad", "--force")
        return anndata.read_h5ad(self.path("back.h5ad"))

    def fit(self, source, k, *options):
        """The JSON of a fit, and its result."""
        said = self.json("fit", source, "-k", k, *options, "-o", "result.h5ad", "--force")
        return said, Result(self.path("result.h5ad"))


class Result:
    """A result file, with W (cells × k) and H (k × genes) in f64."""

    def __init__(self, path):
        self.file = anndata.read_h5ad(path)
        self.w = np.asarray(self.file.obsm["X_nmf"], np.float64)
        self.h = np.asarray(self.file.varm["spectra"], np.float64).T

    def relative_error(self, x):
        """‖X − WH‖ / ‖X‖ for a dense or sparse X."""
        return relative_error(x, self.w, self.h)


def relative_error(x, w, h):
    """‖X − WH‖ / ‖X‖ by the sums that need no dense product."""
    square = float((x.multiply(x) if hasattr(x, "multiply") else x * x).sum())
    cross = float(np.sum((x @ h.T) * w))
    model = float(np.sum((w.T @ w) * (h @ h.T)))
    return (max(square - 2 * cross + model, 0.0) / square) ** 0.5


def program(folder):
    """The program, run in `folder`."""
    binary = pathlib.Path(os.environ.get("PARTWISE_BIN", REPOSITORY / "target/release/partwise")).resolve()
    assert binary.exists(), f"no program {binary}: run cargo build --release, or set PARTWISE_BIN"
    return Program(binary, folder)


@pytest.fixture
def partwise(tmp_path):
    return program(tmp_path)


@pytest.fixture
def counts(partwise):
    """A file of simulated counts: 3,000 cells × 800 genes."""
    partwise.json("simulate", "--kind", "counts", "--cells", 3000, "--genes", 800, "--programs", 5, "--depth", 400, "-o", "counts.h5ad")
    return partwise.path("counts.h5ad")


@pytest.fixture
def real():
    """Gives the path of a real file, or skips the test if the file is missing."""
    folder = pathlib.Path(os.environ.get("PARTWISE_DATA", REPOSITORY.parent / "shared/data")).resolve()

    def path(name):
        if not (folder / name).exists():
            pytest.skip(f"no real file {folder / name} (set PARTWISE_DATA)")
        return folder / name

    return path
