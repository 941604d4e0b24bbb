"""Sweeps a million cells within two gibibytes, beside its forecast and beside cNMF on a hundredth of them. Only
with `--only sweep`: it takes half an hour and 10 GB of disk.

The simulated file is deleted after its conversion. A file or store that a stopped run left is used again.
"""

import shutil

from .. import clock
from .consensus import PACKAGE, SEED, Theirs, installed

CELLS, GENES, PROGRAMS, PART = 1_000_000, 20_000, 12, 10_000
QUICK = (20_000, 2_000, 6, 2_000)
KS, REPLICATES, BUDGET = (5, 6, 7, 8, 9), 20, 2 << 30
DISK = 10 << 30
# What a study would run, which is only foreseen.
WHOLE, WHOLE_REPLICATES, NODES = "5..15", 100, 8


def run(bench):
    cells, genes, programs, part = QUICK if bench.options.quick else (CELLS, GENES, PROGRAMS, PART)
    name, store, plain = f"types {cells}x{genes}", bench.folder / "sweep.pw", bench.folder / "sweep.h5ad"
    free = shutil.disk_usage(bench.folder).free
    if free < DISK and not (store.exists() or plain.exists() or bench.options.quick):
        raise clock.Failed(
            f"{bench.folder} has {free >> 30} GiB free, but {DISK >> 30} are needed: set TMPDIR or --work to another folder"
        )
    cnmf = installed(bench)
    simulate = ("simulate", "--kind", "counts", "--genes", genes, "--programs", programs, "--memory", "2G", "--force")
    if not store.exists():
        if not plain.exists():
            bench.say(f"simulating {name}")
            bench.program.run(*simulate, "--cells", cells, "-o", plain)
        _, ran = bench.program.run("convert", plain, "-o", store, "--memory", "2G", "--force")
        plain.unlink()
        bench.figure("sweep", name, "conversion", ran.wall, "s", note=f"{ran.peak >> 20} MiB")

    ask = ("-k", ",".join(map(str, KS)), "--replicates", REPLICATES, "--memory", "2G", "--threads", 2)
    planned, _ = bench.program.run("plan", store.name, *ask)
    bench.say(f"foreseen: {planned['seconds']:.0f} s, {planned['waves']} waves, {planned['peak_bytes'] >> 20} MiB")
    said, ran = bench.program.run("sweep", store.name, *ask, "-o", "sweep.sweep", "--force")
    figure = lambda what, *words, **more: bench.figure("sweep", name, what, *words, **more)
    passes = sum(row["passes"] * row["replicates"] for row in said["k"]) / said["replicates_made"]
    note = f"{said['replicates_made']} replicates of k = {KS[0]} to {KS[-1]} in {said['waves']} waves, {passes:.1f} passes each"
    figure("from the store to stability of every k", ran.wall, "s", note=f"{note}; {ran.cpu:.0f} s of processors")
    figure("peak memory", ran.peak / BUDGET, "of 2 GiB", most=1, note=f"{ran.peak >> 20} MiB")
    figure("peak memory that plan foresees", planned["peak_bytes"] / ran.peak, "x", least=1)
    figure("time that plan foresees", planned["seconds"] / ran.wall, "x", least=0.5, most=2)
    figure("reads of the full matrix, conversion included", 1 + said["passes"], "", most=3)

    whole = bench.program.run("plan", store.name, "-k", WHOLE, "--replicates", WHOLE_REPLICATES, *ask[4:], "--nodes", NODES)[0]
    figure(f"foreseen: k = {WHOLE}, {WHOLE_REPLICATES} replicates", whole["seconds"] / 3600, "h", note=f"{whole['waves']} waves")
    figure(f"the same on {NODES} such nodes", whole["seconds_on_nodes"] / 3600, "h", note="10 Gb/s between them")

    small, counts = bench.folder / "sweep-part.h5ad", bench.folder / "sweep-counts.h5ad"
    bench.program.run(*simulate, "--cells", part, "-o", small)
    clock.python("filtered", {"path": str(small), "to": str(counts)})
    theirs = Theirs(cnmf, bench, counts.name)
    theirs.step("prepare", "-c", counts.name, "-k", *KS, "--n-iter", 1, "--numgenes", 2000, "--seed", SEED)
    usual = theirs.step("factorize", "--total-workers", 1)
    _, ours = bench.program.run("sweep", counts.name, *ask[:2], "--replicates", 2, *ask[4:], "-o", "part.sweep", "--force")
    note = f"one replicate of each k, {usual.peak >> 20} MiB; partwise makes two of each in {ours.wall:.1f} s, file to stability"
    bench.figure("sweep", f"types {part}x{genes}", f"{PACKAGE} factorize", usual.wall, "s", note=note)
