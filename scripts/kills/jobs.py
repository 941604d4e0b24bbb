"""The jobs to kill: command lines of the program, and the files that each must make."""

import random
import shutil
from dataclasses import dataclass

# These make the inputs in their folder; other jobs replace or overwrite those of the last
# three lines.
INPUTS = (
    "simulate --kind counts --cells 60000 --genes 2000 --programs 5 --depth 200 --seed 1 -o counts.h5ad",
    "simulate --kind clusters --cells 20000 --genes 300 --programs 5 --seed 2 -o table.h5ad",
    "simulate --kind counts --cells 3000 --genes 400 --programs 3 --depth 200 --seed 3 -o other.h5ad",
    "convert counts.h5ad -o counts.pw",
    "convert table.h5ad -o table.pw",
    "convert other.h5ad -o other.pw",
    "fit other.pw -k 3 --max-passes 3 -o other.nmf.h5ad",
    "pca other.pw -c 3 -o other.pca.h5ad",
)
CHECKPOINTS = "saved"


@dataclass(frozen=True)
class Job:
    """`line` makes the store x.pw, the result r.h5ad or both. `before` is the input that lies there
    and that the job replaces. With `resumes` a run goes on from the checkpoints of the one
    before."""

    name: str
    line: str
    before: str = ""
    resumes: bool = False

    @property
    def makes(self):
        return [name for name in ("x.pw", "r.h5ad") if name in self.line]

    @property
    def replaces(self):
        return ("x.pw" if self.before.endswith(".pw") else "r.h5ad") if self.before else None

    def prepare(self, inputs, folder):
        """Puts the input to be replaced into the folder, before the first run."""
        if self.replaces == "x.pw":
            shutil.copytree(inputs / self.before, folder / "x.pw")
        elif self.replaces:
            shutil.copy(inputs / self.before, folder / "r.h5ad")


CONVERSIONS = (
    Job("convert, sparse", "convert ../inputs/counts.h5ad -o x.pw"),
    Job("convert, dense", "convert ../inputs/table.h5ad -o x.pw"),
    Job("convert over a store", "convert ../inputs/counts.h5ad -o x.pw --force", before="other.pw"),
    Job("cut into other blocks", "convert ../inputs/counts.pw -o x.pw --block-rows 512"),
)
SPARSE, DENSE, WHOLE = "../inputs/counts.pw", "../inputs/table.pw", "../inputs/counts.h5ad --store x.pw"
# Passes that take half a second or more together.
FITS = (
    ("fit, sparse", f"{SPARSE} -k 6 --init random --max-passes 25", ""),
    ("fit, sparse, from a sample", f"{SPARSE} -k 12 --init sample --max-passes 12", ""),
    ("fit, sparse, usages on disk", f"{SPARSE} -k 24 --init random --max-passes 8 --memory least", ""),
    ("fit, sparse, mu, genes scaled", f"{SPARSE} -k 8 --solver mu --scale std --max-passes 25", ""),
    ("fit, dense", f"{DENSE} -k 10 --init random --max-passes 30", ""),
    ("fit, dense, bpp", f"{DENSE} -k 5 --solver bpp --init random --max-passes 10", ""),
    ("fit, dense, hals, little memory", f"{DENSE} -k 16 --solver hals --max-passes 20 --memory least", ""),
    ("fit over a result", f"{SPARSE} -k 6 --init random --max-passes 15 --force", "other.nmf.h5ad"),
    ("fit from a file", f"{WHOLE} -k 6 --max-passes 12", ""),
    ("fit from a file, all replaced", f"{WHOLE} -k 6 --max-passes 12 --force", "other.pw"),
)
COMPONENTS = (
    ("pca", f"{SPARSE} -c 40 --method krylov", ""),
    ("pca of logarithms, over a result", f"{SPARSE} -c 30 --method krylov --log1p --force", "other.pca.h5ad"),
)
RESUMES = f"-o r.h5ad --checkpoint {CHECKPOINTS} --checkpoint-every 1 --resume"


def all_jobs(program, inputs):
    """Every job, with a number in place of the memory `least`."""
    jobs = list(CONVERSIONS)
    for name, pca, before in COMPONENTS:
        jobs.append(Job(name, f"pca {pca} {RESUMES}", before, resumes=True))
    for name, fit, before in FITS:
        line = f"fit {fit} --tol 0 {RESUMES}"
        if "least" in fit:
            planned = fit.replace("../inputs/", "").replace(" --memory least", "")
            line = line.replace("least", program.least_memory(planned, inputs))
        jobs.append(Job(name, line, before, resumes=True))
    return jobs


def with_threads(line, rng: random.Random):
    """The line of one run, with a random number of threads, which must not change the result."""
    return f"{line} --threads {rng.choice((1, 2))} --json"
