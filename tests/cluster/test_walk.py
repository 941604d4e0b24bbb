"""Pastes docs/cluster.md: every block marked `sh`, one after the other, on the login node with a
fresh home."""

import re

from lab import REPOSITORY, until


def blocks():
    """The blocks that a reader pastes; blocks that need another site, or that install, are marked
    `text`."""
    return re.findall(r"^```sh\n(.*?)^```$", (REPOSITORY / "docs/cluster.md").read_text(), re.M | re.S)


def test_every_block_of_the_page_works_as_printed(slurm, tmp_path):
    (tmp_path / "partwise").symlink_to(REPOSITORY)
    assert len(blocks()) > 8
    folder = tmp_path
    for number, block in enumerate(blocks()):
        script = tmp_path / f"block{number}.sh"
        script.write_text(f"set -euo pipefail\n{block}")
        ran = slurm.run(f"timeout 120 bash {script}", folder, check=False, HOME=tmp_path)
        assert ran.returncode == 0, f"{block}\n{ran.stdout}{ran.stderr}"
        folder = tmp_path / "atlas"
        logs = lambda: "".join(log.read_text() for log in folder.glob("*.out"))
        until(90, lambda: f"{block}\n{logs()}", lambda: not slurm.run("squeue -h", tmp_path).stdout.strip())
    assert "== stopped" not in logs()
    results = {path.name for path in folder.glob("*.h5ad")}
    assert {"atlas.k16.h5ad", "again.h5ad", "launched.h5ad", "staged.h5ad", "atlas.k20.h5ad", "atlas.seed3.h5ad"} <= results
