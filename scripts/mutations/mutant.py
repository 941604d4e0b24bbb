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

    @property
    def key(self):
        """What stays the same if lines move."""
        return (self.file, self.change, self.code)


def listed(found, tree):
    """The mutants that cargo-mutants found in a tree."""
    mutants, lines = [], {}
    for entry in found:
        file = entry["file"]
        if file not in lines:
            lines[file] = (tree / file).read_text().splitlines()
        name = entry["name"]
        change = name.split(": ", 1)[1]
        code = " ".join(lines[file][entry["span"]["start"]["line"] - 1].split())
        mutants.append(Mutant(name, entry["package"].removeprefix("partwise-"), file, change, code))
    return mutants


def drawn(mutants, seed):
    """The mutants in the order of a seed, which other mutants do not change."""
    def draw(mutant):
        text = "\0".join((str(seed), *mutant.key))
        return hashlib.sha256(text.encode()).digest(), mutant.name

    return sorted(mutants, key=draw)
