"""Counts of partwise's own simulator, from deep cells to nearly empty ones."""

from dataclasses import dataclass

from .. import clock


@dataclass(frozen=True)
class Depths:
    """`depth` is the mean number of molecules of a cell; with `binary` each value becomes 1, as in
    data of open chromatin."""

    kind: str
    cells: int
    genes: int
    depth: int
    binary: bool = False

    @property
    def name(self):
        return f"{self.kind} {self.cells}x{self.genes}"

    @property
    def stem(self):
        return f"{self.kind.replace(' ', '-')}-{self.cells}-{self.genes}-{self.depth}"

    def write(self, bench, path):
        plain = path.with_suffix(".plain.h5ad")
        sizes = ("--cells", self.cells, "--genes", self.genes, "--depth", self.depth)
        law = ("--programs", 20, "--dominance", 0)
        bench.program.run("simulate", "--kind", "counts", *sizes, *law, "-o", plain, "--force")
        clock.python("repack", {"path": str(plain), "to": str(path), "binary": self.binary})
        plain.unlink()


def depths(cells, genes):
    """Deep cells (1,250 of 20,000 genes), shallow ones (480), and open chromatin: a tenth of the cells,
    and 25 peaks for each gene, of which a cell has nearly a hundredth."""
    peaks = 25 * genes
    return (
        Depths("deep cells", cells, genes, genes // 8),
        Depths("shallow cells", cells, genes, genes * 29 // 800),
        Depths("open chromatin", cells // 10, peaks, peaks // 93, binary=True),
    )
