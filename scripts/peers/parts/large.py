"""Converts and fits 2,400,000 cells, more than 2³¹ nonzeros, within a gibibyte. Only with
`--large`.

It needs some 25 GB of disk: the simulated file is not compressed, and is deleted after its
conversion. A file that a stopped run left is used again.
"""

import shutil

from .. import clock

CELLS, GENES, PROGRAMS, K = 2_400_000, 20_000, 20, 20
BUDGET = 1 << 30
DISK = 26 << 30


def run(bench):
    name, store = ready(bench)
    said, _ = bench.program.run("info", store)
    if said["nonzeros"] <= 1 << 31:
        raise clock.Failed(f"{said['nonzeros']:,} nonzeros are not more than 2^31")
    bench.figure("large", name, "nonzeros", said["nonzeros"] / 2**31, "x 2^31", least=1)
    fit = bench.program.fit(store, K, "--memory", "1G", name="large")
    about(bench, name, "fit", fit.ran, sum(int(row["bytes"]) for row in fit.rows))
    bench.figure("large", name, "fit, peak memory", fit.ran.peak / BUDGET, "GiB", most=1)
    bench.figure(
        "large",
        name,
        "fit, passes over all of X",
        fit.said["passes"],
        "passes",
        most=4,
        note=f"{fit.said['sample_passes']:.2f} more on a sample; error {fit.said['relative_error']:.5f}, {fit.said['stop']}",
    )
    passes = fit.pass_seconds()
    bench.figure("large", name, "a pass", sum(passes) / len(passes), "s")


def ready(bench):
    """The name of the data and of its store, which is made if it is not there."""
    free = shutil.disk_usage(bench.folder).free
    name, store, plain = f"counts {CELLS}x{GENES}", bench.folder / "large.pw", bench.folder / "large.h5ad"
    if free < DISK and not (store.exists() or plain.exists()):
        raise clock.Failed(
            f"{bench.folder} has {free >> 30} GiB free, but {DISK >> 30} are needed: set TMPDIR or --work to another folder"
        )
    if not store.exists():
        if not plain.exists():
            bench.say(f"simulating {name}")
            said, ran = bench.program.run(
                "simulate",
                "--kind",
                "counts",
                "--cells",
                CELLS,
                "--genes",
                GENES,
                "--programs",
                PROGRAMS,
                "--memory",
                "1G",
                "-o",
                plain,
                "--force",
            )
            about(bench, name, "simulation", ran, plain.stat().st_size)
        said, ran = bench.program.run("convert", plain, "-o", store, "--memory", "1G", "--force")
        plain.unlink()
        about(bench, name, "conversion", ran, sum(file.stat().st_size for file in store.iterdir()))
        bench.figure("large", name, "conversion, peak memory", ran.peak / BUDGET, "GiB", most=1)
    return name, store.name


def about(bench, name, what, ran, size):
    bench.figure(
        "large",
        name,
        what,
        ran.wall,
        "s",
        note=f"{size / 1e9:.2f} GB, {ran.cpu:.0f} s of processors, {ran.peak >> 20} MiB",
    )
