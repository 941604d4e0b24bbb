"""Runs RcppML::nmf: fits of at most 1, 2, 4, … iterations from one seed, as `fits` describes.

The job: that of `fits`, `tol` and `threads` (0: all).
"""

import pathlib

from .fits import fits
from .job import job

SCRIPT = pathlib.Path(__file__).with_name("rcppml.R")


def main():
    work = job()
    fits(work, ("Rscript", SCRIPT), work["threads"], work["tol"])


if __name__ == "__main__":
    main()
