"""What `partwise plan --nodes` foresees of sums over a network comes true."""

import os
import subprocess

import lab


def test_sums_over_slow_links_take_what_was_foreseen(openmpi):
    # Links so slow that nothing else the machine does meanwhile shows; scripts/scaling tries faster ones as well.
    command = [lab.REPOSITORY / "scripts/scaling", "--rates", "100mbit", "--ranks", "2,4", "--data", "small", "--passes", "5"]
    ran = subprocess.run(command, env=dict(os.environ, PARTWISE_OPENMPI=str(openmpi.binary)), capture_output=True, text=True)
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
