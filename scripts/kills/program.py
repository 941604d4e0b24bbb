"""Runs partwise through its command line."""

import os
import pathlib
import re
import subprocess

import records


# The minimum budget, as the error of a refusal states it.
LEAST = re.compile(r"--memory (\d+)M")


class Lost(Exception):
    """The program has broken a promise; the text describes how."""


class Program:
    def __init__(self):
        self.binary = pathlib.Path(os.environ.get("PARTWISE_BIN", records.target() / "release" / "partwise")).resolve()

    def run(self, line, folder):
        """Exit code, stdout and stderr of `partwise LINE` in `folder`."""
        ran = subprocess.run(
            [self.binary, *line.split()], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        return ran.returncode, ran.stdout, ran.stderr

    def ok(self, line, folder):
        """stdout of a run that must succeed."""
        code, out, err = self.run(line, folder)
        if code != 0:
            raise Lost(f"partwise {line}\nended with {code}: {err}")
        return out

    def least_memory(self, fit, folder):
        """The minimum budget of a fit plus two mebibytes: it leaves the least room for W in memory."""
        _, _, err = self.run(f"plan {fit} --memory 1M", folder)
        return f"{int(LEAST.search(err)[1]) + 2}M"
