"""The parts that every peer's process needs: job, output, clock and peak memory."""

import json
import sys
import time


# How a run ends: by the program's own rule, or because its clock reached the limit of the job.
RULE, LIMIT = "by its own rule", "at the time limit"


def job():
    return json.loads(sys.argv[1])


def say(**words):
    print(json.dumps(words), flush=True)


def peak():
    """Peak resident bytes of this process since it began, not of the one that started it."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmHWM"))


class Watch:
    """A stopwatch that can stop while something else runs."""

    def __init__(self):
        self.wall = 0.0
        self.go()

    def go(self):
        self.since = time.perf_counter()

    def hold(self):
        self.wall = self.now()

    def now(self):
        """Seconds so far, while it goes."""
        return self.wall + time.perf_counter() - self.since


def worth_a_look(step):
    """Whether to compute the error after this step: up to step 10 after each, up to 100 after every
    second, then after every twentieth."""
    return step % max(1, 10 ** (len(str(step)) - 1) // 5) == 0
