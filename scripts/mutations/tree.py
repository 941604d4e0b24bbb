"""A copy of the repository in which mutants are made and tested."""

import json
import os
import pathlib
import re
import shutil
import subprocess
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


class Failed(Exception):
    """The tests fail, or cargo-mutants does, without a mutant."""


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
        command = ["--list", "--json", *(f"--package=partwise-{crate}" for crate in crates), *(f"--file={glob}" for glob in files)]
        return listed(json.loads(self.cargo_mutants(command, check=True).stdout), self.root)

    def seconds_of_tests(self, crate, tests):
        """The time that the tests take without a mutant."""
        command = ["cargo", "test", "--quiet", "--locked", f"--package=partwise-{crate}", *tests]
        for phase in (["--no-run"], []):
            began = time.monotonic()
            ended = subprocess.run([*command, *phase], cwd=self.root, env=self.environment, capture_output=True, text=True)
            if ended.returncode != 0:
                raise Failed(f"{' '.join(command)}\n{ended.stdout}{ended.stderr}")
        return time.monotonic() - began

    def outcome(self, mutant, tests, seconds):
        """caught, missed, timeout or unviable: what the tests say of a mutant."""
        ended = self.cargo_mutants([
            "--in-place", "--baseline=skip", f"--timeout={PATIENCE * seconds + AT_LEAST:.0f}",
            f"--output={self.folder}", f"--package=partwise-{mutant.crate}", f"--re=^{re.escape(mutant.name)}$",
            *(f"--cargo-arg={test}" for test in ["--locked", *tests]),
        ])
        if ended.returncode not in (0, 2, 3):
            raise Failed(f"cargo-mutants ended with {ended.returncode}\n{ended.stdout}")
        outcomes = json.loads((self.folder / "mutants.out/outcomes.json").read_text())
        counts = {key: outcomes[key] for key in ("caught", "missed", "timeout", "unviable")}
        if sum(counts.values()) != 1:
            raise Failed(f"cargo-mutants tried {counts} for {mutant.name}")
        return next(key for key, count in counts.items() if count)

    def cargo_mutants(self, arguments, check=False):
        command = ["cargo", "mutants", f"--dir={self.root}", "--no-config", "--colors=never", *arguments]
        return subprocess.run(command, check=check, env=self.environment, stdout=subprocess.PIPE, text=True)
