"""Error against time, of partwise or a peer."""

import math
from dataclasses import dataclass, field


@dataclass
class Trace:
    """Points (seconds since the fit began, start included; ‖X − WH‖/‖X‖; step), in the order they
    came."""

    who: str
    points: list = field(default_factory=list)
    peak: int = 0
    threads: str = ""
    # How a peer's run ended; empty if it was killed long after its limit.
    end: str = ""

    def add(self, seconds, error, step):
        self.points.append((seconds, error, step))

    @property
    def errors(self):
        return [error for _, error, _ in self.points]

    @property
    def best(self):
        return min(self.errors, default=math.inf)

    def ending(self):
        """Where the run ended, in words."""
        if not self.points:
            return "no error within the time limit"
        seconds, error, step = self.points[-1]
        return f"{error:.6f} after {step} iterations, {seconds:.2f} s, {self.end or 'at the time limit'}"

    @property
    def last(self):
        return self.points[-1][0] if self.points else 0.0

    def time_to(self, error, best):
        """Seconds until the error is no larger than `error`; infinite if that never happens.

        Not every step of a peer is measured. Between two points the excess over `best` is assumed
        to fall exponentially, which favours the peer. partwise reports every pass: there the first
        point counts.
        """
        before = None
        for seconds, reached, _ in self.points:
            if reached <= error:
                if before is None or self.who.startswith("partwise"):
                    return seconds
                there, here = (math.log(max(e - best, 1e-9)) for e in (before[1], reached))
                wanted = math.log(max(error - best, 1e-9))
                part = (there - wanted) / (there - here) if there > here else 1.0
                return before[0] + min(max(part, 0.0), 1.0) * (seconds - before[0])
            before = (seconds, reached)
        return math.inf

    def steps_to(self, error):
        """The first step whose error is no larger, or else the last step."""
        return next((step for _, reached, step in self.points if reached <= error), self.points[-1][2])
