"""Runs a process of its own, and measures its wall clock, processor time and peak memory."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field

SCRIPTS = pathlib.Path(__file__).resolve().parent.parent


class Failed(Exception):
    """A process failed; the message holds its command and its output."""


@dataclass
class Ran:
    """The measurements of a process: seconds since its start, bytes, and lines of stderr with the
    second of each."""

    out: str
    wall: float
    cpu: float
    peak: int
    lines: list = field(default_factory=list)


def run(command, limit=None, **options):
    """Runs `command` to its end, or kills it after `limit` seconds."""
    with tempfile.TemporaryFile("w+") as out:
        began = time.perf_counter()
        process = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE, text=True, **options
        )
        stopper = Timer(limit, process)
        lines = [(time.perf_counter() - began, line.rstrip("\n")) for line in process.stderr]
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stderr.close()
        stopper.cancel()
        out.seek(0)
        said = out.read()
    if process.returncode != 0:
        why = f"was stopped after {limit:.0f} s" if stopper.fired else f"ended with status {process.returncode}"
        tail = "\n".join(line for _, line in lines[-15:])
        raise Failed(f"{' '.join(map(str, command))}\n{why}\n{tail}")
    return Ran(said, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss << 10, lines)


class Timer:
    """Kills a process after a number of seconds, unless cancelled."""

    def __init__(self, seconds, process):
        self.fired = False
        self.process = process
        self.timer = threading.Timer(seconds, self.fire) if seconds else None
        if self.timer:
            self.timer.start()

    def fire(self):
        self.fired = True
        self.process.kill()

    def cancel(self):
        if self.timer:
            self.timer.cancel()


def python(module, job, hear=None, limit=None, threads=None):
    """Runs `peers.others.MODULE` on a job: passes each JSON line to `hear` as it comes, and returns
    the last."""
    environment = dict(os.environ, PYTHONPATH=str(SCRIPTS), PYTHONWARNINGS="ignore")
    if threads:
        environment.update({f"{name}_NUM_THREADS": str(threads) for name in ("OMP", "OPENBLAS", "MKL", "RAYON")})
    command = [sys.executable, "-m", f"peers.others.{module}", json.dumps(job)]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment)
        stopper = Timer(limit, process)
        last = None
        for line in process.stdout:
            last = json.loads(line)
            if hear:
                hear(last)
        process.wait()
        stopper.cancel()
        errors.seek(0)
        if process.returncode != 0 and not stopper.fired:
            raise Failed(f"peers.others.{module} ended with status {process.returncode}\n{errors.read()[-3000:]}")
    return last


def alone(module, job, limit=None):
    """Runs `peers.others.MODULE` as a user's script: the measurement covers the whole process."""
    environment = dict(os.environ, PYTHONPATH=str(SCRIPTS), PYTHONWARNINGS="ignore")
    return run([sys.executable, "-m", f"peers.others.{module}", json.dumps(job)], limit, env=environment)
