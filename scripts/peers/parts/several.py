"""Compares the fits of ten k in one command with ten commands, one after another.

Both begin at the store on disk and end at ten results. A round runs both, so that a slow minute of
the machine meets both.
"""

import statistics

FROM, TO = 5, 14
ROUNDS = 3


def run(bench):
    for data in bench.options.data[:2]:
        compare(bench, data)


def compare(bench, data):
    name, _, store = bench.ready(data)
    ratios, seconds, reads = [], [], []
    for _ in range(1 if bench.options.quick else ROUNDS):
        said, ran = bench.program.run("fit", store, "-k", f"{FROM}..{TO}", "-o", "several", "--force")
        apart = [bench.program.fit(store, k, planned=False) for k in range(FROM, TO + 1)]
        alone = sum(fit.ran.wall for fit in apart)
        ratios.append(ran.wall / alone)
        seconds.append((ran.wall, alone))
        reads.append((max(fit["passes"] for fit in said["fits"]), sum(len(fit.rows) for fit in apart)))
    middle = ratios.index(statistics.median_low(ratios))
    note = "{:.2f} s, one by one {:.2f} s; ".format(*seconds[middle]) + "{} passes, {}".format(*reads[middle])
    bench.figure(
        "several", name, f"k = {FROM}..{TO} together, of one by one", ratios[middle], most=0.5, note=note
    )
