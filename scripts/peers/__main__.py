"""Compares partwise with scikit-learn, RcppML and bixverse, in one run on one machine.

Prints each figure as it is measured, beside its target. --record MACHINE keeps them in
benches/record/MACHINE: DATE-peers.csv (figures), DATE-peers-traces.csv (error against time),
DATE-peers.txt (machine, versions and command) and DATE-peers.svg (the picture). With --only PART, of
packing, formats, consensus, sweep, large and replay, the record is DATE-PART.csv and .txt. Run it on a machine
that does nothing else.
"""

import argparse
import os
import pathlib
import shlex
import shutil
import sys
import tempfile
import traceback

import records

from . import build, clock, data, figures, plot
from .bench import Bench
from .parts import cold, consensus, dense, formats, large, memory, notebook, packing, products, race, replay, several, starts, sweep, threads, whole

PARTS = {
    "products": products,
    "threads": threads,
    "cold": cold,
    "notebook": notebook,
    "race": race,
    "whole": whole,
    "several": several,
    "dense": dense,
    "packing": packing,
    "formats": formats,
    "starts": starts,
    "consensus": consensus,
    "sweep": sweep,
    "large": large,
    "replay": replay,
}
# Parts that run only when they are named: two install cNMF, and two need 2,400,000 cells.
NAMED = ("consensus", "sweep", "large", "replay")
# Parts whose record has their own name if they run alone.
ALONE = ("packing", "formats", "consensus", "sweep", "large", "replay")
# Default sizes, and those with --quick.
SIZES = {"cells": (50_000, 3_000), "genes": (20_000, 2_000), "k": (20, 8), "limit": (600, 10)}


def options():
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="small data, to check that everything works; its figures mean nothing")
    add("--cells", type=int, metavar="N")
    add("--genes", type=int, metavar="M")
    add("-k", type=int)
    add(
        "--data",
        metavar="DATA,…",
        help="P[:D]: P planted programs and their dominance in a cell (0: a continuum, 0.75: clear types); "
        "lognormal[:P]: counts of another law with P programs; real[:WORD]: the files of counts in PARTWISE_DATA with "
        "this word in their names. Parts without data of their own use the first, race and whole all of them "
        f"[default: {data.USUAL}]",
    )
    add(
        "--only",
        type=lambda text: text.split(","),
        metavar="NAME,…",
        help=f"parts to run, of {', '.join(PARTS)} [default: all but {', '.join(NAMED)}]",
    )
    add("--large", action="store_true", help="also run 2,400,000 cells: half an hour and 26 GB of disk")
    add(
        "--limit",
        type=float,
        metavar="SECONDS",
        help="longest time of a peer, if its own rule does not stop it before [default: 600]",
    )
    add("--without-rcppml", action="store_true", help="leave out RcppML, which needs R")
    add("--without-minibatch", action="store_true", help="leave out scikit-learn's MiniBatchNMF, which needs long")
    add("--without-bixverse", action="store_true", help="leave out bixverse, which cargo downloads and builds")
    add(
        "--record",
        metavar="MACHINE",
        help="keep the figures in benches/record/MACHINE, or in a folder given by its full path",
    )
    add(
        "--work",
        type=pathlib.Path,
        metavar="FOLDER",
        help="folder for the data, kept and used again [default: a temporary one]",
    )
    given = parser.parse_args()
    for name, (usual, quick) in SIZES.items():
        if getattr(given, name) is None:
            setattr(given, name, quick if given.quick else usual)
    try:
        given.data = data.chosen(given.data or (str(given.k) if given.quick else data.USUAL), given.cells, given.genes)
    except ValueError:
        parser.error(f"--data takes P[:D], lognormal[:P] and real[:WORD], not {given.data}")
    if not given.data:
        parser.error("there is no data to compare on")
    given.only = given.only or [name for name in PARTS if name not in NAMED] + ["large"] * given.large
    for name in given.only:
        if name not in PARTS:
            parser.error(f"--only takes {', '.join(PARTS)}, not {name}")
    given.rcppml = not given.without_rcppml and shutil.which("Rscript") is not None
    if "race" in given.only and not given.rcppml:
        print("the race runs without RcppML", file=sys.stderr)
    given.minibatch = not given.without_minibatch
    given.bixverse = "race" in given.only and not given.without_bixverse and build.bixverse()
    if "race" in given.only and not given.bixverse:
        print("the race runs without bixverse", file=sys.stderr)
    return given


def main():
    given = options()
    about = records.surroundings(f"command   scripts/bench {shlex.join(sys.argv[1:])}")
    with tempfile.TemporaryDirectory(prefix="partwise-bench.") as temporary:
        folder = (given.work or pathlib.Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        bench, failed = Bench(folder, given), []
        for name in [*given.only, "memory"]:
            bench.say(name)
            try:
                (memory if name == "memory" else PARTS[name]).run(bench)
            except clock.Failed as failure:
                failed.append(name)
                bench.say(f"{name} FAILED: {failure}")
            except Exception:
                # A defect in one part must not cost the measurements of the others.
                failed.append(name)
                bench.say(f"{name} FAILED: {traceback.format_exc()}")
    print(f"\nload {about[-1].split()[1]} when it began, {os.getloadavg()[0]:.2f} at the end\n")
    for figure in bench.figures:
        print(figure.line())
    if given.record:
        keep(bench, given.record, about, failed)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def keep(bench, machine, about, failed):
    about += [
        f"peers     {versions()}",
        f"load      {os.getloadavg()[0]:.2f} at the end",
        *([f"failed    {', '.join(failed)}"] if failed else []),
        "figures   wall clock unless a note states otherwise; scripts/peers describes the comparisons",
    ]
    only = bench.options.only
    ending = f"-{only[0]}" if len(only) == 1 and only[0] in ALONE else "-peers"
    path = records.keep(machine, ending, figures.COLUMNS, (figure.row() for figure in bench.figures), about)
    if bench.traces:
        rows = (
            (name, trace.who, step, f"{seconds:.4f}", f"{error:.8f}")
            for name, traces in bench.traces.items()
            for trace in traces
            for seconds, error, step in trace.points
        )
        records.table(f"{path}-traces.csv", ("data", "who", "step", "seconds", "relative_error"), rows)
        plot.draw(bench.traces, bench.best, f"{path}.svg")
    print(f"\nkept in {path}.csv and the files beside it")


def versions():
    from importlib.metadata import version

    packages = [f"{name} {version(name)}" for name in ("scikit-learn", "scipy", "numpy", "anndata")]
    rcppml = records.said("Rscript", "-e", 'cat(paste("RcppML", packageVersion("RcppML"), "on", R.version.string))')
    return ", ".join(filter(None, [*packages, rcppml, records.said(build.BIXVERSE, "--version")]))


if __name__ == "__main__":
    main()
