"""Rounds of a job that is killed a few times and then goes on to its end, until there were enough kills."""

import argparse
import collections
import pathlib
import random
import shutil
import sys
import tempfile
import time

from . import damage, jobs, look, moments
from .jobs import CHECKPOINTS
from .program import Lost, Program

LOCKS = {".x.pw.lock", ".r.h5ad.lock"}


class Kills:
    def __init__(self, folder, seed):
        self.program, self.folder, self.rng = Program(), folder, random.Random(seed)
        self.inputs, self.round = folder / "inputs", folder / "round"
        self.inputs.mkdir()
        for line in jobs.INPUTS:
            self.program.ok(line, self.inputs)
        self.jobs = jobs.all_jobs(self.program, self.inputs)
        self.expected = {}
        # Kills by (job, phase), damages by what was damaged, and how many runs went on from a checkpoint.
        self.kills, self.damages, self.resumed = collections.Counter(), collections.Counter(), 0
        self.history = []

    def fresh(self, job):
        """A new folder for the job; the bits of what lies in it."""
        shutil.rmtree(self.round, ignore_errors=True)
        self.round.mkdir()
        job.prepare(self.inputs, self.round)
        return look.bits(self.round, job)

    def undisturbed(self, job):
        """What comes of the job, and how long it takes."""
        if job not in self.expected:
            self.fresh(job)
            began = time.monotonic()
            self.program.ok(job.line, self.round)
            self.expected[job] = (look.bits(self.round, job), time.monotonic() - began)
        return self.expected[job]

    def play(self, most):
        """One round of a job with at most so many kills."""
        job = self.rng.choice(self.jobs)
        expected, seconds = self.undisturbed(job)
        had = self.fresh(job)
        self.history = [job.name]
        for _ in range(min(most, self.rng.randint(1, 5))):
            moment = moments.draw(self.rng, seconds)
            line = jobs.with_threads(job.line, self.rng)
            self.history.append(f"partwise {line}    killed {moment}")
            command = [self.program.binary, *line.split()]
            code, _, err = moments.run_and_kill(command, self.round, moment)
            if code is not None:
                self.history[-1] += f": it had ended before with {code}"
                finished = self.is_done(job, line, code, err)
                break
            at = look.phase(self.round, job, had, expected)
            self.kills[job.name, at] += 1
            self.history[-1] += f": {at}"
            look.check(self.program, self.round, job, had, expected)
            if job.resumes and self.rng.random() < 0.3:
                what = damage.some(self.round / CHECKPOINTS, self.rng)
                self.damages[what] += 1
                self.history.append(f"damaged: {what}")
        else:
            line = jobs.with_threads(job.line, self.rng)
            self.history.append(f"partwise {line}")
            code, _, err = self.program.run(line, self.round)
            finished = self.is_done(job, line, code, err)
        found = look.bits(self.round, job)
        if found.outputs != expected.outputs:
            raise Lost(f"other bits in the end: {found.outputs} instead of {expected.outputs}")
        # A run that had nothing left to do does not come to the lock of one killed after its result was in place.
        there = found.names - (LOCKS if finished else set())
        if there != expected.names:
            left, gone = sorted(there - expected.names), sorted(expected.names - there)
            raise Lost(f"names in the end: too many {left}, missing {gone}")

    def is_done(self, job, line, code, err):
        """Whether a run before had done it: killed after its result was in place, it leaves nothing to do."""
        if code != 0 and not (code == 73 and "--force" not in job.line):
            raise Lost(f"partwise {line}\nended with {code}: {err}")
        return code == 73


def main():
    parser = argparse.ArgumentParser(prog="scripts/kill-test", description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=200, help="kills")
    parser.add_argument("seed", nargs="?", type=int, default=random.randrange(10**6), help="draws jobs and moments")
    parser.add_argument("--keep", action="store_true", help="keep the folder of a round that lost something")
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="partwise-kills."))
    print(f"seed {options.seed}, {options.count} kills, in {folder}", flush=True)
    kills, lost = Kills(folder, options.seed), None
    try:
        while (left := options.count - kills.kills.total()) > 0:
            kills.play(left)
    except Lost as error:
        lost = error
    report(kills, options)
    if lost:
        print("\nLOST\n" + "\n".join(kills.history) + f"\n{lost}")
    if lost and options.keep:
        print(f"kept: {folder / 'round'}")
    else:
        shutil.rmtree(folder)
    sys.exit(1 if lost else 0)


def report(kills, options):
    """How many kills, in which job and at what."""
    by_job = collections.Counter()
    by_phase = collections.Counter()
    for (job, phase), count in kills.kills.items():
        by_job[job] += count
        by_phase[phase] += count
    print(f"{kills.kills.total()} kills, seed {options.seed}")
    for table in (by_job, by_phase, kills.damages):
        print()
        for name, count in table.most_common():
            print(f"{count:5}  {name}")


if __name__ == "__main__":
    main()
