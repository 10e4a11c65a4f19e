"""Carrying out runs: files, stop and resume to the same bits, failures, batches, the Python call."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

import pytest
from small_run import SMALL, StopAt, silent, small_config, small_folder

from sds3d import generate
from sds3d.assetio.kinds import read
from sds3d.core.errors import ConfigError, RunFolderError, Sds3dError, StopRequested
from sds3d.jobs import batch, execute, metrics
from sds3d.optimize.checkpoint import CheckpointStore
from sds3d.optimize.events import Silent


def numbers(folder):
    """The metrics without the times."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in metrics.read(folder.metrics_file)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that was never stopped."""
    folder = small_folder(tmp_path_factory.mktemp("runs"))
    execute.execute(folder)
    return folder


def test_everything_is_there(finished):
    assert finished.status().state == "finished"
    assert finished.status().step == 8
    assert [row["step"] for row in numbers(finished)] == list(range(1, 9))
    assert len(read(finished.assets()["glb"]).mesh.faces) > 0
    assert "3dgs" not in finished.assets()
    assert b"ftyp" in finished.turntable.read_bytes()[:16]
    assert finished.contact.read_bytes().startswith(b"\x89PNG")
    assert any(finished.previews.glob("step_*_render.png"))
    facts = finished.provenance()
    assert facts["versions"]["torch"]
    assert facts["prior"]["name"] == "analytic"
    seconds = next(metrics.read(finished.metrics_file))["seconds"]
    assert sum(v for k, v in seconds.items() if k != "total") == pytest.approx(seconds["total"], abs=1e-4)


@pytest.mark.parametrize("step", [1, 4])
def test_a_stopped_run_ends_with_the_same_bits(tmp_path, finished, step):
    folder = small_folder(tmp_path)
    with pytest.raises(StopRequested):
        execute.execute(folder, StopAt(step))
    assert folder.status().state == "stopped"
    assert folder.status().step == step
    assert not folder.assets()
    execute.execute(folder)
    assert folder.status().state == "finished"
    ends = [CheckpointStore(f.checkpoints).latest().hash() for f in (folder, finished)]
    assert ends[0] == ends[1]
    for name in ("asset.glb", "turntable.mp4", "contact.png"):
        assert (folder.path / name).read_bytes() == (finished.path / name).read_bytes()
    assert numbers(folder) == numbers(finished)
    assert folder.provenance()["resumed"] == [{"step": step}]


def test_a_stopped_run_of_a_painted_mesh_ends_with_the_same_bits(tmp_path):
    painted = {"kind": "mesh", "shape": "cube", "texture_size": 32, "max_offset": 0.05}
    folders = [small_folder(tmp_path / name, representation=painted) for name in ("whole", "stopped")]
    execute.execute(folders[0])
    with pytest.raises(StopRequested):
        execute.execute(folders[1], StopAt(5))
    execute.execute(folders[1])
    ends = [CheckpointStore(f.checkpoints).latest().hash() for f in folders]
    assert ends[0] == ends[1]
    assert folders[0].assets()["glb"].read_bytes() == folders[1].assets()["glb"].read_bytes()
    assert numbers(folders[0]) == numbers(folders[1])


def test_a_torn_checkpoint_is_passed_over(tmp_path, finished):
    folder = small_folder(tmp_path)
    with pytest.raises(StopRequested):
        execute.execute(folder, StopAt(7))
    newest = CheckpointStore(folder.checkpoints).list()[-1]
    newest.write_bytes(newest.read_bytes()[:100])
    execute.execute(folder)
    assert (folder.path / "asset.glb").read_bytes() == (finished.path / "asset.glb").read_bytes()
    assert numbers(folder) == numbers(finished)


def test_resuming_without_any_good_checkpoint_is_refused(tmp_path):
    folder = small_folder(tmp_path)
    with pytest.raises(StopRequested):
        execute.execute(folder, StopAt(2))
    for path in CheckpointStore(folder.checkpoints).list():
        path.write_bytes(b"x")
    with pytest.raises(RunFolderError, match="none of its checkpoints"):
        execute.execute(folder)
    assert folder.status().state == "failed"


def test_a_changed_config_is_refused(tmp_path):
    folder = small_folder(tmp_path)
    with pytest.raises(StopRequested):
        execute.execute(folder, StopAt(2))
    folder.config_file.write_text(folder.config_file.read_text().replace("seed: 0", "seed: 1"))
    with pytest.raises(RunFolderError, match="was changed since the checkpoint at step 2"):
        execute.execute(folder)


def test_splats_of_a_grid_are_refused_before_the_first_step(tmp_path):
    folder = small_folder(tmp_path, export=["glb", "3dgs"])
    with pytest.raises(ConfigError, match="representation=gaussians"):
        execute.execute(folder)
    assert folder.status().state == "failed"
    assert not folder.metrics_file.exists()


def test_a_full_disk_leaves_the_last_checkpoint_and_says_what_to_do(tmp_path, monkeypatch):
    folder = small_folder(tmp_path)
    with pytest.raises(StopRequested):
        execute.execute(folder, StopAt(3))
    create = metrics.MetricsWriter.__init__
    monkeypatch.setattr(metrics.MetricsWriter, "__init__", lambda self, path: create(self, Path("/dev/full")))
    with pytest.raises(RunFolderError, match="Free some space"):
        execute.execute(folder)
    assert "Free some space" in folder.status().reason
    assert CheckpointStore(folder.checkpoints).latest().step == 3


def test_one_failure_does_not_stop_the_others(tmp_path):
    config = small_config(tmp_path, prompt=None, prompts=["one", "two", "three"], optimize__steps=2)
    folders, _ = batch.create_folders(config)

    class Broken(Silent):
        def on_step(self, report):
            raise Sds3dError("the second is broken")

    def watch(folder):
        return nullcontext(Broken() if folder.path == folders[1].path else Silent())

    outcomes = batch.run_batch(folders, watch)
    assert [o.state for o in outcomes] == ["finished", "failed", "finished"]
    assert outcomes[1].reason == "the second is broken"
    assert folders[1].status().reason == "the second is broken"


def test_a_stop_leaves_the_rest_queued(tmp_path):
    config = small_config(tmp_path, prompt=None, prompts=["one", "two"])
    folders, _ = batch.create_folders(config)
    outcomes = batch.run_batch(folders, lambda folder: nullcontext(StopAt(1)))
    assert [o.state for o in outcomes] == ["stopped", "queued"]
    assert folders[1].status().state == "queued"
    assert [o.state for o in batch.run_batch(folders, silent)] == ["finished", "finished"]


def test_a_failing_finisher_is_the_runs_failure(tmp_path):
    def finish(folder):
        raise Sds3dError("no page")

    folder = small_folder(tmp_path, optimize__steps=1)
    with pytest.raises(Sds3dError, match="no page"):
        execute.execute(folder, finishers=[finish])
    assert folder.status().state == "failed"
    assert folder.assets()


def test_generate_from_python(tmp_path, capsys):
    options = {k: v for k, v in SMALL.items() if k not in ("prompt", "optimize.steps")}
    result = generate("a colour", runs=str(tmp_path), **options, **{"optimize.steps": 2, "export": ["ply"]})
    assert result.path.name == "asset.ply"
    assert len(result.mesh().faces) > 0
    assert result._repr_png_().startswith(b"\x89PNG")
    assert "step 2/2" in capsys.readouterr().out
    assert json.loads(result.folder.status_file.read_text())["state"] == "finished"
    with pytest.raises(Sds3dError, match="no splats"):
        result.splats()
    with pytest.raises(ConfigError, match=r"arguments: guidance\.cfg_scal: .*Did you mean cfg_scale"):
        generate("a colour", **{"guidance.cfg_scal": 2})


def test_a_mesh_file_can_be_the_truth(tmp_path, finished):
    """The oracle-scene prior from a config: its prompt is the file of the asset to recover."""
    path = str(finished.assets()["glb"])
    prior = {"kind": "oracle_scene", "assets": [path], "size": 16}
    folder = small_folder(tmp_path, prompt=path, prior=prior, optimize__steps=2)
    execute.execute(folder)
    assert folder.status().state == "finished"
    missing = small_folder(tmp_path, prompt="no.glb", prior=prior | {"assets": ["no.glb"]})
    with pytest.raises(ConfigError, match=r"no\.glb"):
        execute.execute(missing)
