"""Ctrl-C and kill -9 from outside: whatever happens to the process, the resumed run ends with the same bits."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest
from small_run import small_folder

from sds3d.core.streams import Streams
from sds3d.jobs import execute, metrics
from sds3d.optimize.checkpoint import CheckpointStore, read_state

STEPS = 400


def begin(folder):
    """A process that works on the run."""
    command = [sys.executable, "-m", "sds3d", "resume", str(folder.path), "--quiet"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_step(folder, step, process):
    """Until the run has done that many steps, or its process has ended."""
    while process.poll() is None:
        if folder.metrics_file.exists() and folder.metrics_file.read_bytes().count(b"\n") >= step:
            return
        time.sleep(0.005)


def files(folder):
    """The results, byte for byte."""
    return {p.name: p.read_bytes() for p in (*folder.assets().values(), folder.contact, folder.turntable)}


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path):
    folder = small_folder(tmp_path, optimize__steps=100_000, optimize__checkpoint_steps=100_000)
    process = begin(folder)
    wait_for_step(folder, 3, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"sds3d resume {folder.path}" in err
    assert "Traceback" not in err
    saved = CheckpointStore(folder.checkpoints).latest().step
    assert saved >= 3
    assert folder.status().state == "stopped"
    assert [row["step"] for row in metrics.read(folder.metrics_file)] == list(range(1, saved + 1))


def kills(folder, count, seed):
    """Kill the run `count` times at random steps; hashes of every checkpoint that was seen."""
    seen = {}
    done = 0
    for k in range(count):
        jump = int(Streams(seed).integers(STEPS // count, (), "kill", k)[0])
        process = begin(folder)
        wait_for_step(folder, min(done + 1 + jump, STEPS), process)
        process.kill()
        _, err = process.communicate()
        assert process.returncode in (-signal.SIGKILL, 0), err
        for path in CheckpointStore(folder.checkpoints).list():
            seen[path.name] = read_state(path).hash()
        done = CheckpointStore(folder.checkpoints).latest().step if seen else 0
        assert folder.status().state in ("stopped", "queued", "finished")
    return seen


def killed_and_whole(tmp_path, count, **changes):
    """The files and checkpoints of a run killed `count` times, and of one left alone."""
    changes = {
        "optimize__steps": STEPS,
        "optimize__checkpoint_steps": 7,
        "optimize__keep_checkpoints": STEPS,
    } | changes
    whole = small_folder(tmp_path / "whole", **changes)
    execute.execute(whole)
    folder = small_folder(tmp_path / "killed", **changes)
    kills(folder, count, seed=count)
    execute.execute(folder)
    hashes = [
        {p.name: read_state(p).hash() for p in CheckpointStore(f.checkpoints).list()} for f in (folder, whole)
    ]
    return folder, whole, hashes


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["grid", "gaussians", "mesh"])
def test_killed_at_random_ends_with_the_same_bits(tmp_path, kind):
    dense = {"kind": "gaussians", "init": {"count": 200}, "densify": {"every": 5, "start": 0.0, "stop": 1.0}}
    painted = {"kind": "mesh", "shape": "cube", "texture_size": 32, "max_offset": 0.05}
    other = {"gaussians": {"representation": dense}, "mesh": {"representation": painted}}
    folder, whole, (got, expected) = killed_and_whole(tmp_path, 10, **other.get(kind, {}))
    # checkpoints are also saved by time; every one at a step that both have must agree
    common = set(got) & set(expected)
    assert len(common) >= STEPS // 7
    assert {n: got[n] for n in common} == {n: expected[n] for n in common}
    assert files(folder) == files(whole)
    rows = [
        [{k: v for k, v in row.items() if k != "seconds"} for row in metrics.read(f.metrics_file)]
        for f in (folder, whole)
    ]
    assert json.dumps(rows[0]) == json.dumps(rows[1])
