"""Times scipy's X·Hᵀ and Xᵀ·W on CSR data in memory, f32: processor seconds, best of several.

The job: `path`, `components` (the k to try).
"""

import time

import numpy as np

from .job import job, say
from .matrix import load

REPEATS = 4


def main():
    work = job()
    x = load(work["path"])
    view, turned = x.T, x.T.tocsr()
    seconds = []
    for k in work["components"]:
        rng = np.random.default_rng(0)
        ht, w = rng.random((x.shape[1], k), np.float32), rng.random((x.shape[0], k), np.float32)
        seconds.append(best(lambda: x @ ht) + min(best(lambda: view @ w), best(lambda: turned @ w)))
    say(seconds=seconds)


def best(product):
    def once():
        began = time.process_time()
        product()
        return time.process_time() - began

    return min(once() for _ in range(REPEATS))


if __name__ == "__main__":
    main()
