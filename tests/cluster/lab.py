"""Virtual hosts and the one-machine Slurm of scripts/cluster, as objects that tests use."""

import os
import pathlib
import re
import shlex
import signal
import subprocess
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
SCRIPTS = REPOSITORY / "scripts/cluster"


def until(seconds, what, condition):
    """Waits for `condition()` and returns its value. If it stays false, fails with `what`, which
    may be a function."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"not within {seconds} s: {what() if callable(what) else what}"
        time.sleep(0.1)


def processes(word):
    """Ids of the programs (not of the shells and launchers around them) that have `word` in their
    command line."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # it ended while we looked
        if any(word.encode() in part for part in command) and command[0].endswith(b"/partwise"):
            found.append(int(folder.name))
    return found


def anything(word):
    """Ids of all processes that have `word` in their command line, launchers included."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if word.encode() in (folder / "cmdline").read_bytes() and int(folder.name) != os.getpid():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


class Hosts:
    """Virtual hosts PREFIX1 … PREFIXn."""

    script = SCRIPTS / "vhosts"

    def __init__(self, prefix, net, count):
        self.prefix, self.net, self.names = prefix, net, [f"{prefix}{i + 1}" for i in range(count)]
        self.environment = {**os.environ, "VHOSTS_PREFIX": prefix, "VHOSTS_NET": net}
        self.do("down")
        self.do("up", str(count))

    def do(self, *arguments, check=True):
        """A command of the script."""
        command = [self.script, *map(str, arguments)]
        ran = subprocess.run(command, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert not check or ran.returncode == 0, f"{shlex.join(map(str, command))}: {ran.stdout}{ran.stderr}"
        return ran

    def start(self, host, command, folder):
        """Starts a command line on a host, with its output in files, and returns a `Running`."""
        return Running([self.script, "run", host, command], self.environment, folder)

    def on(self, host, word):
        """The program with `word` in its command line that runs on `host`."""
        there = os.stat(f"/run/netns/{host}").st_ino
        return [pid for pid in processes(word) if os.stat(f"/proc/{pid}/ns/net").st_ino == there]


class Running:
    """A running command."""

    def __init__(self, command, environment, folder):
        self.folder = folder
        self.out, self.err = folder / "stdout", folder / "stderr"
        with open(self.out, "w") as out, open(self.err, "w") as err:
            self.process = subprocess.Popen(
                [str(part) for part in command], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
            )
        self.began = time.monotonic()

    @property
    def said(self):
        return self.err.read_text(errors="replace")

    def send(self, number):
        os.kill(self.process.pid, number)

    def ends(self, seconds):
        """The exit code, which must come within `seconds`; otherwise kills everything the command
        started."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            for pid in anything(str(self.folder)):
                os.kill(pid, signal.SIGKILL)
            raise AssertionError(f"still running after {seconds} s\n{self.said}") from None
        return code

    def leaves_nothing(self, seconds=5):
        until(seconds, lambda: f"left over: {anything(str(self.folder))}", lambda: not anything(str(self.folder)))


class Slurm(Hosts):
    """The one-machine Slurm: a cluster of virtual hosts. It keeps its files in `folder`."""

    script = SCRIPTS / "slurm-lab"

    def __init__(self, prefix, net, count, folder, path):
        self.folder = folder
        os.environ["SLURM_LAB"] = str(folder)
        self.path = path
        super().__init__(prefix, net, count)

    def run(self, command, folder, check=True, **variables):
        """A command line on the login node, in `folder`."""
        words = " ".join(f"{name}={shlex.quote(str(value))}" for name, value in {"PATH": self.path, **variables}.items())
        return self.do("run", f"cd {shlex.quote(str(folder))} && export {words} && {command}", check=check)

    def submit(self, command, folder, **variables):
        said = self.run(f"sbatch {command}", folder, **variables).stdout
        return int(re.search(r"Submitted batch job (\d+)", said)[1])

    def show(self, job, field):
        """A field of a job's record, such as JobState."""
        said = self.run(f"scontrol show job {job}", self.folder).stdout
        return re.search(rf"\b{field}=(\S*)", said)[1]

    def state(self, job):
        return self.show(job, "JobState")

    def ends(self, job, seconds, log):
        """The state and exit code in which a job ends for good."""
        over = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "OUT_OF_MEMORY", "BOOT_FAIL"}
        said = lambda: f"job {job} to end; {self.state(job)}\n{log.read_text() if log.exists() else ''}"
        state = until(seconds, said, lambda: (state := self.state(job)) in over and state)
        return state, int(self.show(job, "ExitCode").split(":")[0])
