"""A copy of the repository in which mutants are made and tested."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

from .mutant import listed

# Workspace crates only: they are compiled for each mutant, so quickly rather than well.
ENVIRONMENT = {
    "CARGO_PROFILE_DEV_DEBUG": "false",
    "CARGO_PROFILE_DEV_OPT_LEVEL": "1",
    # A failure of one mutant must not become a test of the next one.
    "PROPTEST_DISABLE_FAILURE_PERSISTENCE": "1",
    "PROPTEST_MAX_SHRINK_ITERS": "0",
}
# A mutant may take this many times the time of the tests without one, and some seconds, before it
# counts as one without end.
PATIENCE, AT_LEAST = 5, 30
# The compiler evaluates constants, so it may have no end either.
LONGEST_BUILD = 600


class Failed(Exception):
    """The tests fail without a mutant."""


class Tree:
    def __init__(self, folder):
        self.folder, self.root = folder, folder / "tree"
        self.environment = {**os.environ, **ENVIRONMENT, "CARGO_TARGET_DIR": str(folder / "build")}
        # The files have the time of now, so a mutant that a killed run left is compiled again.
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(parents=True)
        names = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], check=True, capture_output=True).stdout
        for name in filter(os.path.exists, names.decode().rstrip("\0").split("\0")):
            to = self.root / name
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(name, to)

    def mutants(self, crates, files):
        """All mutants of these crates, in files that match one of the globs, if there are any."""
        command = [
            "cargo", "mutants", f"--dir={self.root}", "--no-config", "--colors=never", "--list", "--json",
            *(f"--package=partwise-{crate}" for crate in crates), *(f"--file={glob}" for glob in files),
        ]
        ended = subprocess.run(command, check=True, env=self.environment, stdout=subprocess.PIPE, text=True)
        return listed(json.loads(ended.stdout), self.root)

    def seconds_of_tests(self, crate, tests):
        """The time that each of the tests takes without a mutant."""
        seconds = {}
        for test in tests:
            self.must_pass(crate, test, "--no-run")
            began = time.monotonic()
            self.must_pass(crate, test)
            seconds[test] = time.monotonic() - began
        return seconds

    def outcome(self, mutant, seconds):
        """caught, missed, timeout or unviable: what the tests, one after another, say of a mutant."""
        # cargo-mutants lists the mutants and does not make them: its filter by name lets every
        # deleted field of a struct pass (27.1.0), so it would try those along with each mutant.
        path = self.root / mutant.file
        source = path.read_text()
        path.write_text(mutant.made(source))
        try:
            for test in seconds:
                if self.code(mutant.crate, test, LONGEST_BUILD, "--no-run")[0] != 0:
                    return "unviable"
                code, _ = self.code(mutant.crate, test, PATIENCE * seconds[test] + AT_LEAST)
                if code != 0:
                    return "timeout" if code is None else "caught"
            return "missed"
        finally:
            path.write_text(source)

    def must_pass(self, crate, test, *phase):
        code, output = self.code(crate, test, None, *phase)
        if code != 0:
            raise Failed(f"{test} of {crate} ended with {code}\n{output}")

    def code(self, crate, test, timeout, *phase):
        """The exit code of a test, None after a timeout, and its output."""
        command = ["cargo", "test", "--quiet", "--locked", f"--package=partwise-{crate}", test, *phase]
        with tempfile.TemporaryFile("w+") as output:
            running = subprocess.Popen(command, cwd=self.root, env=self.environment, stdout=output, stderr=output, start_new_session=True)
            try:
                code = running.wait(timeout)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                # The test may have children, and a caller that is interrupted leaves it running.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(running.pid, signal.SIGKILL)
                running.wait()
            output.seek(0)
            return code, output.read()
