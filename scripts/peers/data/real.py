"""Counts that nobody simulated: the files in the folder `counts` of PARTWISE_DATA (default:
shared/data beside the repository)."""

import os
import pathlib
import sys
from dataclasses import dataclass

import records

from .. import clock


def folder():
    return pathlib.Path(os.environ.get("PARTWISE_DATA", records.ROOT.parent / "shared/data"))


@dataclass(frozen=True)
class Real:
    path: pathlib.Path

    @property
    def name(self):
        return self.path.stem

    @property
    def stem(self):
        return f"real-{self.path.stem}"

    def write(self, bench, path):
        """Writes the values anew, sparse by row and with gzip, so that every program reads them."""
        clock.python("rebox", {"path": str(self.path), "to": str(path)})


def real_files(word=""):
    """The files of counts with this word in their names; prints a notice if there is none."""
    found = [path for path in sorted((folder() / "counts").glob("*.h5ad")) if word in path.name]
    if not found:
        files = f"{folder() / 'counts'}/*{word}*.h5ad"
        print(f"skipped: there are no real counts {files} (set PARTWISE_DATA)", file=sys.stderr)
    return [Real(path) for path in found]
