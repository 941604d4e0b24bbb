"""Checks a folder after a kill: nothing half-written may look whole, and an old file stays until
the new one replaces it."""

import hashlib
import json
from dataclasses import dataclass, field

import h5py

from .jobs import CHECKPOINTS
from .moments import names
from .program import Lost


@dataclass
class Bits:
    """The contents of a folder: the hash of the bits of each output, and every name."""

    outputs: dict = field(default_factory=dict)
    names: frozenset = frozenset()


def store_bits(path):
    """One hash of all files of a store: no byte of it differs from run to run."""
    hashes = [(file.name, hashlib.sha256(file.read_bytes()).hexdigest()) for file in sorted(path.iterdir())]
    return hashlib.sha256(json.dumps(hashes).encode()).hexdigest()


def result_bits(path):
    """The digest of a result, computed from W and H in the file; the file must name the same one. Of
    principal components, a hash of scores, axes and variances."""
    with h5py.File(path) as file:
        if "partwise_pca" in file["uns"]:
            arrays = [file[name][:] for name in ("obsm/X_pca", "varm/PCs", "uns/pca/variance")]
            return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()
        w, h = file["obsm/X_nmf"][:], file["varm/spectra"][:].T
        about = file["uns/nmf"]
        rows, named = int(about["block_rows"][()]), about["digest"].asstr()[()]
    whole = hashlib.sha256()
    for first in range(0, len(w), rows):
        whole.update(hashlib.sha256(w[first : first + rows].tobytes()).digest())
    whole.update(hashlib.sha256(h.tobytes()).digest())
    if whole.hexdigest() != named:
        raise Lost(f"{path.name} names the digest {named}, but its bits give {whole.hexdigest()}")
    return named


def bits(folder, job):
    """Hashes of the outputs that exist."""
    of = {"x.pw": store_bits, "r.h5ad": result_bits}
    return Bits({name: of[name](folder / name) for name in job.makes if (folder / name).exists()}, frozenset(names(folder)))


def check(program, folder, job, had, expected):
    """Checks that each output is whole or missing after a kill, by `info`, by `verify` and bit by
    bit.

    `had` are the bits from before the first run. An output has those or the expected ones, and one
    that the job replaces is always there.
    """
    for name in job.makes:
        if not (folder / name).exists():
            if name in had.outputs:
                raise Lost(f"{name} is gone before its replacement came; the folder holds {', '.join(sorted(names(folder)))}")
            code, _, err = program.run(f"info {name}", folder)
            if code != 66:
                raise Lost(f"info of the missing {name} ended with {code}: {err}")
            continue
        program.ok(f"info {name}", folder)
        if name == "x.pw":
            program.ok(f"verify {name}", folder)
        found = bits(folder, job).outputs[name]
        if found not in (had.outputs.get(name), expected.outputs[name]):
            raise Lost(f"{name} has other bits: {found} instead of {expected.outputs[name]}")
    partial = folder / "x.pw.partial"
    if partial.exists() and not (partial / "manifest.json").exists():
        code, _, err = program.run("info x.pw.partial", folder)
        if code != 65:
            raise Lost(f"info of an unfinished store ended with {code}: {err}")
    elif partial.exists():
        # A store that lacks only its name, or the replaced one before its removal.
        program.run("verify x.pw.partial", folder)


def named_checkpoints(folder):
    """Names of the files in the list of checkpoints, and the list itself."""
    try:
        entries = json.loads((folder / "manifest.json").read_text())["checkpoints"]
    except FileNotFoundError:
        return set()
    files = {part["name"] for entry in entries for part in (entry["state"], *entry["usages"])}
    return files | {"manifest.json"}


def phase(folder, job, had, expected):
    """The work that the kill interrupted, judged by the files left."""
    there = names(folder)
    now = bits(folder, job).outputs
    # Outputs that are as expected and were not before.
    made = [name for name in job.makes if name in now and now[name] == expected.outputs[name] != had.outputs.get(name)]
    if made == job.makes:
        return "after everything was in place"
    if ".r.h5ad.part" in there:
        return "writing the result"
    saved = {name.removeprefix(CHECKPOINTS + "/") for name in there if name.startswith(CHECKPOINTS + "/")}
    if saved - named_checkpoints(folder / CHECKPOINTS):
        return "writing a checkpoint"
    if saved:
        return "passes with a checkpoint behind them"
    if "x.pw.partial/manifest.json" in there:
        return "putting the store in place"
    if any(name.startswith("x.pw.partial") for name in there):
        return "writing the store"
    return "before the first checkpoint" if job.resumes else "before anything was written"
