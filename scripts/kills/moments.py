"""The moment of a kill: after a time, after names in the folder changed, or at a call that changes
files."""

import os
import random
import shutil
import signal
import subprocess
from dataclasses import dataclass

# Calls that change names or bring files to the disk; calls that write, which are far more frequent.
NAMING = ("rename", "renameat", "renameat2", "fsync", "unlink", "unlinkat", "rmdir", "mkdir")
WRITING = ("pwrite64", "write", "ftruncate")
# Longer than any job takes, however busy the machine.
PATIENCE = 120


@dataclass
class Moment:
    """`kind` clock: `delay` seconds after the start; names: `delay` seconds after the names have
    changed `count` times; call: as a thread enters `call` for the `count`th time."""

    kind: str
    delay: float = 0.0
    count: int = 0
    call: str = ""

    def __str__(self):
        if self.kind == "clock":
            return f"after {1e3 * self.delay:.1f} ms"
        if self.kind == "names":
            return f"{1e3 * self.delay:.1f} ms after names changed for the {self.count}th time"
        return f"at the {self.count}th {self.call} of a thread"


def draw(rng: random.Random, seconds):
    """A moment in a job that takes about `seconds`: any; while a run resumes from a checkpoint; in
    the last milliseconds; when files come and go."""
    kind = rng.choices(("clock", "early", "late", "names", "call"), (30, 10, 15, 30, 15 if can_trace() else 0))[0]
    if kind == "clock":
        return Moment("clock", delay=rng.uniform(0, seconds))
    if kind == "early":
        return Moment("clock", delay=rng.uniform(0, 0.05))
    if kind == "late":
        return Moment("clock", delay=seconds * rng.uniform(0.9, 1.1))
    if kind == "names":
        return Moment("names", delay=rng.choice((0, rng.uniform(0, 0.002), rng.uniform(0, 0.05))), count=rng.randint(1, 30))
    if rng.random() < 0.3:
        return Moment("call", count=rng.randint(1, 200), call=rng.choice(WRITING))
    return Moment("call", count=rng.choice((1, 2, rng.randint(1, 10), rng.randint(1, 60))), call=rng.choice(NAMING))


def can_trace():
    """Whether strace exists and may trace."""
    if not hasattr(can_trace, "answer"):
        can_trace.answer = bool(shutil.which("strace")) and (
            subprocess.run(["strace", "-qq", "-o", os.devnull, "true"], capture_output=True).returncode == 0
        )
    return can_trace.answer


def run(command, folder):
    """Exit code, stdout and stderr of an undisturbed run."""
    ran = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return ran.returncode, ran.stdout, ran.stderr


def run_and_kill(command, folder, moment):
    """Starts the command and kills it at the moment. Returns its exit code (None: it was killed),
    stdout and stderr."""
    if moment.kind == "call":
        # The question mark skips a call that this machine does not have.
        inject = f"inject=?{moment.call}:signal=KILL:when={moment.count}"
        command = ["strace", "-f", "-qq", "-o", os.devnull, "-e", f"trace=?{moment.call}", "-e", inject, *command]
    out, err = folder.parent / "out.txt", folder.parent / "err.txt"
    with open(out, "w") as to_out, open(err, "w") as to_err:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=to_out, stderr=to_err, start_new_session=True
        )
        try:
            if moment.kind == "clock":
                wait(process, moment.delay)
            elif moment.kind == "names":
                wait_for_names(process, folder, moment)
            if moment.kind != "call" and process.poll() is None:
                process.kill()
            code = process.wait(PATIENCE)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    return (None if code == -signal.SIGKILL else code), out.read_text(), err.read_text()


def wait(process, seconds):
    """Sleeps, but no longer than the process runs."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        pass


def wait_for_names(process, folder, moment):
    seen, changes = names(folder), 0
    while changes < moment.count and process.poll() is None:
        now = names(folder)
        changes += len(seen ^ now)
        seen = now
    wait(process, moment.delay)


def names(folder):
    """All paths inside the folder, hidden ones too."""
    found, folders = set(), [(str(folder), "")]
    while folders:
        path, prefix = folders.pop()
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    found.add(prefix + entry.name)
                    if entry.is_dir(follow_symlinks=False):
                        folders.append((entry.path, f"{prefix}{entry.name}/"))
        except FileNotFoundError:
            # Renamed or removed meanwhile.
            continue
    return found
