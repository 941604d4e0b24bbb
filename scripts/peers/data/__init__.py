"""Data to compare on: one kind per file.

Each kind has a `name` for people, a `stem` for files, and `write(bench, path)`, which makes an h5ad
file. `Bench.ready` makes it once, with its store.
"""

from .lognormal import Lognormal
from .planted import Planted
from .real import real_files

# A continuum of cells, where every method is slow; clear types, as many as components; fewer types
# than components; counts of another law; and counts that nobody simulated.
USUAL = "20:0,20,12,lognormal,real"


def chosen(text, cells, genes):
    """The data that `text` names: P[:D], `lognormal[:P]`, `real` or `real:WORD`, with commas
    between them."""
    found = []
    for word in text.split(","):
        kind, _, more = word.partition(":")
        if kind == "real":
            found += real_files(more)
        elif kind == "lognormal":
            found.append(Lognormal(cells, genes, int(more or 20)))
        else:
            found.append(Planted(cells, genes, int(kind), float(more or 0.75)))
    return found
