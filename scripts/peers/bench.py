"""The argument of every part: the program, a folder for data, the sizes, and the list of
figures."""

import time

from . import clock
from .figures import Figure
from .program import Program
from .trace import Trace

# Seconds between two lines of a peer's progress.
INTERVAL = 3


class Bench:
    def __init__(self, folder, options):
        self.folder, self.options = folder, options
        self.program = Program(folder)
        self.figures = []
        # Error against time by the name of the data, for the plot.
        self.traces = {}
        # The lowest relative error that any program reached, by the name of the data.
        self.best = {}
        self.began = time.monotonic()

    def say(self, text):
        print(f"[{time.monotonic() - self.began:5.0f} s] {text}", flush=True)

    def figure(self, *words, **more):
        figure = Figure(*words, **more)
        self.figures.append(figure)
        self.say(f"    {figure.line()}")

    def counts(self, planted):
        """Simulated counts, as (name, gzip h5ad, store): made once, and kept if the folder is
        kept."""
        (cells, genes), (programs, dominance) = (self.options.cells, self.options.genes), planted
        kind = "a continuum of" if dominance == 0 else "cells of"
        name = f"counts {cells}x{genes}, {kind} {programs} programs"
        stem = f"counts-{cells}-{genes}-{programs}-{dominance}"
        store, packed = self.folder / f"{stem}.pw", self.folder / f"{stem}.h5ad"
        if not store.exists():
            self.say(f"simulating {name} into a gzip h5ad file")
            plain = self.folder / "plain.h5ad"
            self.program.run(
                "simulate",
                "--kind",
                "counts",
                "--cells",
                cells,
                "--genes",
                genes,
                "--programs",
                programs,
                "--dominance",
                dominance,
                "-o",
                plain,
                "--force",
            )
            clock.python("repack", {"path": str(plain), "to": str(packed)})
            plain.unlink()
            said, ran = self.program.run("convert", packed, "-o", store, "--force")
            self.say(f"{said['nonzeros']:,} nonzeros, {packed.stat().st_size:,} bytes; converted in {ran.wall:.1f} s")
        return name, packed.name, store.name

    def clusters(self, cells, genes):
        """Simulated dense data, as (name, h5ad, store)."""
        name, stem = f"dense {cells}x{genes}", f"clusters-{cells}-{genes}"
        store, plain = self.folder / f"{stem}.pw", self.folder / f"{stem}.h5ad"
        if not store.exists():
            self.say(f"simulating {name}")
            self.program.run(
                "simulate",
                "--kind",
                "clusters",
                "--cells",
                cells,
                "--genes",
                genes,
                "--programs",
                5,
                "-o",
                plain,
                "--force",
            )
            self.program.run("convert", plain, "-o", store, "--force")
        return name, plain.name, store.name

    def peer(self, who, module, threads="", **job):
        """Error against time of a peer in its own process, printed as it comes."""
        trace, shown = Trace(who, threads=threads), [time.monotonic()]

        def hear(words):
            if "peak" in words:
                trace.peak = words["peak"]
                return
            trace.add(words["seconds"], words["error"], words["step"])
            if time.monotonic() - shown[0] > INTERVAL or words["error"] <= job["stop_at"]:
                shown[0] = time.monotonic()
                self.say(
                    f"    {who:<34} step {words['step']:>4}  {words['seconds']:8.2f} s  error {words['error']:.6f}"
                )

        job["path"] = str(self.folder / job["path"])
        # The clock of a peer stops while errors are computed, so the whole takes longer than its
        # limit.
        clock.python(module, job, hear, limit=60 + 4 * job["limit"])
        return trace
