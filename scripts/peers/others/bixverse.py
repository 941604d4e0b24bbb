"""Runs the sparse HALS of bixverse: fits of at most 1, 2, 4, … iterations, as `fits` describes.

The job: that of `fits`, `init` ("nndsvd", the library's default, which needs no seed, or "random")
and `tol`. RAYON_NUM_THREADS limits its threads.
"""

from ..build import BIXVERSE
from .fits import fits
from .job import job


def main():
    work = job()
    fits(work, (BIXVERSE,), work["init"], work["tol"])


if __name__ == "__main__":
    main()
