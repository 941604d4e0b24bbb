"""Plays cases until there were enough or the time is up: each damages one file and runs one command
on it. An interruption (Ctrl-C) ends it with the summary so far."""

import argparse
import collections
import hashlib
import json
import math
import os
import pathlib
import random
import shutil
import sys
import tempfile
import time

from kills.program import Lost, Program

from . import damage, endings, subjects, values

# 0, and the exit codes for a file that is damaged, missing, too large for the budget or unreadable.
ALLOWED = (0, 2, 65, 66, 73, 74)
# Cases between two lines of progress.
PROGRESS = 100


def hashes(path):
    """The hash of every file at or below `path`."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.is_file()}


class Torture:
    def __init__(self, folder, seed, keep):
        self.program, self.folder, self.rng, self.keep = Program(), folder, random.Random(seed), keep
        self.inputs, self.round = folder / "inputs", folder / "round"
        self.inputs.mkdir()
        for line in subjects.INPUTS:
            self.program.ok(line, self.inputs)
        self.subjects = subjects.all_subjects(self.inputs)
        self.digests, self.failures = {}, []
        self.counts, self.codes = collections.Counter(), collections.Counter()

    def prepare(self, subject):
        """A new folder with the damaged subject; returns the description of the damage."""
        shutil.rmtree(self.round, ignore_errors=True)
        self.round.mkdir()
        for fellow in subject.fellows:
            subjects.copy(fellow, self.round / fellow.name)
        path = self.round / subject.name
        subjects.copy(subject.source, path)
        file = self.rng.choice(sorted(path.iterdir()) if path.is_dir() else [path])
        content, what = damage.draw(self.rng, file.read_bytes())
        file.write_bytes(content)
        return f"{subject.source.name}{'/' + file.name if path.is_dir() else ''}: {what}"

    def play(self):
        """Plays one case, and records what is wrong with it."""
        subject = self.rng.choice(self.subjects)
        command = self.rng.choice(subject.commands)
        what = self.prepare(subject)
        before, names = hashes(self.round / subject.name), {path.name for path in self.round.iterdir()}
        line = command.format(subject.name)
        code, out, err = endings.run(self.program.binary, line, self.round)
        if code is None:
            self.wrong(what, line, err)
            return
        self.counts[subject.source.name] += 1
        self.codes[code] += 1
        if "crashed the HDF5" in err:
            self.counts["(crashes of the HDF5 library that were caught)"] += 1
        problem = endings.fault(code, err, ALLOWED) or self.left(names, code)
        if not problem and not subject.changes and hashes(self.round / subject.name) != before:
            problem = "the input has changed"
        if not problem and code == 0:
            problem = self.compare(subject, line, out)
        if problem:
            self.wrong(what, line, f"{problem}\n    code {code}: {err.strip()[:600]}")

    def left(self, names, code):
        """What a run left that is neither whole nor an input."""
        new = {path.name for path in self.round.iterdir()} - names
        whole = {"out.pw"} if self.program.run("verify out.pw", self.round)[0] == 0 and "out.pw" in new else set()
        extra = new - whole - ({"out.h5ad"} if code == 0 else set())
        return f"left {sorted(extra)}" if extra else ""

    def compare(self, subject, line, out):
        """How a successful run differs from the damaged file."""
        verb = line.split()[0]
        path = self.round / subject.name
        if verb == "fit" and (subject.name == "x.pw" or subject.changes):
            digest = json.loads(out)["digest"]
            if digest not in (mine := self.digest(subject)):
                return f"another digest: {digest}, not {mine}"
        if verb == "convert" or (verb == "fit" and path.suffix in (".npy", ".h5ad") and "--store" in line):
            expected = values.of(path)
            if expected is None:
                self.counts["(read, but not by h5py or numpy)"] += 1
                return ""
            self.program.ok("export out.pw -o back.h5ad --quiet", self.round)
            return values.differ(expected, self.round / "back.h5ad")
        if verb == "export":
            return values.differ(values.of(self.inputs / subject.source.with_suffix(".h5ad").name), self.round / "out.h5ad")
        return ""

    def digest(self, subject):
        """The digest of the same fit without damage."""
        source = subject.source if subject.name == "x.pw" else subject.fellows[0]
        if source not in self.digests:
            folder = self.folder / "undisturbed"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            self.digests[source] = json.loads(self.program.ok(subjects.FIT.format(source), folder))["digest"]
        return self.digests[source]

    def wrong(self, what, line, problem):
        self.failures.append(f"{what}\n    partwise {line}\n    {problem}")
        print(f"WRONG {self.failures[-1]}", flush=True)
        if self.keep:
            shutil.copytree(self.round, self.keep / f"case{len(self.failures)}", dirs_exist_ok=True)


def main():
    parser = argparse.ArgumentParser(prog="scripts/torture", description=__doc__)
    parser.add_argument("--seconds", type=float, help="60 by default; without end if --cases is given")
    parser.add_argument("--cases", type=int)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="draws files, damages and commands")
    parser.add_argument("--keep", type=pathlib.Path, help="a folder for the damaged files of failures")
    options = parser.parse_args()
    seconds = options.seconds or (60 if options.cases is None else math.inf)
    most = math.inf if options.cases is None else options.cases
    folder = pathlib.Path(tempfile.mkdtemp(prefix="partwise-torture."))
    print(f"seed {options.seed}, at most {most} cases or {seconds:.0f} s, in {folder}", flush=True)
    torture, began, cases = Torture(folder, options.seed, options.keep), time.monotonic(), 0
    try:
        while cases < most and time.monotonic() - began < seconds:
            torture.play()
            cases += 1
            if cases % PROGRESS == 0:
                print(f"{cases} cases after {time.monotonic() - began:.0f} s", flush=True)
    except KeyboardInterrupt:
        print("interrupted")
    except Lost as error:
        torture.failures.append(str(error))
        print(f"WRONG {error}")
    print(f"{cases} cases, seed {options.seed}: {len(torture.failures)} wrong; exit codes {dict(sorted(torture.codes.items()))}")
    for name, count in torture.counts.most_common():
        print(f"{count:6}  {name}")
    shutil.rmtree(folder)
    sys.exit(1 if torture.failures else 0)


if __name__ == "__main__":
    main()
