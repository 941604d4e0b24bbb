"""Damages checkpoints: flips bytes, cuts, empties or removes files."""

import json


def newest(folder):
    """Reads of the data before the newest checkpoint, and the names of its files; (0, ()) without
    one."""
    try:
        entry = json.loads((folder / "manifest.json").read_text())["checkpoints"][0]
    except (FileNotFoundError, NotADirectoryError):
        return 0, ()
    return entry["passes"], (entry["state"]["name"], *(part["name"] for part in entry["usages"]))


def some(folder, rng):
    """Damages one file of the folder; returns a description, and whether the newest checkpoint has
    become unusable."""
    _, files = newest(folder)
    there = sorted(folder.iterdir()) if folder.exists() else []
    if not there:
        return "nothing there to damage", False
    file = rng.choice(there)
    matters = file.name in files or (file.name == "manifest.json" and bool(files))
    content = bytearray(file.read_bytes())
    how = rng.choice(("flipped", "cut", "emptied", "removed"))
    if how == "removed":
        file.unlink()
    elif how == "emptied" or not content:
        file.write_bytes(b"")
    elif how == "cut":
        file.write_bytes(content[: rng.randrange(len(content))])
    else:
        at = rng.randrange(len(content))
        content[at] ^= 1 << rng.randrange(8)
        file.write_bytes(content)
    name = "the manifest" if file.name == "manifest.json" else f"a file of {'the newest' if matters else 'another'} checkpoint"
    return f"{name} {how}", matters
