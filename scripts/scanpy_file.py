"""Prints the path of the blood cells that the package scanpy ships.

The exit status is 1 if scanpy is not installed.
"""

import importlib.util
import pathlib
import sys

package = importlib.util.find_spec("scanpy")
if package is None:
    sys.exit(1)
print(pathlib.Path(package.origin).parent / "datasets" / "10x_pbmc68k_reduced.h5ad")
