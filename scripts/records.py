"""The record of a measurement: a table, and a page on the machine, the commit and the command."""

import csv
import datetime
import json
import os
import pathlib
import platform
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent


def target():
    """Cargo's target folder."""
    return pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


def said(*command):
    """The output of a command, one line or more; empty if the command cannot run."""
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""


def surroundings(*commands):
    """Lines of `name value` on the place and time of a measurement.

    Call it before the measurement: the measurement adds to the load, and the record changes the
    tree.
    """
    changed = " with changes" if said("git", "status", "--porcelain", "--untracked-files=no") else ""
    return [
        *commands,
        f"commit    {said('git', 'rev-parse', 'HEAD')}{changed}",
        f"cpu       {first('/proc/cpuinfo', 'model name')}, {os.cpu_count()} cores",
        f"memory    {first('/proc/meminfo', 'MemTotal')}",
        f"system    {platform.platform()}",
        f"compiler  {said('rustc', '--version')}",
        f"load      {os.getloadavg()[0]:.2f} when it began",
    ]


def first(path, key):
    for line in pathlib.Path(path).read_text().splitlines():
        if line.startswith(key):
            return line.split(":", 1)[1].strip()
    return "unknown"


def keep(machine, ending, columns, rows, about):
    """Writes benches/record/MACHINE/DATE{ending}.csv and .txt and returns the path without its
    ending."""
    folder = ROOT / "benches" / "record" / machine
    folder.mkdir(parents=True, exist_ok=True)
    name = folder / f"{datetime.date.today().isoformat()}{ending}"
    table(f"{name}.csv", columns, rows)
    pathlib.Path(f"{name}.txt").write_text("\n".join(about) + "\n")
    return name


def table(path, columns, rows):
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def criterion(pattern="**"):
    """(full id, median, low, high in nanoseconds, unit, count of units) of each case of
    criterion."""
    for path in sorted((target() / "criterion").glob(f"{pattern}/new/estimates.json")):
        about = json.loads((path.parent / "benchmark.json").read_text())
        median = json.loads(path.read_text())["median"]
        unit, count = next(iter((about.get("throughput") or {}).items()), ("", 0))
        interval = median["confidence_interval"]
        yield about["full_id"], median["point_estimate"], interval["lower_bound"], interval["upper_bound"], unit, count
