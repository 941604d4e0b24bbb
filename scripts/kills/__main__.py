"""Plays rounds until there are enough kills: each kills a job a few times and then lets it
finish."""

import argparse
import collections
import json
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
        # Kills by (job, phase), damages by kind, and the number of runs that resumed from a
        # checkpoint.
        self.kills, self.damages, self.resumed = collections.Counter(), collections.Counter(), 0
        self.history = []

    def fresh(self, job):
        """Makes a new folder for the job and returns the bits of its files."""
        shutil.rmtree(self.round, ignore_errors=True)
        self.round.mkdir()
        job.prepare(self.inputs, self.round)
        return look.bits(self.round, job)

    def undisturbed(self, job):
        """The outputs of the job when nothing disturbs it, and its seconds."""
        if job not in self.expected:
            self.fresh(job)
            began = time.monotonic()
            self.program.ok(job.line, self.round)
            self.expected[job] = (look.bits(self.round, job), time.monotonic() - began)
        return self.expected[job]

    def play(self, most):
        """Plays one round of a job with at most `most` kills."""
        job = self.rng.choice(self.jobs)
        expected, seconds = self.undisturbed(job)
        had = self.fresh(job)
        self.history, damaged = [job.name], False
        saved = self.round / CHECKPOINTS
        for _ in range(min(most, self.rng.randint(1, 5))):
            moment = moments.draw(self.rng, seconds)
            behind = damage.newest(saved)[0]
            command = self.command(job, f"killed {moment}")
            ended = moments.run_and_kill(command, self.round, moment)
            if ended[0] is not None:
                self.history[-1] += f": it had already ended with {ended[0]}"
                break
            at = look.phase(self.round, job, had, expected)
            self.kills[job.name, at] += 1
            self.history[-1] += f": {at}"
            look.check(self.program, self.round, job, had, expected)
            damaged = False
            if damage.newest(saved)[0] < behind:
                raise Lost(f"the newest checkpoint was of pass {behind} and is now of pass {damage.newest(saved)[0]}")
            if job.resumes and self.rng.random() < 0.35:
                damaged = self.damage(saved)
                if damaged:
                    # The next run reports how far it goes back.
                    behind = None
                    break
        else:
            ended = None
        if ended is None or ended[0] is None:
            behind = None if damaged else damage.newest(saved)[0]
            ended = moments.run(self.command(job), self.round)
        finished = self.is_done(job, *ended, behind)
        self.compare(job, look.bits(self.round, job), expected, finished)

    def command(self, job, then="to the end"):
        """The command of one run, with a random number of threads."""
        line = jobs.with_threads(job.line, self.rng)
        self.history.append(f"partwise {line}    {then}")
        return [self.program.binary, *line.split()]

    def damage(self, saved):
        """Damages one file, and returns whether the newest checkpoint has become unusable."""
        what, matters = damage.some(saved, self.rng)
        self.damages[what] += 1
        self.history.append(f"damaged: {what}")
        return matters

    def is_done(self, job, code, out, err, behind):
        """Whether an earlier run had finished the job: killed after its result was in place.

        A run to the end must go on from pass `behind`. None means that the newest checkpoint is
        damaged, and the run must report that.
        """
        self.history[-1] += f": ended with {code}\n{err}"
        if code == 73 and "--force" not in job.line:
            return True
        if code != 0:
            raise Lost(f"a run ended with {code}")
        if job.resumes and "is finished, with the same data and settings; kept" in err:
            return True
        if job.resumes:
            went_on = json.loads(out)["resumed_from_pass"]
            self.resumed += went_on > 0
            if behind is None and "checkpoint" not in err:
                raise Lost("the run skipped a damaged checkpoint and did not report it")
            if behind is not None and went_on != behind:
                raise Lost(f"the run resumed from pass {went_on}, but the newest checkpoint was of pass {behind}")
        return False

    def compare(self, job, found, expected, finished):
        """Checks that the job gave the outputs of an undisturbed run, and left nothing else."""
        if found.outputs != expected.outputs:
            raise Lost(f"the outputs have other bits: {found.outputs} instead of {expected.outputs}")
        # A run with nothing left to do never reaches the lock of a run that was killed after its
        # result was in place. The number of checkpoints depends on how often a fit was stopped, and
        # where.
        mine = {name for name in found.names if not name.startswith(CHECKPOINTS + "/")} - (LOCKS if finished else set())
        others = {name for name in expected.names if not name.startswith(CHECKPOINTS + "/")}
        if mine != others:
            raise Lost(f"the names differ in the end: extra {sorted(mine - others)}, missing {sorted(others - mine)}")


def main():
    parser = argparse.ArgumentParser(prog="scripts/kill-test", description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=200, help="number of kills")
    parser.add_argument("seed", nargs="?", type=int, default=random.randrange(10**6), help="draws jobs and moments")
    parser.add_argument("--keep", action="store_true", help="keep the folder of a round that failed")
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
    """Prints the number of kills by job and by phase."""
    by_job = collections.Counter()
    by_phase = collections.Counter()
    for (job, phase), count in kills.kills.items():
        by_job[job] += count
        by_phase[phase] += count
    print(f"{kills.kills.total()} kills, seed {options.seed}; {kills.resumed} fits finished after resuming from a checkpoint")
    for table in (by_job, by_phase, kills.damages):
        print()
        for name, count in table.most_common():
            print(f"{count:5}  {name}")


if __name__ == "__main__":
    main()
