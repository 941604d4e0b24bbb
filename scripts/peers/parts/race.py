"""Compares the times of partwise, scikit-learn, RcppML and bixverse to the same error, on the same
counts.

Every program runs to its own end: the rule of its own tolerance stops it, or the limit of time
(`--limit`). No program's end depends on another program. The target error is the lowest that any of
them found at any point, plus 0.1 %, plus 1 % and plus 0.01 %. Times to it are read off each
program's error against time.

scikit-learn has its default tolerances. partwise, RcppML and bixverse end early by theirs (RcppML
after some ten iterations, far above the target; bixverse at times above it), so they get smaller
ones; other figures state where partwise's default ends, and in how many reads it comes close. The
tolerance of bixverse is near the resolution of its objective, which is an f32.

Peers have the data in memory when their clock starts, bixverse in both orders that it reads;
partwise starts as a process on its store. First each program has all threads, then one.
"""

import math
import statistics
from dataclasses import dataclass

from .. import clock

SEEDS = range(3)
LONG = ("--tol", "1e-6", "--max-passes", 60)
CLOSE = 0.0001
WITHIN = (0.001, 0.01, CLOSE)
# Name, module of `others`, settings, and threads if there are no limits.
PEERS = (
    ("scikit-learn CD", "scikit", {"solver": "cd", "init": "random"}, "1 thread, BLAS all"),
    ("scikit-learn CD, its default start", "scikit", {"solver": "cd", "init": None}, "1 thread, BLAS all"),
    ("scikit-learn MiniBatchNMF", "scikit", {"solver": "minibatch", "init": None}, "1 thread, BLAS all"),
    ("RcppML", "rcppml", {"tol": 1e-8}, "OpenMP, all"),
    ("bixverse", "bixverse", {"tol": 1e-7, "init": "random"}, "rayon, all"),
    ("bixverse, its default start", "bixverse", {"tol": 1e-7, "init": "nndsvd"}, "rayon, all"),
)
# Factors that times to the lowest error + 0.1 % should reach, for this many cells, genes and k; that
# over coordinate descent depends on how many iterations the data need.
TARGETS = {"scikit-learn CD": None, "RcppML": 20, "bixverse": 30}
TARGET_SIZE = (50_000, 20_000, 20)
# Reads of data of that size in which default settings should come close to the lowest error.
MOST_READS = 4


@dataclass
class Race:
    """The traces of a race: partwise by seed, peers by name, and the lowest error known."""

    ours: list
    found: dict
    best: float = math.inf

    def __post_init__(self):
        self.best = min(self.best, *(trace.best for trace in (*self.ours, *self.found.values())))

    @property
    def wanted(self):
        return self.best * (1 + WITHIN[0])

    @property
    def middle(self):
        """The seed of partwise whose time is in the middle."""
        return sorted(SEEDS, key=lambda seed: self.ours[seed].time_to(self.wanted, self.best))[len(SEEDS) // 2]

    def fastest(self, who):
        """The name of the trace of this peer, of any start, that is first at the target; the lowest
        one if none gets there."""
        names = [name for name in self.found if name.split(",")[0] == who]
        return min(names, key=lambda name: (self.found[name].time_to(self.wanted, self.best), self.found[name].best))


def run(bench):
    for data in bench.options.data:
        name, packed, store = bench.ready(data)
        race = Race(partwise(bench, store, packed), peers(bench, packed))
        alone = single(bench, store, packed, race)
        best = race.best = alone.best
        bench.races[packed], bench.best[name] = race, best
        traces = [trace for each in (race, alone) for trace in (each.ours[each.middle], *each.found.values())]
        bench.traces[name] = traces
        note = next((trace.who for trace in traces if trace.best == best), "partwise, another seed")
        bench.figure("race", name, "lowest relative error known", best, "", note=note)
        defaults(bench, data, store, race)
        ends(bench, name, race)
        for within in WITHIN:
            compare(bench, data, race, within, "")
        compare(bench, data, alone, WITHIN[0], ", one thread each")
        # A process that was stopped long after its limit did not report its peak.
        for trace in filter(lambda trace: trace.peak, traces):
            bench.figure("race", name, f"peak memory of {trace.who}", trace.peak / 2**20, "MiB", note=trace.threads)


def partwise(bench, store, packed, *options, who="partwise"):
    """Traces from three seeds."""
    ours = []
    for seed in SEEDS:
        fit = bench.program.fit(store, bench.options.k, "--seed", seed, *LONG, *options)
        if not options:
            bench.check(packed, "result.h5ad", fit.said["relative_error"])
        ours.append(fit.trace(who))
        first, last = ours[-1].points[0], ours[-1].points[-1]
        bench.say(f"    {who} {first[1]:.6f} at {first[0]:.2f} s, {last[1]:.6f} at {last[0]:.2f} s (pass {last[2]})")
    return ours


def peers(bench, packed):
    """The trace of each peer by its name."""
    return {
        who: bench.peer(who, module, label, **job(bench, packed, settings))
        for who, module, settings, label in PEERS
        if getattr(bench.options, settings.get("solver", module), True)
    }


def single(bench, store, packed, race):
    """The same with one thread each; of each peer with a target the start that was fastest."""
    ours, found = partwise(bench, store, packed, "--threads", 1, who="partwise, 1 thread"), {}
    if [trace.errors for trace in ours] != [trace.errors for trace in race.ours]:
        raise clock.Failed("partwise has other errors with one thread")
    chosen = {race.fastest(who) for who in TARGETS if who in race.found}
    for who, module, settings, _ in PEERS:
        if who in chosen:
            name = f"{who}, 1 thread"
            found[name] = bench.peer(name, module, "1 thread", threads=1, **job(bench, packed, settings))
    return Race(ours, found, race.best)


def job(bench, packed, settings):
    return dict(path=packed, scale="none", k=bench.options.k, seed=0, folder=str(bench.folder), **settings)


def defaults(bench, data, store, race):
    """How far above the lowest error partwise ends with its default settings, from the worst of three
    seeds, and how many reads of the data it takes to come close."""
    traces = [bench.program.fit(store, bench.options.k, "--seed", seed).trace("partwise") for seed in SEEDS]
    seconds, error, passes = max((trace.points[-1] for trace in traces), key=lambda point: point[1])
    note = f"the highest of three seeds, after {passes} reads, {seconds:.2f} s"
    excess = 100 * (error / race.best - 1)
    bench.figure("race", data.name, "partwise by itself stops above best by", excess, "%", note=note)
    close = race.best * (1 + CLOSE)
    reads = max(trace.steps_to(close) if trace.best <= close else math.inf for trace in traces)
    note = "the most of three seeds; the read of the sample counts"
    most = MOST_READS if size(bench, data) == TARGET_SIZE else None
    bench.figure("race", data.name, f"partwise by itself to best + {100 * CLOSE:g}%", reads, "reads", most=most, note=note)


def ends(bench, name, race):
    """How far above the lowest error each peer ends."""
    for who, trace in race.found.items():
        if trace.points:
            excess = 100 * (trace.points[-1][1] / race.best - 1)
            bench.figure("race", name, f"{who} ends above best by", excess, "%", note=trace.ending())


def size(bench, data):
    return (getattr(data, "cells", 0), getattr(data, "genes", 0), bench.options.k)


def compare(bench, data, race, within, how):
    """Ratios of the times to within this part of the best; for a peer that does not reach it, its
    whole time counts, and the ratio is 0 if partwise does not reach it."""
    name, wanted = data.name, race.best * (1 + within)
    targets = {}
    if within == WITHIN[0] and not how and size(bench, data) == TARGET_SIZE:
        targets = {**TARGETS, "scikit-learn CD": data.over_cd}
    mine = statistics.median(trace.time_to(wanted, race.best) for trace in race.ours)
    there = sum(math.isfinite(trace.time_to(wanted, race.best)) for trace in race.ours)
    note = "median of three seeds" if there == len(SEEDS) else f"{there} of {len(SEEDS)} seeds get there"
    bench.figure("race", name, f"partwise to best + {100 * within:g}%{how}", mine, "s", note=note)
    for who in ("scikit-learn CD", "scikit-learn MiniBatchNMF", "RcppML", "bixverse"):
        traces = [trace for key, trace in race.found.items() if key.split(",")[0] == who]
        if not traces:
            continue
        theirs = min(trace.time_to(wanted, race.best) for trace in traces)
        note = f"{theirs:.1f} s"
        if math.isinf(theirs):
            longest = max(traces, key=lambda trace: trace.last)
            theirs, above = longest.last, min(trace.best for trace in traces) / race.best - 1
            note = f"not reached: {above:.2%} above, {longest.ending()}"
        ratio = theirs / mine if math.isfinite(mine) else 0.0
        what = f"to best + {100 * within:g}%{how}, faster than {who}"
        bench.figure("race", name, what, ratio, least=targets.get(who), note=note)
