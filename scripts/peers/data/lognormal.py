"""Counts of another law than that of partwise's own simulator; `others/lognormal.py` states it."""

from dataclasses import asdict, dataclass

from .. import clock


@dataclass(frozen=True)
class Lognormal:
    cells: int
    genes: int
    programs: int

    @property
    def name(self):
        return f"lognormal counts {self.cells}x{self.genes}, {self.programs} mixed programs"

    @property
    def stem(self):
        return f"lognormal-{self.cells}-{self.genes}-{self.programs}"

    def write(self, bench, path):
        clock.python("lognormal", {"to": str(path), "seed": 0, **asdict(self)})
