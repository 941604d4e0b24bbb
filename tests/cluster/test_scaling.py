"""Sums over a network take the time that `partwise plan --nodes` predicts."""

import os
import subprocess

import lab


def test_sums_over_slow_links_take_what_was_foreseen(openmpi):
    # Links so slow that other work on the machine does not matter; scripts/scaling also tries
    # faster ones.
    command = [lab.REPOSITORY / "scripts/scaling", "--rates", "100mbit", "--ranks", "2,4", "--data", "small", "--passes", "5"]
    ran = subprocess.run(command, env=dict(os.environ, PARTWISE_OPENMPI=str(openmpi.binary)), capture_output=True, text=True)
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
