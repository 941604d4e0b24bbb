"""Compares both products and the update of a pass from the packed store with scipy's two products
in memory, one thread each.

scipy gets the faster of its two ways to Xᵀ·W (the CSC view that `.T` gives, or a second CSR matrix)
and is measured in processor time. partwise is measured in the wall clock of a pass, in which it
also reads, decodes and updates.
"""

from .. import clock

COMPONENTS = (20, 32, 64)
ROUNDS = 2
PASSES = 5


def run(bench):
    name, packed, store = bench.ready(bench.options.data[0])
    ours, theirs = {}, {}
    for _ in range(1 if bench.options.quick else ROUNDS):
        for k in COMPONENTS:
            fit = bench.program.fit(
                store, k, "--solver", "hals", "--init", "random", "--tol", 0, "--threads", 1, "--max-passes", PASSES
            )
            # The first pass finds cold buffers.
            ours[k] = min(ours.get(k, 1e9), *fit.pass_seconds()[1:])
        job = {"path": str(bench.folder / packed), "components": COMPONENTS}
        said = clock.python("products", job, threads=1)
        for k, seconds in zip(COMPONENTS, said["seconds"], strict=True):
            theirs[k] = min(theirs.get(k, 1e9), seconds)
    for k in COMPONENTS:
        bench.figure(
            "products",
            name,
            f"pass of HALS, k = {k}, 1 thread, against scipy's products",
            theirs[k] / ours[k],
            least=2,
            note=f"{ours[k]:.3f} s, scipy {theirs[k]:.3f} s",
        )
