"""Tries mutants crate by crate until the time is up, and reports those that no test catches. An
interruption (Ctrl-C) ends it with the summary so far."""

import argparse
import collections
import os
import pathlib
import sys
import time

from . import known
from .mutant import drawn
from .tree import Failed, Tree

# The tests of each crate that are worth their time for each mutant.
TESTS = {
    "kernels": ["--lib", "--test=properties", "--test=scratch"],
    "driver": ["--lib", "--test=fits"],
    "storage": ["--lib", "--test=conversion", "--test=readers", "--test=corruption", "--test=golden"],
}


class Trial:
    def __init__(self, tree, seed):
        self.tree, self.seed = tree, seed
        self.counts, self.missed, self.totals = {}, [], {}

    def of_crate(self, crate, mutants, most, until):
        """Tries mutants of a crate until there were enough or the time is up."""
        counts = self.counts[crate] = collections.Counter()
        self.totals[crate] = len(mutants)
        seconds = self.tree.seconds_of_tests(crate, TESTS[crate])
        print(f"{crate}: {len(mutants)} mutants; tests take {sum(seconds.values()):.0f} s", flush=True)
        for mutant in drawn(mutants, self.seed)[:most]:
            if time.monotonic() > until:
                break
            began = time.monotonic()
            outcome = self.tree.outcome(mutant, seconds)
            counts[outcome] += 1
            if outcome == "missed":
                self.missed.append(mutant)
            print(f"{outcome:8} {time.monotonic() - began:4.0f} s  {mutant.name}", flush=True)

    def report(self, listed):
        """Prints counts and misses, and returns whether all misses are listed."""
        for crate, counts in self.counts.items():
            print(f"{crate}: {counts.total()} of {self.totals[crate]} mutants, seed {self.seed}: "
                  + ", ".join(f"{counts[key]} {key}" for key in ("caught", "missed", "timeout", "unviable")))
        new = [mutant for mutant in self.missed if mutant.key not in listed]
        print(f"{len(self.missed)} missed, {len(new)} of them not in {known.LIST}")
        for mutant in new:
            print(known.item(mutant))
        return not new


def main():
    parser = argparse.ArgumentParser(prog="scripts/mutants", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="for all crates together (default: 60)")
    parser.add_argument("--count", type=int, help="mutants of each crate at most")
    parser.add_argument("--seed", type=int, default=1, help="draws the order of mutants (default: 1)")
    parser.add_argument("--crate", action="append", choices=TESTS, help="a crate (default: all three)")
    parser.add_argument("--file", action="append", default=[], help="a glob; only files that match one have mutants")
    options = parser.parse_args()
    folder = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target")).resolve() / "mutants"
    crates = options.crate or list(TESTS)
    until = time.monotonic() + 60 * options.minutes
    try:
        tree = Tree(folder)
        mutants = tree.mutants(crates, options.file)
        trial = Trial(tree, options.seed)
        try:
            for i, crate in enumerate(crates):
                share = (until - time.monotonic()) / (len(crates) - i)
                of_crate = [mutant for mutant in mutants if mutant.crate == crate]
                trial.of_crate(crate, of_crate, options.count, time.monotonic() + share)
        except KeyboardInterrupt:
            print("interrupted")
    except Failed as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    listed = pathlib.Path(known.LIST)
    sys.exit(0 if trial.report(known.names(listed.read_text()) if listed.exists() else set()) else 1)


if __name__ == "__main__":
    main()
