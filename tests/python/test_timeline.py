"""`fit --timeline`, and the projection of scripts/replay."""

import json
import subprocess
import sys

import pytest
from conftest import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "scripts"))
import timelines  # noqa: E402

REPLAY = REPOSITORY / "scripts" / "replay"


def event(ph, name, tid, milliseconds, **args):
    return {"ph": ph, "name": name, "tid": tid, "ts": 1000 * milliseconds, "args": args}


def of(tmp_path, name, loop=8):
    """A run of one thread: 2 ms alone, a loop of four tasks, and a walk over three blocks."""
    events = [
        {"ph": "M", "name": "thread_name", "tid": 0, "args": {"name": "main"}},
        event("B", "job", 0, 0),
        event("B", "pass", 1, 1),
        event("B", "update of H", 1, 1, tasks="4"),
        event("E", "update of H", 1, 1 + loop),
        event("B", "blocks", 1, 10, workers="1"),
        # The first block is read in two pieces.
        *(event("B", "block", 2, 10, block="5"), event("E", "block", 2, 12)),
        *(event("B", "block", 2, 13, block="5"), event("E", "block", 2, 16)),
        *(event("B", "block", 2, 16, block="6"), event("E", "block", 2, 19)),
        *(event("B", "block", 2, 19, block="7"), event("E", "block", 2, 20)),
        event("E", "blocks", 1, 20),
        event("E", "pass", 1, 20),
        event("E", "job", 0, 21),
    ]
    path = tmp_path / name
    path.write_text(json.dumps(events))
    return path


def test_a_run_is_played_on_more_threads(tmp_path):
    fit = timelines.read(of(tmp_path, "one.json"))
    assert fit.on(1) == pytest.approx(0.021) == fit.seen()
    # Alone 1 + 1 + 1 ms; the loop 2 of 4 tasks; blocks of 6, 3 and 1 ms.
    assert fit.on(2) == pytest.approx(0.003 + 0.004 + 0.006)
    # Three tasks at a time take two turns as well.
    assert fit.on(3) == pytest.approx(0.003 + 0.004 + 0.006)
    assert fit.on(64) == pytest.approx(0.003 + 0.002 + 0.006)
    assert timelines.of_pass(fit, 64) == pytest.approx(0.001 + 0.002 + 0.006)
    lost = dict(fit.lost(2))
    assert lost["blocks"] == pytest.approx(0.001) and lost["update of H"] == pytest.approx(0)
    assert lost["job"] == pytest.approx(0.001)


def test_of_several_runs_the_least_of_each_stage_counts(tmp_path):
    slow, usual = of(tmp_path, "slow.json", loop=8.8), of(tmp_path, "usual.json", loop=8)
    fit = timelines.least([timelines.read(slow), timelines.read(usual)])
    # The stage that follows begins when it did: alone it has less time in the slow run.
    assert fit.on(1) == pytest.approx(0.0202)
    said = subprocess.run([REPLAY, slow, usual, "--threads", "2", "--seen", usual], capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    assert "2 threads, projected: fit 0.012 s" in said.stdout and "seen: fit 0.021 s" in said.stdout


def test_runs_of_different_work_are_refused(tmp_path):
    one = of(tmp_path, "one.json")
    other = tmp_path / "other.json"
    other.write_text(one.read_text().replace('"4"', '"5"'))
    said = subprocess.run([REPLAY, one, other], capture_output=True, text=True)
    assert said.returncode == 1 and "`update of H` of one run is not that of another" in said.stderr
    (tmp_path / "none.json").write_text("[]")
    assert "no stage has ended" in subprocess.run([REPLAY, tmp_path / "none.json"], capture_output=True, text=True).stderr


@pytest.fixture
def small(partwise):
    partwise.json("simulate", "--kind", "counts", "--cells", 3000, "--genes", 400, "--programs", 4, "-o", "x.h5ad")
    partwise.json("convert", "x.h5ad", "-o", "x.pw", "--block-rows", 256)
    return partwise


def test_a_timeline_has_all_of_a_fit(small):
    said, result = small.fit("x.pw", 4, "--threads", 1, "--timeline", "one.json")
    fit = timelines.read(small.path("one.json"))
    assert fit.name == "job" and fit.on(1) == pytest.approx(fit.seen(), abs=1e-9)
    names = [stage.name for stage in fit.inner]
    for name in ("store", "plan", "start", "scores", "digest", "result"):
        assert names.count(name) == 1, name
    passes = [stage for stage in fit.inner if stage.name == "pass"]
    assert len(passes) == len(result.file.uns["nmf"]["trace"]["loss"])
    walks = [stage for one in passes for stage in one.inner if stage.name == "blocks"]
    assert [len(walk.blocks) for walk in walks] == [12] * len(passes)
    # More threads are never slower here, and never faster than their number.
    assert fit.on(1) / 16 < fit.on(16) <= fit.on(2) <= fit.on(1)
    # The bits do not know of it.
    again, _ = small.fit("x.pw", 4, "--threads", 2, "--timeline", "two.json")
    assert again["digest"] == said["digest"]
    two = small.path("two.json")
    (job,) = (span for span in timelines.spans(two) if span.name == "job")
    assert timelines.read(two).seen() == pytest.approx(job.seconds)
    refused = subprocess.run([REPLAY, two], capture_output=True, text=True)
    assert refused.returncode == 1 and "give those of fits with --threads 1" in refused.stderr


def test_a_timeline_replaces_only_a_timeline(small):
    small.path("thesis.json").write_text('[\n{"mine": 1}]')
    ran = small.run("fit", "x.pw", "-k", 3, "--timeline", "thesis.json", "-o", "r.h5ad", "--force")
    assert ran.returncode == 73 and "it is not a timeline" in ran.stderr
    assert small.path("thesis.json").read_text() == '[\n{"mine": 1}]'
    small.fit("x.pw", 3, "--timeline", "t.json", "--max-passes", 1)
    before = small.path("t.json").read_text()
    ran = small.run("fit", "x.pw", "-k", 3, "--timeline", "t.json", "-o", "r.h5ad")
    assert ran.returncode == 73 and "exists already" in ran.stderr
    assert small.path("t.json").read_text() == before
    small.fit("x.pw", 3, "--timeline", "t.json", "--max-passes", 1)
    timelines.read(small.path("t.json"))
    ran = small.run("fit", "x.pw", "-k", 3, "--timeline", "r.h5ad", "-o", "r.h5ad")
    assert ran.returncode == 2 and "the timeline would overwrite the result" in ran.stderr


def test_a_full_disk_is_an_error(small):
    ran = small.run("fit", "x.pw", "-k", 3, "--timeline", "/dev/full", "-o", "r.h5ad")
    assert ran.returncode == 73 and "/dev/full: " in ran.stderr and "a pipe or a device" in ran.stderr
