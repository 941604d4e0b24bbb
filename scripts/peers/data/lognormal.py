"""Counts of another law than that of partwise's own simulator; `others/lognormal.py` states it."""

from dataclasses import asdict, dataclass

from .. import clock


@dataclass(frozen=True)
class Lognormal:
    cells: int
    genes: int
    programs: int
    # How many times faster than coordinate descent partwise should be, to the same error and from a
    # file to a result.
    over_cd = 100
    over_cd_whole = 25

    @property
    def name(self):
        return f"lognormal counts {self.cells}x{self.genes}, {self.programs} mixed programs"

    @property
    def stem(self):
        return f"lognormal-{self.cells}-{self.genes}-{self.programs}"

    def write(self, bench, path):
        clock.python("lognormal", {"to": str(path), "seed": 0, **asdict(self)})
