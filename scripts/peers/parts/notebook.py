"""Compares with Lee and Seung's updates in numpy, and with scikit-learn, on data as small as a
notebook's.

Dense 5,000 × 1,000 (clusters with noise as large as themselves), genes divided by their standard
deviation, k = 4. The loop is the notebook's, with its order of products, but without the error that
a notebook computes every time. The faster of f64 and f32 counts.
"""

import math

from .. import clock
from ..data.clusters import Clusters

K = 4
PASSES = 100
ROUNDS = 3


def run(bench):
    name, plain, store = bench.ready(Clusters(1000 if bench.options.quick else 5000, 1000))
    job = {"path": str(bench.folder / plain), "k": K, "passes": PASSES}
    ours, total, theirs = math.inf, math.inf, {}
    for _ in range(ROUNDS):
        fit = bench.program.fit(store, K, "--solver", "mu", "--scale", "std", "--max-passes", PASSES, "--tol", 0)
        assert len(fit.rows) == PASSES, "--tol 0 never stops early"
        ours, total = min(ours, sum(fit.pass_seconds())), min(total, fit.ran.wall)
        said = clock.python("loop", job)
        theirs = {kind: min(theirs.get(kind, math.inf), seconds) for kind, seconds in said["seconds"].items()}
    kind = min(theirs, key=theirs.get)
    note = f"{ours:.3f} s, numpy in {kind} {theirs[kind]:.3f} s (f64 {theirs['f64']:.3f} s)"
    note += f"; errors {fit.said['relative_error']:.4f} and {said['error']:.4f}"
    bench.figure(
        "notebook", name, f"{PASSES} MU passes, faster than the numpy loop", theirs[kind] / ours, least=3, note=note
    )
    bench.figure(
        "notebook",
        name,
        "the same, whole process counted for partwise only",
        theirs[kind] / total,
        note=f"{total:.3f} s from start to result written",
    )
    against_scikit(bench, name, plain, store)


def against_scikit(bench, name, plain, store):
    fits = [bench.program.fit(store, K, "--scale", "std", *more) for more in ((), ("--tol", "1e-7"))]
    ours, long = (fit.trace("partwise") for fit in fits)
    common = dict(path=plain, scale="std", k=K, seed=0)
    found = [
        bench.peer("scikit-learn CD", "scikit", "BLAS, all", **common, solver="cd", init="random"),
        bench.peer("scikit-learn CD, its default start", "scikit", "BLAS, all", **common, solver="cd", init=None),
    ]
    best = min(trace.best for trace in (ours, long, *found))
    bench.best[name], bench.traces[name] = best, [ours, *found]
    mine, theirs = ours.time_to(best * 1.001, best), min(trace.time_to(best * 1.001, best) for trace in found)
    if math.isinf(theirs):
        theirs = max(trace.last for trace in found)
    started = min(ours.points[0][0], mine)
    bench.figure(
        "notebook",
        name,
        "to best + 0.1%, faster than scikit-learn CD",
        theirs / mine if math.isfinite(mine) else 0.0,
        least=1,
        note=f"{mine:.3f} s from the start of the process (first pass done at {started:.3f} s), scikit-learn {theirs:.3f} s",
    )
