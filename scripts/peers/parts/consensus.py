"""Compares a sweep with cNMF 1.7.1, the published package, on the same counts, genes and replicates.

cNMF gets an environment of its own, because it pins versions of its own. Its clock runs for `cnmf factorize`
alone; that of partwise for the whole process, from the file of counts to stability and error of every k.
"""

import math
import os
import subprocess
import sys

from .. import clock

PACKAGE = "cnmf==1.7.1"
KS = (5, 6, 7, 8, 9)
REPLICATES, GENES, SEED = 20, 2000, 14
ROUNDS = 3
# Replicates and k with --quick.
QUICK = (4, (5, 6), 500)


def run(bench):
    replicates, ks, genes = QUICK if bench.options.quick else (REPLICATES, KS, GENES)
    cnmf = installed(bench)
    for data in bench.options.data:
        name, packed, _ = bench.ready(data)
        counts = bench.folder / f"consensus-{packed}"
        clock.python("filtered", {"path": str(bench.folder / packed), "to": str(counts)})
        ask = ("-k", ",".join(map(str, ks)), "--replicates", replicates, "--hvg", genes, "--seed", SEED)
        ours = {threads: math.inf for threads in (1, 2)}
        for threads in ours:
            for _ in range(1 if bench.options.quick else ROUNDS):
                said, ran = bench.program.run("sweep", counts.name, *ask, "--threads", threads, "-o", "c.sweep", "--force")
                ours[threads] = min(ours[threads], ran.wall)
        bench.say(f"partwise: {ours[1]:.1f} s on one thread, {ours[2]:.1f} s on two, {ran.peak >> 20} MiB")
        programs, consensus = bench.program.run("consensus", "c.sweep", "-k", ask[1], "-o", "c.programs", "--force")

        theirs = Theirs(cnmf, bench, counts.name)
        theirs.step("prepare", "-c", counts.name, "-k", *ks, "--n-iter", replicates, "--numgenes", genes, "--seed", SEED)
        alone = theirs.step("factorize", "--total-workers", 1, threads=1)
        bench.say(f"cNMF: factorize {alone.wall:.1f} s on one core, {alone.peak >> 20} MiB")
        usual = theirs.step("factorize", "--total-workers", 1)
        bench.say(f"cNMF: factorize {usual.wall:.1f} s, its default: one worker, any number of threads")
        theirs.step("combine")
        theirs.step("k_selection_plot")
        for k in ks:
            theirs.step("consensus", "--components", k, "--local-density-threshold", 0.5)
        judged = clock.python("agree", {"folder": str(bench.folder), "ks": list(ks), "sweep": "c.sweep", "programs": "c.programs"})

        figure = lambda what, *words, **more: bench.figure("consensus", name, what, *words, **more)
        note = f"partwise {ours[1]:.2f} s from file to stability, cnmf factorize {alone.wall:.1f} s"
        figure("sweep on one core, faster than factorize on one", alone.wall / ours[1], least=25, note=note)
        note = f"partwise {ours[2]:.2f} s, cnmf factorize {usual.wall:.1f} s"
        figure("sweep on 2 threads, faster than a default worker", usual.wall / ours[2], least=25, note=note)
        figure("consensus of all k", consensus.wall, "s", note=f"{consensus.peak >> 20} MiB")
        figure("reads of the full matrix, conversion included", 1 + said["passes"] + programs["passes"], "", most=3)
        note = f"partwise k = {judged['ours']}, cNMF k = {judged['theirs']}"
        figure("the same k is the most stable", float(judged["ours"] == judged["theirs"]), "", least=1, note=note)
        figure("least cosine of programs at that k", judged["least"], "", least=0.999)
        figure("programs of all k with a cosine > 0.99", judged["part"], "", least=0.75)
        figure("largest difference of stability", judged["stability"], "", most=0.1)


def installed(bench):
    """The program `cnmf`, in an environment that is made if it is missing."""
    folder = bench.folder / "cnmf-environment"
    if not (folder / "bin" / "cnmf").exists():
        bench.say(f"installing {PACKAGE}")
        for command in ([sys.executable, "-m", "venv", folder], [folder / "bin" / "pip", "install", "-q", PACKAGE]):
            ended = subprocess.run(list(map(str, command)), capture_output=True, text=True)
            if ended.returncode != 0:
                raise clock.Failed(f"{' '.join(map(str, command))}\n{ended.stderr[-2000:]}")
    return folder / "bin" / "cnmf"


class Theirs:
    """A run of cNMF in the folder of the data."""

    def __init__(self, cnmf, bench, counts):
        self.cnmf, self.folder, self.counts = cnmf, bench.folder, counts

    def step(self, verb, *options, threads=None):
        environment = dict(os.environ, PYTHONWARNINGS="ignore", MPLBACKEND="Agg")
        if threads:
            environment.update({f"{name}_NUM_THREADS": str(threads) for name in ("OMP", "OPENBLAS", "MKL")})
        command = [self.cnmf, verb, "--output-dir", "cnmf", "--name", "peer", *options]
        if threads == 1:
            command = ["taskset", "-c", "0", *command]
        return clock.run(command, cwd=self.folder, env=environment)
