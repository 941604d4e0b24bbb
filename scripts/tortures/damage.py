"""Random damage to the bytes of a file."""


def draw(rng, content):
    """Some damaged `content`, and a description of the damage."""
    content = bytearray(content)
    size = len(content)
    if size == 0:
        return content, "nothing to damage"
    # Headers are short beside data, so half of the damage goes near the start or to a signature.
    at = rng.choice((rng.randrange(size), rng.randrange(min(size, 4096)), near_signature(rng, content)))
    length = min(size - at, rng.choice((1, 2, 4, 8, 64, 512, 4096)))
    how = rng.choice(("bits", "bits", "bytes", "bytes", "zeros", "ones", "cut", "swapped"))
    if how == "bits":
        count = rng.randint(1, 8)
        for _ in range(count):
            content[min(size - 1, at + rng.randrange(64))] ^= 1 << rng.randrange(8)
        return content, f"{count} bits flipped from byte {at} on"
    if how == "cut":
        return content[:at], f"cut at byte {at} of {size}"
    if how == "swapped":
        other = rng.randrange(size - length + 1)
        a, b = bytes(content[at : at + length]), bytes(content[other : other + length])
        content[at : at + length], content[other : other + length] = b, a
        return content, f"{length} bytes at {at} and {other} swapped"
    fill = {"bytes": lambda: rng.randbytes(length), "zeros": lambda: bytes(length), "ones": lambda: b"\xff" * length}[how]()
    content[at : at + length] = fill
    return content, f"{length} bytes of {how} at byte {at}"


def near_signature(rng, content):
    """A place shortly after a signature of the metadata of HDF5: heaps, trees, object headers."""
    signature = rng.choice((b"GCOL", b"TREE", b"HEAP", b"SNOD", b"OHDR", b"FRHP", b"BTHD", b"\x89HDF"))
    places, at = [], content.find(signature)
    while at >= 0 and len(places) < 1000:
        places.append(at)
        at = content.find(signature, at + 1)
    return min(len(content) - 1, rng.choice(places) + rng.randrange(128)) if places else rng.randrange(len(content))
