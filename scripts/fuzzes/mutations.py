"""Random damage to files of every format: to their bytes, to what is packed in them, to the numbers
and lines of texts, and to the numbers in HDF5 files."""

import gzip
import io
import re
import warnings
import zipfile

import h5py
import numpy as np

from tortures import damage

# A name may be twice in an archive on purpose.
warnings.filterwarnings("ignore", message="Duplicate name")

TEXTS = (".mtx", ".tsv", ".csv", ".json", ".zarray", ".zattrs", ".zgroup")
NUMBER = re.compile(rb"-?\d+(\.\d+)?([eE][+-]?\d+)?")
EDGES = (0, 1, -1, 2, 255, 256, 2**31 - 1, 2**31, -(2**31), 2**32 - 1, 2**32)
EDGES += (2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64)
WORDS = (b"nan", b"inf", b"1e400", b"1e-400", b"0.1", b"3.0", b"-0", b"+5", b"1_0", b"0x10", b"", b" ", b"\xff", b'"', b"null")
LONGEST = 4096


def mutate(rng, path):
    """Damages the file at `path`, or one file of the folder. Returns what was done."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    # A zarr store has more files for names than for its matrix.
    matrix = [file for file in files if "X" in file.relative_to(path.parent).parts]
    file = rng.choice(matrix if matrix and rng.random() < 0.6 else files)
    place = f"{file.relative_to(path.parent)}: "
    content = file.read_bytes()
    if content[:4] == b"\x89HDF" and rng.random() < 0.3:
        return place + value_in_hdf5(rng, file)
    content, what = inside(rng, file.name, content)
    file.write_bytes(content)
    return place + what


def inside(rng, name, content):
    """Some damaged content of a file of that name. Half of the damage to packed files goes to what is
    packed in them, and leaves their checksums right."""
    if content[:2] == b"\x1f\x8b" and rng.random() < 0.5:
        changed, what = inside(rng, name.removesuffix(".gz"), gzip.decompress(content))
        return gzip.compress(changed, mtime=0), f"unpacked, {what}"
    if content[:4] == b"PK\x03\x04" and rng.random() < 0.7:
        return inside_zip(rng, content)
    if name.endswith(TEXTS) and rng.random() < 0.6:
        return rng.choice((numbers, numbers, lines))(rng, content)
    return rng.choice((damage.draw, damage.draw, damage.draw, span))(rng, content)


def inside_zip(rng, content):
    """One file of an archive is damaged, or named otherwise, or there twice."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(member, archive.read(member)) for member in archive.infolist()]
    at = rng.randrange(len(members))
    member, unpacked = members[at]
    changed, what = inside(rng, member.filename, unpacked)
    twice = rng.random() < 0.1
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number, (member, unpacked) in enumerate(members):
            if number != at or twice:
                archive.writestr(named(member), unpacked, member.compress_type)
            if number == at:
                archive.writestr(named(member), changed, member.compress_type)
    return packed.getvalue(), f"{members[at][0].filename}{' a second time' if twice else ''}: {what}"


def named(member):
    return zipfile.ZipInfo(member.filename)


def span(rng, content):
    """Some bytes are repeated, removed or moved."""
    if not content:
        return content, "nothing to damage"
    at = rng.randrange(len(content))
    length = min(len(content) - at, rng.choice((1, 2, 4, 8, 64, 512, LONGEST)))
    piece, rest = content[at : at + length], content[:at] + content[at + length :]
    how = rng.choice(("repeated", "removed", "moved", "added at the end"))
    if how == "repeated":
        return content[:at] + piece * rng.choice((2, 2, 3, 100)) + content[at + length :], f"{length} bytes at {at} repeated"
    if how == "removed":
        return rest, f"{length} bytes at {at} removed"
    if how == "moved":
        to = rng.randrange(len(rest) + 1)
        return rest[:to] + piece + rest[to:], f"{length} bytes moved from {at} to {to}"
    return content + piece, f"{length} bytes at {at} repeated at the end"


def numbers(rng, content):
    """Numbers in a text become others, or words."""
    for _ in range(rng.choice((1, 1, 2, 8))):
        places = list(NUMBER.finditer(content))
        if not places:
            return content, "no number to damage"
        # The first numbers are those of headers.
        place = rng.choice((rng.choice(places), rng.choice(places[:8])))
        new = rng.choice((str(rng.choice(EDGES)).encode(), str(rng.randrange(100)).encode(), rng.choice(WORDS)))
        old, content = place[0], content[: place.start()] + new + content[place.end() :]
    return content, f"the number {old.decode()} at {place.start()} is {new!r}"


def lines(rng, content):
    """Lines of a text are swapped, repeated, removed, joined or ended otherwise."""
    parts = content.split(b"\n")
    a, b = rng.randrange(len(parts)), rng.randrange(len(parts))
    how = rng.choice(("swapped", "repeated", "removed", "joined", "emptied", "ended with a return"))
    if how == "swapped":
        parts[a], parts[b] = parts[b], parts[a]
    elif how == "repeated":
        parts.insert(b, parts[a])
    elif how == "removed":
        del parts[a]
    elif how == "joined":
        parts[a : a + 2] = [b"".join(parts[a : a + 2])]
    elif how == "emptied":
        parts.insert(a, rng.choice((b"", b" ", b"%", b"#", b",", b"\t")))
    else:
        parts[a] += b"\r"
    return b"\n".join(parts), f"line {a + 1} {how}" + (f", with {b + 1}" if how in ("swapped", "repeated") else "")


def value_in_hdf5(rng, file):
    """A number of a dataset or an attribute becomes another, through the HDF5 library, so that all
    checksums are right."""
    with h5py.File(file, "r+") as opened:
        places = []
        opened.visititems(lambda name, item: places.extend(numeric(name, item)))
        name, attribute = rng.choice(sorted(places))
        values = opened[name].attrs[attribute] if attribute else opened[name][()]
        flat = np.array(values).reshape(-1)
        at = rng.randrange(len(flat))
        old = flat[at]
        with np.errstate(over="ignore"):
            flat[at] = drawn(rng, flat)
        if attribute:
            opened[name].attrs.modify(attribute, flat.reshape(np.shape(values)))
        else:
            opened[name][...] = flat.reshape(np.shape(values))
    return f"{name}{f' ({attribute})' if attribute else ''}[{at}] is {flat[at]}, not {old}"


def numeric(name, item):
    """The places of numbers in a group or dataset, and its name again where it is one."""
    found = [(name, key) for key in item.attrs if np.asarray(item.attrs[key]).dtype.kind in "iuf" and np.size(item.attrs[key])]
    return found + [(name, "")] * (isinstance(item, h5py.Dataset) and item.dtype.kind in "iuf" and item.size > 0)


def drawn(rng, values):
    """A number of the type of `values`: an edge of its range, or one of about the same size."""
    if values.dtype.kind == "f":
        return rng.choice((0.0, -0.0, -1.0, 0.5, 3.0, 1e-46, 1e300, np.nan, np.inf, 16777217.0))
    limits = np.iinfo(values.dtype)
    near = int(rng.choice(values)) + rng.choice((-1, 1, 2, 17))
    fitting = [value for value in (*EDGES, near, near) if limits.min <= value <= limits.max]
    return rng.choice(fitting)
