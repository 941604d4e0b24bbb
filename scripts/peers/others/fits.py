"""Runs a program that takes no factors and has no callback: fits of at most 1, 2, 4, … iterations
from one start, each timed in the program and judged here. The last is the one that the program's
own rule ends.

The program gets FOLDER CELLS GENES k SEED and settings of its own. It reads the matrix from the
folder, answers "ready", and takes a limit of iterations a line. After each fit it leaves `usages`
and `spectra` in the folder, by rows, and answers with the seconds of the fit, its peak in kB, and
the number of iterations. The times leave out the transfer of the matrix.

The job: `path`, `k`, `seed`, `limit` (seconds; a fit that would take longer is not begun), and
`folder` for the matrix as raw bytes.
"""

import pathlib
import subprocess

import numpy as np

from .job import LIMIT, RULE, say
from .matrix import RelativeError, load


def fits(work, command, *settings):
    folder, k = pathlib.Path(work["folder"]), work["k"]
    x = load(work["path"])
    x.sort_indices()
    error = RelativeError(x)
    for name, array, kind in (("p", x.indptr, np.int32), ("i", x.indices, np.int32), ("x", x.data, np.float32)):
        array.astype(kind, copy=False).tofile(folder / name)
    arguments = map(str, (*command, folder, *x.shape, k, work["seed"], *settings))
    program = subprocess.Popen(list(arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert program.stdout.readline() == "ready\n", f"{command[0]} did not start"
    iterations, peak = 1, 0
    while True:
        program.stdin.write(f"{iterations}\n")
        program.stdin.flush()
        seconds, kilobytes, done = map(float, program.stdout.readline().split())
        w = np.fromfile(folder / "usages").reshape(x.shape[0], k)
        h = np.fromfile(folder / "spectra").reshape(k, x.shape[1])
        peak = int(kilobytes) << 10
        say(step=int(done), seconds=seconds, error=error(w, h))
        by_rule = done < iterations
        if by_rule or 2 * seconds > work["limit"]:
            break
        iterations *= 2
    program.stdin.close()
    program.wait()
    say(peak=peak, end=RULE if by_rule else LIMIT)
