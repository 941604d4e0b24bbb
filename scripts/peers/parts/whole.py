"""Compares the whole way, from a gzip h5ad file to a result written, after a race.

Both programs get the number of passes or iterations that reached the lowest error + 0.1 % in the
race. Of partwise's three seeds the one in the middle counts.
"""

import math
import statistics

from .. import clock
from .race import TARGET_SIZE

ROUNDS = 3


def run(bench):
    if not bench.races:
        bench.say("skipped: the race was not run, so the number of passes is not known")
    for data in bench.options.data:
        name, packed, _ = bench.ready(data)
        if packed in bench.races:
            size = (getattr(data, "cells", 0), getattr(data, "genes", 0), bench.options.k)
            least = data.over_cd_whole if size == TARGET_SIZE else None
            compare(bench, name, packed, bench.races[packed], least)


def compare(bench, name, packed, race, least):
    who, seed = race.fastest("scikit-learn CD"), race.middle
    bench.say(f"from gzip h5ad to a result: partwise, then anndata + {who}")
    fit, runs = partwise(bench, packed, seed, race.ours[seed].steps_to(race.wanted))
    theirs = scikit(bench, packed, who, race.found[who].steps_to(race.wanted))
    error = bench.judge(packed, "theirs.h5ad")
    mine = statistics.median(ran.wall for ran in runs)
    note = f"{mine:.2f} s to {fit.said['relative_error']:.5f}, {who} {theirs.wall:.1f} s to {error:.5f}"
    late = [
        label
        for label, trace in (("partwise", race.ours[seed]), ("scikit-learn", race.found[who]))
        if math.isinf(trace.time_to(race.wanted, race.best))
    ]
    if late:
        note += f"; not to the same error: {' and '.join(late)} did not get there"
    what = "gzip h5ad to result, faster than anndata + scikit-learn"
    bench.figure("whole", name, what, theirs.wall / mine, least=least, note=note)
    peak = max(ran.peak for ran in runs)
    note = f"{peak >> 20} MiB, theirs {theirs.peak >> 20} MiB"
    bench.figure("whole", name, "the same, peak memory", peak / theirs.peak, most=0.25 if least else None, note=note)


def partwise(bench, packed, seed, passes):
    # A fit that may read the data once only starts at random, also where the store keeps a sample.
    passes = max(passes, 2)
    runs, options = [], ("--seed", seed, "--tol", 0, "--max-passes", passes, "--store", "fresh.pw")
    for _ in range(1 if bench.options.quick else ROUNDS):
        fit = bench.program.fit(packed, bench.options.k, *options, name="whole")
        runs.append(fit.ran)
        clock.run(["rm", "-r", bench.folder / "fresh.pw"])
    bench.check(packed, "whole.h5ad", fit.said["relative_error"])
    return fit, runs


def scikit(bench, packed, who, iterations):
    job = {
        "path": str(bench.folder / packed),
        "result": str(bench.folder / "theirs.h5ad"),
        "k": bench.options.k,
        "seed": 0,
        "init": "random" if "," not in who else None,
        "iterations": iterations,
    }
    return clock.alone("whole", job)
