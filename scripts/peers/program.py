"""Runs partwise through its command line, and records predicted and measured memory."""

import csv
import json
import os
import pathlib
import re
from dataclasses import dataclass

import records

from . import clock
from .trace import Trace

PASS = re.compile(r"^pass +(\d+)\b")
# Options that `plan` does not take or that change nothing in it.
NOT_PLANNED = ("--store", "--seed")


@dataclass
class Fit:
    """A fit: its JSON, its trace and its process."""

    said: dict
    rows: list
    ran: clock.Ran

    def trace(self, who):
        """Error against the time since the start of the process, by the times of its lines; this
        includes the start and the read.

        After the tenth pass only some passes print a line; the seconds of those between come from
        the table.
        """
        trace = Trace(who, peak=self.ran.peak, threads=f"{self.said['threads']} thread(s)")
        at = {int(found[1]): seconds for seconds, line in self.ran.lines if (found := PASS.match(line))}
        now = None
        for row in self.rows:
            number = int(row["pass"])
            if number in at:
                now = at[number]
            elif now is not None:
                now += float(row["seconds"])
            else:
                raise clock.Failed(f"partwise printed no line for pass {number}, so the time of its end is not known")
            trace.add(now, float(row["relative_error"]), number)
        return trace

    def pass_seconds(self):
        """Seconds of each pass."""
        return [float(row["seconds"]) for row in self.rows]


class Program:
    def __init__(self, folder):
        self.binary = pathlib.Path(os.environ.get("PARTWISE_BIN", records.target() / "release" / "partwise")).resolve()
        self.folder = folder
        # (input, options, bytes predicted, bytes seen) of every fit.
        self.predictions = []

    def run(self, *arguments):
        """The JSON of a verb, and the process."""
        ran = clock.run([self.binary, *arguments, "--json"], cwd=self.folder)
        return json.loads(ran.out), ran

    def fit(self, source, k, *options, name="result", planned=True):
        """Fits into NAME.h5ad with the trace in NAME.csv, after a plan of the same fit."""
        if planned:
            predicted = self.run("plan", source, "-k", k, *plannable(options))[0]["peak_bytes"]
        said, ran = self.run(
            "fit", source, "-k", k, *options, "-o", f"{name}.h5ad", "--trace", f"{name}.csv", "--force"
        )
        if planned:
            self.predictions.append((str(source), ["-k", str(k), *plannable(options)], predicted, ran.peak))
        with open(self.folder / f"{name}.csv", newline="") as file:
            return Fit(said, list(csv.DictReader(file)), ran)


def plannable(options):
    """The options, all of which take a value, without those of `NOT_PLANNED`."""
    pairs = zip(options[::2], options[1::2], strict=True)
    return [str(word) for option, value in pairs if option not in NOT_PLANNED for word in (option, value)]
