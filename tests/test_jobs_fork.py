"""Forks: a run that goes on from another's checkpoint, with changes."""

import pytest
import torch
from small_run import StopAt, small_folder

from sds3d.core.errors import ConfigError, RunFolderError, StopRequested
from sds3d.jobs import metrics
from sds3d.jobs.execute import execute
from sds3d.jobs.fork import fork
from sds3d.optimize.checkpoint import CheckpointStore


@pytest.fixture
def stopped(tmp_path):
    """The small run, stopped at step 5 of 8."""
    folder = small_folder(tmp_path)
    with pytest.raises(StopRequested):
        execute(folder, StopAt(5))
    return folder


def last(folder):
    return CheckpointStore(folder.checkpoints).latest()


def test_a_fork_without_changes_ends_as_the_run_itself(stopped):
    other = fork(stopped, [])
    assert other.path != stopped.path
    execute(other)
    execute(stopped)
    assert last(other).hash() == last(stopped).hash()
    assert [row["step"] for row in metrics.read(other.metrics_file)] == list(range(1, 9))
    assert other.provenance()["forked"] == {"from": stopped.path.name, "step": 5}


def test_more_steps_and_another_guidance(stopped):
    before = last(stopped)
    other = fork(stopped, ["optimize.steps=10", "guidance=csd"])
    begun = last(other)
    assert begun.guidance is None
    assert begun.step == 5
    for name, value in before.representation.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(begun.representation[name], value)
    execute(other)
    assert other.status().step == 10
    assert last(stopped).hash() == before.hash()


def test_the_memory_of_the_guidance_goes_along_where_it_stays(tmp_path):
    folder = small_folder(tmp_path, guidance="cfd")
    with pytest.raises(StopRequested):
        execute(folder, StopAt(3))
    assert last(fork(folder, ["cameras.fov_y_deg=[40,45]"])).guidance
    assert last(fork(folder, ["guidance.cfg_scale=3"])).guidance is None


def test_what_cannot_be_forked_is_refused_and_nothing_made(stopped, tmp_path):
    there = sorted(tmp_path.iterdir())
    with pytest.raises(ConfigError, match="stands at step 5"):
        fork(stopped, ["optimize.steps=5"])
    with pytest.raises(ConfigError, match="does not fit"):
        fork(stopped, ["representation.resolutions=[3,6]"])
    with pytest.raises(ConfigError, match="does not fit"):
        fork(stopped, ["representation=image"])
    with pytest.raises(ConfigError, match="cfg_scale"):
        fork(stopped, ["guidance.cfg_scal=3"])
    assert sorted(tmp_path.iterdir()) == there
    with pytest.raises(RunFolderError, match="no checkpoint"):
        fork(small_folder(tmp_path, seed=3), [])
