"""Projects fits on 16 and 64 threads from timelines of one thread, and on two threads, which it checks.

The data are those of `large`, where fits should keep many threads busy, and the first of the others. Runs of one
thread and of two take turns; of each stage, the least time counts. While one thread runs, passes of another process
keep the second core at work, so that memory, caches and clocks are those of a busy machine.
"""

import contextlib
import subprocess

import timelines

from .. import clock
from . import large

ROUNDS = 3
# Threads, and the part of the ideal that a pass and a fit should keep on 2,400,000 cells.
PROJECTED = {16: (0.85, 0.6), 64: (0.7, 0.4)}
# How far the projection may be from what is seen.
NEAR = 0.05


def run(bench):
    name, _, store = bench.ready(bench.options.data[0])
    project(bench, name, store, is_large=False)
    project(bench, *large.ready(bench), is_large=True)


def project(bench, name, store, is_large):
    seen = {1: [], 2: []}
    for turn in range(ROUNDS):
        for threads, runs in seen.items():
            path = bench.folder / f"replay.{threads}.{turn}.json"
            options = ("--threads", threads, "--timeline", path)
            with company(bench, store) if threads == 1 else contextlib.nullcontext():
                bench.program.fit(store, bench.options.k, *options, name="replay", planned=False)
            runs.append(timelines.read(path))
    one, two = timelines.least(seen[1]), timelines.least(seen[2])
    off = one.on(2) / two.seen()
    note = f"seen {two.seen():.3f} s, one thread {one.on(1):.3f} s"
    bench.figure("replay", name, "2 threads, projected / seen", off, least=1 - NEAR, most=1 + NEAR, note=note)
    bench.figure("replay", name, "2 threads, part of the ideal, seen", one.on(1) / 2 / two.seen())
    for threads, (of_pass, of_fit) in PROJECTED.items():
        alone, many = timelines.of_pass(one, 1), timelines.of_pass(one, threads)
        figure(bench, name, threads, "a pass", alone / threads / many, of_pass if is_large else None, many)
        whole = one.on(threads)
        figure(bench, name, threads, "a fit", one.on(1) / threads / whole, of_fit if is_large else None, whole)
        most = ", ".join(f"{stage} {100 * lost / whole:.1f} %" for stage, lost in one.lost(threads)[:5])
        bench.say(f"    {threads} threads lose by {most}")


@contextlib.contextmanager
def company(bench, store):
    """Passes of one thread beside what is done meanwhile."""
    fit = ("fit", store, "-k", bench.options.k, "--threads", 1, "--init", "random", "--tol", 0, "--max-passes", 10_000)
    command = [bench.program.binary, *fit, "--solver", "hals", "-o", "company.h5ad", "--force"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    beside = subprocess.Popen([str(word) for word in command], cwd=bench.folder, **quiet)
    try:
        yield
        if beside.poll() is not None:
            raise clock.Failed(f"the passes beside it have ended with {beside.returncode}")
    finally:
        beside.kill()
        beside.wait()


def figure(bench, name, threads, what, part, least, seconds):
    bench.figure(
        "replay",
        name,
        f"{threads} threads, {what}, part of the ideal",
        part,
        least=least,
        note=f"a projection: {seconds:.3f} s",
    )
