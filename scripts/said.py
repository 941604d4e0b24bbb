"""Compares what a run has printed with the outputs that a page shows: `said.py PAGE OUTPUT`.

The page shows outputs as blocks of `text`, which may break lines anywhere. A line `…` stands for
what the page leaves out. Times and sizes of memory may differ. The exit code is 1 if a block is not
in the output.
"""

import pathlib
import re
import sys


def plain(text):
    """Without breaks of lines, times and sizes of memory."""
    return re.sub(r"\b[\d.]+ ?(?:[KMG]|m?s)\b", "#", " ".join(text.split()))


def main(page, output):
    said, lacks = plain(output.read_text()), []
    for block in re.findall(r"^```text\n(.*?)^```$", page.read_text(), re.M | re.S):
        lacks += [part for part in re.split(r"^…$", block, flags=re.M) if plain(part) not in said]
    for part in lacks:
        print(f"{page}: the run has not printed\n{part}", file=sys.stderr)
    return bool(lacks)


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])))
