"""Timelines of `partwise fit --timeline`: read, and played again on other numbers of threads.

A timeline of one thread has every stage one after the other. A stage is one of three:

- a loop: so many tasks of about the same size, which threads share;
- a walk over blocks: the blocks are in a queue, and each worker takes the next one;
- anything else: what is in no loop and no walk inside it, one thread does.

On n threads a loop of t tasks takes ceil(t / n) / t of its time, a block goes to the worker that is
free first, and everything else takes as long as before. Memory, caches, frequencies and the start of
threads are left out: they only make many threads slower.
"""

import collections
import heapq
import json
import math
import statistics
from dataclasses import dataclass, field

SECOND = 1e6


class Differ(Exception):
    """Timelines that are not of the same work."""


@dataclass
class Stage:
    """A part of a run, and the parts inside it."""

    name: str
    # Seconds of one thread, in none of the stages inside.
    alone: float
    # Seconds of a loop, with its tasks, or of a walk of several workers.
    shared: float = 0
    tasks: int = 0
    # Seconds of each block of a walk of one worker.
    blocks: list = field(default_factory=list)
    inner: list = field(default_factory=list)

    def seen(self):
        """Seconds as they were."""
        return self.alone + self.shared + sum(self.blocks) + sum(stage.seen() for stage in self.inner)

    def has_workers(self):
        """Whether several workers walked over blocks: then it cannot be played on other threads."""
        return (self.shared > 0 and not self.tasks) or any(stage.has_workers() for stage in self.inner)

    def on(self, threads):
        """Seconds of a stage of one thread if so many had it."""
        return sum(now for _, _, now in self.parts(threads))

    def parts(self, threads):
        """What it is made of: the stage, the seconds of one thread, and those of so many."""
        yield self, self.alone, self.alone
        if self.blocks:
            yield self, sum(self.blocks), schedule(self.blocks, threads)
        elif self.tasks:
            yield self, self.shared, self.shared * math.ceil(self.tasks / threads) / self.tasks
        for stage in self.inner:
            yield from stage.parts(threads)

    def lost(self, threads):
        """Seconds beyond an n-th of one thread's, by the names of stages, those with the most first."""
        lost = collections.Counter()
        for stage, alone, now in self.parts(threads):
            lost[stage.name] += now - alone / threads
        return lost.most_common()


def of_pass(fit, threads):
    """Median seconds of a pass over all of the data on so many threads."""
    return statistics.median(stage.on(threads) for stage in fit.inner if stage.name == "pass")


def schedule(tasks, workers):
    """Seconds until all tasks are done, each by the worker that is free first."""
    free = [0.0] * workers
    for seconds in tasks:
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)


def least(stages):
    """The same stage of several runs with the least time of each part: other work on the machine only
    adds to it. A loop or a walk counts as one part, as it does on several threads."""
    first, *others = stages
    for other in others:
        if (first.name, first.tasks, len(first.blocks), len(first.inner)) != (
            other.name, other.tasks, len(other.blocks), len(other.inner),
        ):
            raise Differ(f"the stage `{first.name}` of one run is not that of another: give runs of one command")
    return Stage(
        first.name,
        min(stage.alone for stage in stages),
        min(stage.shared for stage in stages),
        first.tasks,
        min((stage.blocks for stage in stages), key=sum),
        [least(inner) for inner in zip(*(stage.inner for stage in stages))],
    )


def read(path):
    """The whole run that a timeline is of."""
    stages, blocks = [], []
    for span in spans(path):
        if span.name == "block":
            blocks.append(span)
        elif span.name != "read":
            stages.append(span)
    if not stages:
        raise Differ(f"{path}: no stage has ended")
    # The threads that lead wait for one another, so their stages are nested as if one thread had done
    # all of them.
    stages.sort(key=lambda span: (span.begin, -span.end))
    blocks.sort(key=lambda span: span.begin)
    above = stages[:1]
    for span in stages[1:]:
        while above[-1].end <= span.begin:
            above.pop()
        above[-1].inner.append(span)
        above.append(span)
    return stage(stages[0], blocks)


@dataclass
class Span:
    """A line of a timeline: from `begin` to `end`, in seconds since the start."""

    name: str
    begin: float
    end: float = math.nan
    tasks: int = 0
    workers: int = 0
    block: int = -1
    inner: list = field(default_factory=list)

    @property
    def seconds(self):
        return self.end - self.begin


def spans(path):
    """The spans of a file, in the order of their ends."""
    with open(path) as file:
        events = json.load(file)
    begun = collections.defaultdict(list)
    for event in events:
        if event["ph"] == "B":
            numbers = {name: int(number) for name, number in event.get("args", {}).items()}
            begun[event["tid"]].append(Span(event["name"], event["ts"] / SECOND, **numbers))
        elif event["ph"] == "E":
            span = begun[event["tid"]].pop()
            span.end = event["ts"] / SECOND
            yield span


def stage(span, blocks):
    """The stage of a span of a leading thread."""
    if span.tasks:
        return Stage(span.name, 0, span.seconds, tasks=span.tasks)
    if span.workers:
        own = [block for block in blocks if span.begin <= block.begin and block.end <= span.end]
        if span.workers > 1:
            return Stage(span.name, 0, span.seconds)
        own = times(own)
        # The rest is the start of the worker and its end.
        return Stage(span.name, span.seconds - sum(own), blocks=own)
    alone = span.seconds - sum(inner.seconds for inner in span.inner)
    return Stage(span.name, alone, inner=[stage(inner, blocks) for inner in span.inner])


def times(pieces):
    """Seconds of the blocks of one worker, in the order in which it took them. A block has a span for
    each piece that was read; what the worker does between two spans is part of the first."""
    blocks = {}
    for piece, following in zip(pieces, [*pieces[1:], None]):
        end = piece.end if following is None else following.begin
        blocks[piece.block] = blocks.get(piece.block, 0) + end - piece.begin
    return list(blocks.values())
