"""Damage to checkpoints: bytes flipped, files cut, emptied or gone."""


def some(folder, rng):
    """Damages one file of the folder, any or the newest; says what was done."""
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.exists() else []
    if not files:
        return "nothing there to damage"
    file = rng.choice(files)
    name = "the manifest" if file.name == "manifest.json" else "a file of a checkpoint"
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
    return f"{name} {how}"
