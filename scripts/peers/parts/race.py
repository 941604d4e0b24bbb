"""Compares the times of partwise, scikit-learn and RcppML to the same error, on the same simulated
counts.

Peers have the data in memory when their clock starts; partwise starts as a process on its store.
The target error is the lowest that any program found plus 0.1 and plus 1 %. No program's own rule
to stop is used, neither partwise's nor a peer's; another figure states where partwise stops by
itself.

Then the whole way, from a gzip h5ad file to a result written: both programs get the number of
passes or iterations that reaches the lowest + 0.1 %. Of partwise's three seeds the one in the
middle counts.
"""

import math
import statistics

from .. import clock

SEEDS = range(3)
LONG = ("--tol", "1e-6", "--max-passes", 60)
WITHIN = (0.001, 0.01)
# Peers stop a little below the target, so that the time to it lies between two points.
FAR_ENOUGH = 1.0005


def run(bench):
    for planted in bench.options.data:
        name, packed, store = bench.counts(planted)
        ours = partwise(bench, store, packed)
        found = peers(bench, packed, min(trace.best for trace in ours))
        best = min(trace.best for trace in (*ours, *found.values()))
        middle = sorted(SEEDS, key=lambda seed: ours[seed].time_to(best * (1 + WITHIN[0]), best))[len(SEEDS) // 2]
        bench.best[name], bench.traces[name] = best, [ours[middle], *found.values()]
        bench.figure("race", name, "lowest relative error known", best, "")
        usual(bench, name, store, best)
        for within in WITHIN:
            compare(bench, name, ours, found, best, within)
        whole(bench, name, packed, (middle, ours[middle]), found, best)
        for trace in bench.traces[name]:
            bench.figure("race", name, f"peak memory of {trace.who}", trace.peak / 2**20, "MiB", note=trace.threads)


def partwise(bench, store, packed):
    """Traces from three seeds."""
    ours = []
    for seed in SEEDS:
        fit = bench.program.fit(store, bench.options.k, "--seed", seed, *LONG)
        check(bench, packed, "result.h5ad", fit.said["relative_error"])
        ours.append(fit.trace("partwise"))
        first, last = ours[-1].points[0], ours[-1].points[-1]
        bench.say(f"    partwise {first[1]:.6f} at {first[0]:.2f} s, {last[1]:.6f} at {last[0]:.2f} s (pass {last[2]})")
    return ours


def usual(bench, name, store, best):
    """The error at which the default settings stop."""
    trace = bench.program.fit(store, bench.options.k, "--seed", SEEDS[0]).trace("partwise")
    seconds, error, passes = trace.points[-1]
    note = f"after {passes} passes, {seconds:.2f} s"
    bench.figure("race", name, "partwise by itself stops above best by", 100 * (error / best - 1), "%", note=note)


def check(bench, packed, result, claimed):
    """Checks the error that a result claims, by the function that judges all."""
    error = judge(bench, packed, result)
    if abs(error - claimed) > 1e-5:
        raise clock.Failed(f"partwise reports the error {claimed}, but its result has {error}")


def judge(bench, packed, result):
    job = {"path": str(bench.folder / packed), "scale": "none", "result": str(bench.folder / result)}
    return clock.python("judge", job)["error"]


def peers(bench, packed, low):
    options = bench.options
    common = dict(path=packed, scale="none", k=options.k, seed=0, stop_at=low * FAR_ENOUGH, limit=options.limit)
    libraries = "1 thread, BLAS all"
    found = {}
    for who, module, job in (
        ("scikit-learn CD", "scikit", dict(solver="cd", init="random")),
        ("scikit-learn CD, its default start", "scikit", dict(solver="cd", init=None)),
        ("scikit-learn MiniBatchNMF", "scikit", dict(solver="minibatch", init=None)),
        ("RcppML", "rcppml", dict(folder=str(bench.folder))),
    ):
        if module == "rcppml" and not options.rcppml:
            continue
        threads = libraries if module == "scikit" else "OpenMP, all"
        found[who] = bench.peer(who, module, threads=threads, **common, **job)
    return found


def compare(bench, name, ours, found, best, within):
    """Ratios of the times to within this part of the best; for a peer that does not reach it, its
    whole time counts."""
    wanted, targets = best * (1 + within), {"scikit-learn CD": 30, "RcppML": 20} if within == WITHIN[0] else {}
    mine = statistics.median(trace.time_to(wanted, best) for trace in ours)
    bench.figure("race", name, f"partwise to best + {within:.1%}", mine, "s", note="median of three seeds")
    for who in ("scikit-learn CD", "scikit-learn MiniBatchNMF", "RcppML"):
        traces = [trace for key, trace in found.items() if key.split(",")[0] == who]
        if not traces:
            continue
        theirs = min(trace.time_to(wanted, best) for trace in traces)
        note = f"{theirs:.1f} s"
        if math.isinf(theirs):
            theirs = max(trace.last for trace in traces)
            note = f"at least: {theirs:.0f} s and still {min(t.best for t in traces) / best - 1:.2%} above"
        ratio = theirs / mine if math.isfinite(mine) else 0.0
        bench.figure(
            "race", name, f"to best + {within:.1%}, faster than {who}", ratio, least=targets.get(who), note=note
        )


def whole(bench, name, packed, seed_and_trace, found, best):
    seed, ours = seed_and_trace
    wanted = best * (1 + WITHIN[0])
    who = min((key for key in found if "CD" in key), key=lambda key: found[key].time_to(wanted, best))
    reached = math.isfinite(found[who].time_to(wanted, best)), math.isfinite(ours.time_to(wanted, best))
    bench.say(f"from gzip h5ad to a result: partwise, then anndata + {who}")
    passes, runs = ours.steps_to(wanted), []
    for _ in range(3):
        options = ("--seed", seed, "--tol", 0, "--max-passes", passes, "--store", "fresh.pw")
        fit = bench.program.fit(packed, bench.options.k, *options, name="whole")
        runs.append(fit.ran)
        clock.run(["rm", "-r", bench.folder / "fresh.pw"])
    check(bench, packed, "whole.h5ad", fit.said["relative_error"])
    job = {
        "path": str(bench.folder / packed),
        "result": str(bench.folder / "theirs.h5ad"),
        "k": bench.options.k,
        "seed": 0,
        "init": "random" if "," not in who else None,
        "iterations": found[who].steps_to(wanted),
    }
    theirs = clock.alone("whole", job)
    error = judge(bench, packed, "theirs.h5ad")
    mine = statistics.median(ran.wall for ran in runs)
    note = f"{mine:.2f} s to {fit.said['relative_error']:.5f}, {who} {theirs.wall:.1f} s to {error:.5f}"
    if not all(reached):
        note += "; not to the same error: " + ("partwise" if reached[0] else "scikit-learn") + " does not get there"
    bench.figure(
        "race", name, "gzip h5ad to result, faster than anndata + scikit-learn", theirs.wall / mine, least=12, note=note
    )
    peak = max(ran.peak for ran in runs)
    bench.figure(
        "race",
        name,
        "the same, peak memory",
        peak / theirs.peak,
        most=0.25,
        note=f"{peak >> 20} MiB, theirs {theirs.peak >> 20} MiB",
    )
