"""Measures the bytes that a store takes for each nonzero, and the time of a pass for each, by the
depth of cells. Runs of a gene are short where cells are shallow, so that what a run costs shows."""

from ..data.depths import depths

ROUNDS = 2
PASSES = 5
OPTIONS = ("--solver", "hals", "--init", "random", "--tol", 0, "--threads", 1, "--max-passes", PASSES)
# Bytes a nonzero that shallow cells of this many genes should take at most.
MOST_BYTES, OF_GENES = 1.1, 20_000


def run(bench):
    for data in depths(bench.options.cells, bench.options.genes):
        name, _, store = bench.ready(data)
        inside = bench.program.run("info", store)[0]
        nonzeros, cells = inside["nonzeros"], inside["cells"]
        most = MOST_BYTES if (data.kind, data.genes) == ("shallow cells", OF_GENES) else None
        note = f"{nonzeros / cells:.0f} nonzeros a cell"
        bench.figure("packing", name, "size of the store", inside["bytes_per_nonzero"], "B/nnz", most=most, note=note)
        seconds = min(
            second
            for _ in range(1 if bench.options.quick else ROUNDS)
            # The first pass finds cold buffers.
            for second in bench.program.fit(store, bench.options.k, *OPTIONS).pass_seconds()[1:]
        )
        what = f"pass of HALS, k = {bench.options.k}, 1 thread"
        bench.figure("packing", name, what, seconds / nonzeros * 1e9, "ns/nnz", note=f"{seconds:.3f} s")
