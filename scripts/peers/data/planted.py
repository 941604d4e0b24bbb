"""Counts of partwise's own simulator, packed by gzip."""

from dataclasses import dataclass

from .. import clock


@dataclass(frozen=True)
class Planted:
    cells: int
    genes: int
    programs: int
    # The part of a cell that its main program makes up: 0 gives a continuum, 0.75 clear types.
    dominance: float
    # How many times faster than anndata and coordinate descent partwise should be, from a file to a
    # result.
    over_cd_whole = 12

    @property
    def name(self):
        kind = "a continuum of" if self.dominance == 0 else "cells of"
        return f"counts {self.cells}x{self.genes}, {kind} {self.programs} programs"

    @property
    def stem(self):
        return f"counts-{self.cells}-{self.genes}-{self.programs}-{self.dominance}"

    @property
    def over_cd(self):
        """How many times faster than coordinate descent partwise should be."""
        return 40 if self.dominance == 0 else 22

    def write(self, bench, path):
        plain = path.with_suffix(".plain.h5ad")
        sizes = ("--cells", self.cells, "--genes", self.genes)
        law = ("--programs", self.programs, "--dominance", self.dominance)
        bench.program.run("simulate", "--kind", "counts", *sizes, *law, "-o", plain, "--force")
        clock.python("repack", {"path": str(plain), "to": str(path)})
        plain.unlink()
