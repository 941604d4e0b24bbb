"""Compares a pass over dense data in the page cache with two plain faer products of its shape, as
`benches/passes.rs` measures both."""

import re
import shutil
import subprocess

import records

from .. import clock

CASE = "dense"


def run(bench):
    shutil.rmtree(records.target() / "criterion", ignore_errors=True)
    bench.say("cargo bench --bench passes -- dense (builds it first where it is not there)")
    command = ["cargo", "bench", "--locked", "--bench", "passes", "--", f"/{CASE} "]
    ran = subprocess.run(command, cwd=records.ROOT, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise clock.Failed(f"{' '.join(command)} failed\n{ran.stderr[-3000:]}")
    median = {case: nanoseconds for case, nanoseconds, *_ in records.criterion()}
    for case, pass_time in median.items():
        found = re.fullmatch(rf"pass/({CASE} .*)/scale None/(\d+) threads", case)
        if found:
            plain = median[f"plain faer products/{found[1]}/{found[2]} threads"]
            bench.figure(
                "dense",
                found[1],
                f"pass, {found[2]} threads, of two plain faer products",
                plain / pass_time,
                least=0.7,
                note=f"{pass_time / 1e6:.1f} ms, products {plain / 1e6:.1f} ms",
            )
