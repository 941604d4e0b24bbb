"""The mutants that docs/mutants.md lists, because no test can or need catch them."""

import re

LIST = "docs/mutants.md"


def item(mutant):
    """A mutant as the list has it, without the reason."""
    return f"- `{mutant.file}`: `{mutant.change}`\n  `{mutant.code}`"


def names(text):
    """File, change and line of code of each item of the list, whose text may be wrapped anywhere."""
    items = re.split(r"^- ", text, flags=re.MULTILINE)[1:]
    spans = (re.findall(r"`([^`]+)`", " ".join(item.split())) for item in items)
    return {tuple(found[:3]) for found in spans if len(found) >= 3}
