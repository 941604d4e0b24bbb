"""Plays cases until there were enough or the time is up: each damages one sound file and converts
it. An interruption (Ctrl-C) ends it with the summary so far."""

import argparse
import collections
import itertools
import math
import multiprocessing
import os
import pathlib
import queue
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass

import numpy as np
import read_store

from kills.program import Program
from tortures import endings, values

from . import mutations, readers, seeds

# 0, and the exit codes for a file that is damaged, missing, too large for the budget or unreadable.
ALLOWED = (0, 2, 65, 66, 74)
# A damaged shape may be that of a large and empty matrix, whose store would fill the disk. Beyond
# this size, writing fails as on a full disk.
LARGEST_FILE = 64 << 20
# A call of the HDF5 library without end costs a minute of computing until the program notices it.
# Conversions of these formats are stopped after these seconds, a hundred times those of a usual one;
# --case waits for the end, as `tortures` does.
HDF5, STOPPED_AFTER = ("h5ad", "h5mu", "10x h5", "loom", "HDF5"), 3
# The budget of a conversion.
MEMORY = "256M"
# The most seconds in which the sound files are written.
WRITING = 600
# Cases between two lines of progress, and files that only the program reads that are listed.
PROGRESS, LISTED = 1000, 8


@dataclass
class Outcome:
    """How a case ended. `verdict` is one of the columns of the summary."""

    case: int
    damage: str
    verdict: str
    detail: str = ""

    @property
    def kind(self):
        return kind(self.case)


VERDICTS = {
    "refused": "with one line",
    "same": "read, with the values of the sound file",
    "others": "read, with the values that the independent reader finds",
    "only ours": "read, and refused by the independent reader",
    "stopped": f"in the HDF5 library for {STOPPED_AFTER} s; --case plays it to its end",
    "wrong": "read, with other values than the independent reader finds",
    "broken": "another ending, or something left behind",
}
FAILURES = ("wrong", "broken")


def kind(case):
    """The kinds take turns."""
    return seeds.KINDS[case % len(seeds.KINDS)]


class Fuzz:
    def __init__(self, folder, seed):
        self.binary, self.folder, self.seed = Program().binary, folder, seed
        (folder / "seeds").mkdir()
        _, problem = values.apart(lambda: seeds.write_all(folder / "seeds"), WRITING)
        if problem:
            sys.exit(f"the sound files cannot be written: {problem}")

    def play(self, case, folder, to_its_end=True):
        """Plays a case in a new folder, which remains."""
        rng, played = random.Random(f"{self.seed}/{case}"), kind(case)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.folder / "seeds" / str(seeds.KINDS.index(played)), folder)
        path = folder / played.name
        what = mutations.mutate(rng, path)
        before = contents(folder)
        line = f"convert {played.name} -o out.pw --quiet --memory {MEMORY} --threads {rng.choice((1, 2))} {played.options}"
        soon = not to_its_end and played.format in HDF5
        code, _, err = endings.run(self.binary, line, folder, STOPPED_AFTER if soon else endings.COMPUTING)
        if code is None:
            return Outcome(case, what, "stopped" if soon and "computed" in err else "broken", err)
        problem = endings.fault(code, err, ALLOWED) or left(folder, before, code)
        if problem:
            return Outcome(case, what, "broken", f"{problem}\n    code {code}: {err.strip()[:600]}")
        if code:
            return Outcome(case, what, "refused", err)
        return Outcome(case, what, *self.compare(played, path))

    def compare(self, played, path):
        """The verdict on the store of a damaged file, and its reason."""
        try:
            store = read_store.read_store(path.with_name("out.pw"))
        except Exception as error:
            return "wrong", f"the store is damaged: {type(error).__name__}: {error}"
        if store.shape[0] * store.shape[1] > readers.LARGEST:
            return "only ours", f"a shape of {store.shape}, too large to compare"
        found = store.toarray()
        same = np.array_equal(found, seeds.counts())
        expected, problem = values.apart(lambda: readers.read(played, path))
        if expected is None:
            return "same" if same else "only ours", problem
        if found.shape != expected.shape:
            return "wrong", f"the shape is {found.shape}, not {expected.shape}"
        if np.array_equal(found, expected):
            return "same" if same else "others", ""
        places = np.argwhere(found != expected)
        at = tuple(map(int, places[0]))
        return "wrong", f"{len(places)} values differ, the one of cell and gene {at} is {found[at]}, not {expected[at]}"


def contents(folder):
    """The bytes of every file below `folder`, by its name."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def left(folder, before, code):
    """What a run left that is not its store, or has changed."""
    after = {name: content for name, content in contents(folder).items() if code or not name.startswith("out.pw/")}
    expected = {name.split("/")[0] for name in before} | (set() if code else {"out.pw"})
    changed = {name for name in {*after, *before} if after.get(name) != before.get(name)}
    changed |= {path.name for path in folder.iterdir()} - expected
    if changed:
        return f"left or changed {sorted(changed)}"
    return "" if code or (folder / "out.pw").is_dir() else "no store"


def work(fuzz, name, cases, deadline, results):
    """Plays cases until the deadline, in a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, resource.RLIM_INFINITY))
    folder = fuzz.folder / name
    for case in cases:
        if time.monotonic() > deadline:
            break
        try:
            outcome = fuzz.play(case, folder, to_its_end=False)
        except Exception as error:
            outcome = Outcome(case, "damage unknown", "broken", f"this script failed: {error!r}")
        if outcome.verdict in FAILURES:
            shutil.copytree(folder, fuzz.folder / "failures" / str(case))
        results.put(outcome)
    results.put(None)


def play_all(fuzz, cases, deadline, tell):
    """Plays cases in a process for each core, and calls `tell` with every outcome."""
    context, count = multiprocessing.get_context("fork"), len(os.sched_getaffinity(0))
    results = context.Queue()
    shares = [itertools.islice(cases(), worker, None, count) for worker in range(count)]
    workers = [
        context.Process(target=work, args=(fuzz, f"round{at}", share, deadline, results)) for at, share in enumerate(shares)
    ]
    for worker in workers:
        worker.start()
    working = len(workers)
    try:
        while working:
            try:
                outcome = results.get(timeout=5)
            except queue.Empty:
                if not any(worker.is_alive() for worker in workers):
                    raise RuntimeError("a worker has ended too early") from None
                continue
            working -= outcome is None
            if outcome:
                tell(outcome)
    finally:
        for worker in workers:
            worker.terminate()


class Summary:
    """Counts outcomes, and prints failures when they occur."""

    def __init__(self, seed):
        self.seed, self.began = seed, time.monotonic()
        self.counts, self.examples, self.cases = collections.Counter(), {}, 0

    def tell(self, outcome):
        self.cases += 1
        self.counts[outcome.kind.format, outcome.verdict] += 1
        text = f"case {outcome.case}, {outcome.kind}: {outcome.damage}\n    {outcome.detail}"
        if outcome.verdict in FAILURES:
            print(f"{outcome.verdict.upper()} {text}", flush=True)
        if outcome.verdict == "only ours":
            # One example of each reason, since one damage is as good as another.
            self.examples.setdefault((outcome.kind.format, outcome.detail[:40]), text)
        if self.cases % PROGRESS == 0:
            print(f"{self.cases} cases after {time.monotonic() - self.began:.0f} s", flush=True)

    def failed(self):
        return sum(count for (_, verdict), count in self.counts.items() if verdict in FAILURES)

    def show(self):
        for text in list(self.examples.values())[:LISTED]:
            print(f"only ours: {text}")
        formats = dict.fromkeys(kind.format for kind in seeds.KINDS)
        print("".join(f"{head:>11}" for head in ("format", "cases", *VERDICTS)))
        for name in formats:
            counts = [self.counts[name, verdict] for verdict in VERDICTS]
            if sum(counts):
                print(f"{name:>11}" + "".join(f"{count:11}" for count in (sum(counts), *counts)))
        for verdict, meaning in VERDICTS.items():
            print(f"  {verdict}: {meaning}")
        seconds = time.monotonic() - self.began
        print(f"{self.cases} cases of seed {self.seed} in {seconds:.0f} s: {self.failed()} failed")


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("--cases", type=int)
    parser.add_argument("--seconds", type=float, help="60 by default; without end if --cases is given")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="draws all damage")
    parser.add_argument("--only", choices=sorted({kind.format for kind in seeds.KINDS}), help="one format")
    parser.add_argument("--case", type=int, help="plays this case of the seed and keeps its folder")
    parser.add_argument("--keep", type=pathlib.Path, help="a folder for the damaged files of failures")
    return parser.parse_args()


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Conversions wait for the disk, so files lie in memory where the system has such a folder.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) and "TMPDIR" not in os.environ else None
    folder = pathlib.Path(tempfile.mkdtemp(prefix="partwise-fuzz.", dir=memory))
    try:
        fuzz, summary = Fuzz(folder, options.seed), Summary(options.seed)
        if options.case is not None:
            kept = pathlib.Path(tempfile.mkdtemp(prefix=f"partwise-fuzz.{options.seed}.{options.case}."))
            outcome = fuzz.play(options.case, kept / "case")
            summary.tell(outcome)
            print(f"{outcome.kind}: {outcome.damage}\n{outcome.verdict}: {outcome.detail}\nkept in {kept}")
            sys.exit(summary.failed() > 0)
        seconds = options.seconds or (60 if options.cases is None else math.inf)
        print(f"seed {options.seed}, at most {options.cases or 'any number of'} cases or {seconds:.0f} s", flush=True)

        def cases():
            played = (case for case in itertools.count() if options.only in (None, kind(case).format))
            return itertools.islice(played, options.cases)

        try:
            play_all(fuzz, cases, time.monotonic() + seconds, summary.tell)
        except KeyboardInterrupt:
            print("interrupted")
        summary.show()
        if options.keep and (folder / "failures").exists():
            shutil.copytree(folder / "failures", options.keep, dirs_exist_ok=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(summary.failed() > 0)


if __name__ == "__main__":
    main()
