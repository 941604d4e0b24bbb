"""Compares the conversion of each format with the reader that Python has for it.

The reader brings the matrix into memory, and its clock runs only while it reads. partwise starts as a
process, checks every value and ends with a store on disk. Files are in the page cache. Rounds
alternate, and the least time of each counts.
"""

import math
import shutil

from .. import clock

ROUNDS = 3
# Format, ending, and the least ratio of the reader's time to ours.
FORMATS = (
    ("gzip", "h5ad", 2.5),
    ("lzf", "h5ad", 2),
    ("zstd", "h5ad", 2),
    ("blosc", "h5ad", 2),
    ("plain", "h5ad", 1),
    ("10x", "h5", 2),
    ("zarr", "zarr", 2),
    ("mtx", "mtx", 1),
)
MEMORY = "1G"
# Files that are joined, and cells of each.
FILES, CELLS = 200, 5000


def run(bench):
    name, packed, _ = bench.ready(bench.options.data[0])
    seconds = {}
    for kind, ending, least in FORMATS:
        ours, theirs, peak = compare(bench, packed, kind, ending)
        seconds[kind] = ours
        note = f"{ours:.2f} s and {peak >> 20} MiB, the reader {theirs:.2f} s"
        bench.figure("formats", name, f"{label(kind)}: convert, faster than its reader", theirs / ours, least=least, note=note)
    ours, _, peak = compare(bench, packed, "csc", "h5ad")
    note = f"{ours:.2f} s and {peak >> 20} MiB, by row {seconds['gzip']:.2f} s"
    bench.figure("formats", name, "stored by gene, of the time by cell", ours / seconds["gzip"], most=2.5, note=note)
    ours, theirs, peak = compare(bench, packed, "mtx.gz", "mtx.gz")
    note = f"{ours:.2f} s and {peak >> 20} MiB, to unpack it {theirs:.2f} s"
    bench.figure("formats", name, "mtx.gz, of the time that one core needs to unpack it", ours / theirs, most=1.3, note=note)
    found_again(bench, name, packed)
    many(bench)


def label(kind):
    return {"10x": "10x h5", "zarr": "zarr 3, shards", "mtx": "Matrix Market"}.get(kind, f"h5ad, {kind}")


def compare(bench, packed, kind, ending):
    """Seconds of partwise and of the reader, and partwise's peak memory."""
    path = bench.folder / f"formats-{kind}.{ending}"
    bench.say(f"{label(kind)}: writing the file")
    clock.alone("reformat", {"path": str(bench.folder / packed), "result": str(path), "format": kind})
    ours, theirs, peak = math.inf, math.inf, 0
    for _ in range(1 if bench.options.quick else ROUNDS):
        theirs = min(theirs, clock.python("read", {"path": str(path), "format": kind})["seconds"])
        _, ran = bench.program.run("convert", path.name, "-o", "formats.pw", "--memory", MEMORY, "--force")
        ours, peak = min(ours, ran.wall), max(peak, ran.peak)
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    return ours, theirs, peak


def found_again(bench, name, packed):
    """What a fit takes beside its only pass, once the store is there."""
    options = ("--solver", "hals", "--init", "random", "--tol", 0, "--max-passes", 1, "--store", "formats-again.pw")
    fits = [bench.program.fit(packed, 2, *options, planned=False) for _ in range(1 + ROUNDS)][1:]
    beside = min(fit.ran.wall - sum(fit.pass_seconds()) for fit in fits)
    what = "a store found again: a fit of k = 2 from start to end, beside its pass"
    bench.figure("formats", name, what, beside, "s", note="with the result; the target of 0.2 s is for the start alone")


def many(bench):
    files, cells = (8, 500) if bench.options.quick else (FILES, CELLS)
    bench.say(f"writing {files} files of {cells} cells, and one of all")
    folder = bench.folder / "formats-many"
    folder.mkdir(exist_ok=True)
    shape = ("--kind", "counts", "--genes", bench.options.genes, "--programs", 10, "--depth", 400, "--dominance", 0)
    for at in range(files):
        bench.program.run("simulate", *shape, "--cells", cells, "--seed", at, "-o", folder / f"{at:04}.h5ad", "--force")
    one = bench.folder / "formats-one.h5ad"
    bench.program.run("convert", folder / "*.h5ad", "-o", "formats.pw", "--memory", MEMORY, "--force")
    bench.program.run("export", "formats.pw", "-o", one, "--force")
    of_many, of_one, peaks = math.inf, math.inf, (0, 0)
    for _ in range(1 if bench.options.quick else ROUNDS):
        _, first = bench.program.run("convert", folder / "*.h5ad", "-o", "formats.pw", "--memory", MEMORY, "--force")
        _, second = bench.program.run("convert", one, "-o", "formats.pw", "--memory", MEMORY, "--force")
        of_many, of_one = min(of_many, first.wall), min(of_one, second.wall)
        peaks = max(peaks[0], first.peak), max(peaks[1], second.peak)
    note = f"{of_many:.2f} s and {peaks[0] >> 20} MiB, one file {of_one:.2f} s and {peaks[1] >> 20} MiB"
    data = f"{files} x {cells:,} x {bench.options.genes:,} counts"
    bench.figure("formats", data, "many files, of the time of one with all cells", of_many / of_one, most=1.2, note=note)
    shutil.rmtree(folder)
