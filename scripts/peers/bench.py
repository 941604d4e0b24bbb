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
        # By the name of the data: error against time, and the lowest relative error that any
        # program reached, for the plot; and the races that have been run.
        self.traces, self.best, self.races = {}, {}, {}
        self.began = time.monotonic()

    def say(self, text):
        print(f"[{time.monotonic() - self.began:5.0f} s] {text}", flush=True)

    def figure(self, *words, **more):
        figure = Figure(*words, **more)
        self.figures.append(figure)
        self.say(f"    {figure.line()}")

    def ready(self, data):
        """Data as (name, h5ad, store): made once, and kept if the folder is kept."""
        packed, store = self.folder / f"{data.stem}.h5ad", self.folder / f"{data.stem}.pw"
        if not store.exists():
            self.say(f"making {data.name}")
            data.write(self, packed)
            said, ran = self.program.run("convert", packed, "-o", store, "--force")
            self.say(f"{said['nonzeros']:,} nonzeros, {packed.stat().st_size:,} bytes; converted in {ran.wall:.1f} s")
        return data.name, packed.name, store.name

    def peer(self, who, module, label, threads=None, **job):
        """Error against time of a peer in its own process, printed as it comes."""
        trace, shown = Trace(who, threads=label), [time.monotonic()]

        def hear(words):
            if "peak" in words:
                trace.peak, trace.end = words["peak"], words["end"]
                return
            seconds, error, step = words["seconds"], words["error"], words["step"]
            trace.add(seconds, error, step)
            if time.monotonic() - shown[0] > INTERVAL:
                shown[0] = time.monotonic()
                self.say(f"    {who:<34} step {step:>4}  {seconds:8.2f} s  error {error:.6f}")

        job.update(path=str(self.folder / job["path"]), limit=self.options.limit, threads=threads or 0)
        # The clock of a peer stops while errors are computed, so the whole takes longer than its
        # limit.
        clock.python(module, job, hear, limit=60 + 4 * job["limit"], threads=threads)
        self.say(f"    {who}: {trace.ending()}")
        return trace

    def check(self, packed, result, claimed):
        """Checks the error that a result claims, by the function that judges all."""
        error = self.judge(packed, result)
        if abs(error - claimed) > 1e-5:
            raise clock.Failed(f"partwise reports the error {claimed}, but its result has {error}")

    def judge(self, packed, result):
        """The error of a result file."""
        job = {"path": str(self.folder / packed), "scale": "none", "result": str(self.folder / result)}
        return clock.python("judge", job)["error"]
