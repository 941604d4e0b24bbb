"""A mutant, and the order in which a seed draws mutants."""

import dataclasses
import hashlib


@dataclasses.dataclass(frozen=True)
class Mutant:
    # As cargo-mutants prints it: file, line, column and change.
    name: str
    crate: str
    file: str
    change: str
    # The changed line, or the first of them.
    code: str
    # Where the change is: line and column, from 1, of its first character and of the one after it.
    start: tuple
    end: tuple
    replacement: str

    @property
    def key(self):
        """What stays the same if lines move."""
        return (self.file, self.change, self.code)

    def made(self, source):
        """The source of its file with the change."""
        lines = source.split("\n")
        (first, left), (last, right) = self.start, self.end
        before = "\n".join([*lines[:first - 1], lines[first - 1][:left - 1]])
        after = "\n".join([lines[last - 1][right - 1:], *lines[last:]])
        return before + self.replacement + after


def listed(found, tree):
    """The mutants that cargo-mutants found in a tree."""
    mutants, lines = [], {}
    for entry in found:
        file = entry["file"]
        if file not in lines:
            lines[file] = (tree / file).read_text().split("\n")
        name = entry["name"]
        change = name.split(": ", 1)[1]
        start, end = ((entry["span"][at]["line"], entry["span"][at]["column"]) for at in ("start", "end"))
        code = " ".join(lines[file][start[0] - 1].split())
        crate = entry["package"].removeprefix("partwise-")
        mutants.append(Mutant(name, crate, file, change, code, start, end, entry["replacement"]))
    return mutants


def drawn(mutants, seed):
    """The mutants in the order of a seed, which other mutants do not change."""
    def draw(mutant):
        text = "\0".join((str(seed), *mutant.key))
        return hashlib.sha256(text.encode()).digest(), mutant.name

    return sorted(mutants, key=draw)
