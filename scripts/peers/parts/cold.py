"""Compares a pass over a store that is not in the page cache with the larger of a bare read and a
pass over a warm one.

It drops only the store's pages: otherwise the pass would also read the program's own code. It drops
them only from this system's cache: under a virtual machine the host may still hold them.
"""

import os
import time

from ..data.clusters import Clusters

ROUNDS = 3
PIECE = 4 << 20


def run(bench):
    quick = bench.options.quick
    for data in (bench.options.data[0], Clusters(4000 if quick else 20_000, 2000)):
        name, _, store = bench.ready(data)
        files = sorted(file for file in (bench.folder / store).iterdir() if file.is_file())
        blocks = [file for file in files if file.suffix == ".bin"]
        bare, warm, cold = ([] for _ in range(3))
        for _ in range(ROUNDS):
            drop(files)
            bare.append(read(blocks))
            for _ in range(2):
                drop(files)
                cold.append(first_pass(bench, store))
                # The run before has read everything.
                warm.append(first_pass(bench, store))
        limit = max(min(bare), min(warm))
        note = f"cold {min(cold):.3f} s, warm {min(warm):.3f} s, bare read {min(bare):.3f} s"
        bench.figure(
            "cold", name, "cold pass, of the larger of bare read and warm pass", min(cold) / limit, most=1.15, note=note
        )


def first_pass(bench, store):
    options = ("--solver", "hals", "--init", "random", "--tol", 0, "--max-passes", 1)
    return bench.program.fit(store, bench.options.k, *options).pass_seconds()[0]


def drop(files):
    """Drops the files from the page cache."""
    os.sync()
    for file in files:
        with open(file, "rb") as opened:
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read(files):
    """Seconds to read every byte, one piece after the other into the same buffer."""
    buffer, began = bytearray(PIECE), time.perf_counter()
    for file in files:
        with open(file, "rb", buffering=0) as opened:
            while opened.readinto(buffer):
                pass
    return time.perf_counter() - began
