"""Rounds of a job that is killed a few times and then goes on to its end, until there were enough kills."""

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
        self.history, damaged = [job.name], False
        saved = self.round / CHECKPOINTS
        for _ in range(min(most, self.rng.randint(1, 5))):
            moment = moments.draw(self.rng, seconds)
            behind = damage.newest(saved)[0]
            command = self.command(job, f"killed {moment}")
            ended = moments.run_and_kill(command, self.round, moment)
            if ended[0] is not None:
                self.history[-1] += f": it had ended before with {ended[0]}"
                break
            at = look.phase(self.round, job, had, expected)
            self.kills[job.name, at] += 1
            self.history[-1] += f": {at}"
            look.check(self.program, self.round, job, had, expected)
            damaged = False
            if damage.newest(saved)[0] < behind:
                raise Lost(f"there was a checkpoint of pass {behind}, now of {damage.newest(saved)[0]}")
            if job.resumes and self.rng.random() < 0.35:
                damaged = self.damage(saved)
                if damaged:
                    # How far it goes back is for the next run to say.
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
        """A run of the job with a number of threads of its own."""
        line = jobs.with_threads(job.line, self.rng)
        self.history.append(f"partwise {line}    {then}")
        return [self.program.binary, *line.split()]

    def damage(self, saved):
        """Whether the newest checkpoint cannot be used any more."""
        what, matters = damage.some(saved, self.rng)
        self.damages[what] += 1
        self.history.append(f"damaged: {what}")
        return matters

    def is_done(self, job, code, out, err, behind):
        """Whether a run before had done it: killed after its result was in place, it leaves nothing to do.

        A run to the end has to go on from pass `behind`; None: the newest checkpoint is damaged, and that has to be said.
        """
        self.history[-1] += f": ended with {code}\n{err}"
        if code == 73 and "--force" not in job.line:
            return True
        if code != 0:
            raise Lost(f"a run ended with {code}")
        if job.resumes:
            went_on = json.loads(out)["resumed_from_pass"]
            self.resumed += went_on > 0
            if behind is None and "checkpoint" not in err:
                raise Lost("a damaged checkpoint was passed over in silence")
            if behind is not None and went_on != behind:
                raise Lost(f"it went on from pass {went_on}, but there was a checkpoint of pass {behind}")
        return False

    def compare(self, job, found, expected, finished):
        """Whether the job has come to what it comes to undisturbed, and has left nothing else."""
        if found.outputs != expected.outputs:
            raise Lost(f"other bits in the end: {found.outputs} instead of {expected.outputs}")
        # A run that had nothing left to do does not come to the lock of one killed after its result was in place. How many
        # checkpoints are there depends on how often a fit was stopped and where.
        mine = {name for name in found.names if not name.startswith(CHECKPOINTS + "/")} - (LOCKS if finished else set())
        others = {name for name in expected.names if not name.startswith(CHECKPOINTS + "/")}
        if mine != others:
            raise Lost(f"names in the end: too many {sorted(mine - others)}, missing {sorted(others - mine)}")


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
    print(f"{kills.kills.total()} kills, seed {options.seed}; {kills.resumed} fits ended after going on from a checkpoint")
    for table in (by_job, by_phase, kills.damages):
        print()
        for name, count in table.most_common():
            print(f"{count:5}  {name}")


if __name__ == "__main__":
    main()
