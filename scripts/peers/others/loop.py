"""Lee and Seung's updates in numpy, as in a notebook: H first, products in the order of the
formula.

The job: `path`, `k`, `passes`.
"""

import time

import numpy as np

from .job import job, say
from .matrix import RelativeError, load


def update_h(w, h, x):
    return np.multiply(h, np.multiply(np.dot(w.transpose(), x), 1 / np.dot(np.dot(w.transpose(), w), h)))


def update_w(w, h, x):
    return np.multiply(w, np.multiply(x.dot(h.T), 1 / w.dot(h).dot(h.T)))


def main():
    work = job()
    scaled = load(work["path"], "std")
    seconds = {}
    for kind in ("f64", "f32"):
        rng, x = np.random.default_rng(0), scaled.astype(kind[0] + str(int(kind[1:]) // 8))
        w = rng.uniform(0, 1, (x.shape[0], work["k"])).astype(x.dtype)
        h = rng.uniform(0, 1, (work["k"], x.shape[1])).astype(x.dtype)
        began = time.perf_counter()
        for _ in range(work["passes"]):
            h = update_h(w, h, x)
            w = update_w(w, h, x)
        seconds[kind] = time.perf_counter() - began
    say(seconds=seconds, error=RelativeError(scaled)(w, h))


if __name__ == "__main__":
    main()
