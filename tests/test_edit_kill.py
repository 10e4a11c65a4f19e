"""kill -9 of an edit at random steps: the resumed run's asset equals that of one left alone, byte for byte."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest
from edit_cases import edit_config, mask_file, splat_file, two_part_glb

from sds3d.core.streams import Streams
from sds3d.jobs.batch import create_folder
from sds3d.jobs.execute import execute
from sds3d.optimize.checkpoint import CheckpointStore

STEPS, KILLS = 90, 3


def killed_at(folder, step):
    """Work on the run in a process of its own, and kill it once it has done that many steps."""
    command = [sys.executable, "-m", "sds3d", "resume", str(folder.path), "--quiet"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while process.poll() is None:
        if folder.metrics_file.exists() and folder.metrics_file.read_bytes().count(b"\n") >= step:
            break
        time.sleep(0.002)
    process.kill()
    _, err = process.communicate()
    assert process.returncode in (-signal.SIGKILL, 0), err
    return process.returncode == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["splats", "mesh"])
def test_a_killed_edit_ends_with_the_same_bytes(tmp_path, kind):
    """The mask of its region is gone by then: what it came to stands in the run."""
    file = splat_file(tmp_path) if kind == "splats" else two_part_glb(tmp_path)
    mask = mask_file(tmp_path, left=True)
    changes = {
        "optimize__steps": STEPS,
        "optimize__checkpoint_steps": 7,
        "edit__region": [f"mask:{mask}@0,0"],
        "edit__strength": 0.8,
    }
    whole, folder = (create_folder(edit_config(tmp_path / name, file, **changes)) for name in ("a", "b"))
    mask.unlink()
    execute(whole)
    hit = 0
    for k in range(KILLS):
        latest = CheckpointStore(folder.checkpoints).latest() if folder.checkpoints.is_dir() else None
        jump = 1 + int(Streams(KILLS).integers(STEPS // KILLS, (), "kill", k)[0])
        hit += killed_at(folder, min((latest.step if latest else 0) + jump, STEPS - 1))
    execute(folder)
    assert hit >= KILLS - 1
    for get in (lambda f: next(iter(f.assets().values())), lambda f: f.before_after, lambda f: f.contact):
        assert get(folder).read_bytes() == get(whole).read_bytes()
    one, two = (CheckpointStore(f.checkpoints).latest().hash() for f in (folder, whole))
    assert one == two
