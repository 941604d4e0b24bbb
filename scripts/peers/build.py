"""Builds the peer that is a Rust library: a small program in a workspace of its own, so that its
packages stay out of partwise's lock file."""

import pathlib
import subprocess

import records

SOURCE = pathlib.Path(__file__).with_name("others") / "bixverse"
TARGET = records.target() / "bixverse"
BIXVERSE = TARGET / "release" / "bixverse-fit"


def bixverse():
    """Whether the program could be built; it cannot without network, if cargo has no copies of its
    packages."""
    command = ("cargo", "build", "--release", "--locked", "--manifest-path", SOURCE / "Cargo.toml")
    try:
        return subprocess.run((*command, "--target-dir", TARGET), check=False).returncode == 0
    except OSError:
        return False
