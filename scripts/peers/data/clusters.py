"""Dense data of partwise's own simulator: clusters of cells with noise."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Clusters:
    cells: int
    genes: int

    @property
    def name(self):
        return f"dense {self.cells}x{self.genes}"

    @property
    def stem(self):
        return f"clusters-{self.cells}-{self.genes}"

    def write(self, bench, path):
        sizes = ("--cells", self.cells, "--genes", self.genes)
        bench.program.run("simulate", "--kind", "clusters", *sizes, "--programs", 5, "-o", path, "--force")
