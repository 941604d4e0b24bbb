"""Runs RcppML::nmf: fits of at most 1, 2, 4, … iterations from one seed, each timed in R and judged
here. The last is the one that the package's own rule ends.

The job: `path`, `k`, `seed`, `tol`, `limit` (seconds; a fit that would take longer is not begun),
`threads` (0: all), `folder` for the matrix as raw bytes. The times leave out the transfer of the
matrix.
"""

import pathlib
import subprocess

import numpy as np

from .job import LIMIT, RULE, job, say
from .matrix import RelativeError, load

SCRIPT = pathlib.Path(__file__).with_name("rcppml.R")


def main():
    work = job()
    folder, k = pathlib.Path(work["folder"]), work["k"]
    x = load(work["path"])
    x.sort_indices()
    error = RelativeError(x)
    for name, array, kind in (("p", x.indptr, np.int32), ("i", x.indices, np.int32), ("x", x.data, np.float32)):
        array.astype(kind, copy=False).tofile(folder / name)
    arguments = (folder, *x.shape, k, work["seed"], work["threads"], work["tol"])
    r = subprocess.Popen(
        ["Rscript", SCRIPT, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert r.stdout.readline() == "ready\n", "R did not start"
    iterations, peak = 1, 0
    while True:
        r.stdin.write(f"{iterations}\n")
        r.stdin.flush()
        seconds, kilobytes, done = map(float, r.stdout.readline().split())
        w = np.fromfile(folder / "usages").reshape(x.shape[0], k)
        h = np.fromfile(folder / "spectra").reshape(k, x.shape[1])
        peak = int(kilobytes) << 10
        say(step=int(done), seconds=seconds, error=error(w, h))
        by_rule = done < iterations
        if by_rule or 2 * seconds > work["limit"]:
            break
        iterations *= 2
    r.stdin.close()
    r.wait()
    say(peak=peak, end=RULE if by_rule else LIMIT)


if __name__ == "__main__":
    main()
