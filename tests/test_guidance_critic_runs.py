"""VSD from the command line with the embedded prior, and a run that is stopped and resumed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from small_run import StopAt, small_config, small_folder
from typer.testing import CliRunner

from sds3d.cli.main import app
from sds3d.core.errors import StopRequested
from sds3d.core.tree import tree_hash
from sds3d.jobs import execute, metrics
from sds3d.jobs.assemble import assemble
from sds3d.optimize.checkpoint import CheckpointStore
from sds3d.optimize.loop import Session
from sds3d.optimize.timing import Stopwatch

SMALL = [
    "representation.kind=grid",
    "representation.resolutions=[3,8]",
    "representation.samples=8",
    "representation.picture_samples=8",
    "representation.blob_bias=2.0",
    "optimize.steps=3",
    "optimize.views=2",
    "optimize.size=16",
    "optimize.preview_steps=0",
    "pictures.turntable_frames=0",
    "pictures.contact_views=0",
]


def test_vsd_from_the_command_line(tmp_path):
    words = ["run", "a blue mushroom", "guidance=vsd", *SMALL, f"runs={tmp_path}", "--json"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output + repr(done.exception)
    folder = Path(json.loads(done.stdout)[0]["run"])
    assert (folder / "asset.glb").stat().st_size > 0
    guidance = yaml.safe_load((folder / "config.yaml").read_text())["guidance"]
    assert guidance["weight"] == "kappa"
    assert guidance["critic"]["lr"] == 1e-3
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [(row["nfe"], row["nfe_train"], row["rows"]) for row in rows] == [(4.0, 1.0, 8.0)] * 3
    told = (
        "24 pictures went through the prior&#39;s network, 4 a view and step; 6 of them to train the critic"
    )
    assert told in (folder / "report.html").read_text()
    assert rows[0]["critic_loss"] == 0.0 < rows[1]["critic_loss"]
    assert all(row["critic_skipped"] == 0.0 for row in rows)
    critic = CheckpointStore(folder / "checkpoints").latest().guidance["critic"]
    assert critic["updates"] == 3


def test_a_stopped_vsd_run_ends_with_the_same_bits(tmp_path):
    ends = []
    for name in ("whole", "cut"):
        place = tmp_path / name
        place.mkdir()
        changes = {"prompt": "a blue mushroom", "prior": "embedded", "guidance": "vsd", "optimize__steps": 3}
        folder = small_folder(place, **changes)
        if name == "cut":
            with pytest.raises(StopRequested):
                execute.execute(folder, StopAt(1))
        execute.execute(folder)
        ends.append(CheckpointStore(folder.checkpoints).latest().hash())
    assert ends[0] == ends[1]


@pytest.mark.slow
def test_particles_share_a_critic_and_resume_exactly(tmp_path):
    """Two objects, four views: the critic is trained on all of them; stopped and resumed the run ends the same."""
    ends, folders = [], []
    for name in ("whole", "cut"):
        place = tmp_path / name
        place.mkdir()
        changes = {"prompt": "a blue mushroom", "prior": "embedded", "guidance": "vsd", "optimize__steps": 3}
        folder = small_folder(place, particles=2, optimize__size=16, **changes)
        if name == "cut":
            with pytest.raises(StopRequested):
                execute.execute(folder, StopAt(2))
        execute.execute(folder)
        ends.append(CheckpointStore(folder.checkpoints).latest())
        folders.append(folder)
    assert ends[0].hash() == ends[1].hash()
    assert ends[0].guidance["critic"]["updates"] == 3, "one critic, trained once a step"
    scenes = ends[0].representation
    assert tree_hash(scenes["particle0"]) != tree_hash(scenes["particle1"])
    row = next(metrics.read(folders[0].metrics_file))
    assert (row["nfe"], row["rows"]) == (4.0, 16.0), (
        "three predictions and a training forward, of 2 x 2 views"
    )
    assert {p.name for p in folders[0].path.glob("asset*.glb")} == {"asset.glb", "asset_2.glb"}


def test_one_particle_of_two_moves_as_the_critic_says_not_as_alone(tmp_path):
    """The critic has seen the other one's views: from its second answer on the objects go another way than alone."""
    states = []
    for count in (1, 2):
        changes = {"prompt": "a blue mushroom", "prior": "embedded", "guidance": "vsd", "optimize__steps": 4}
        place = tmp_path / str(count)
        place.mkdir()
        session = Session(
            assemble(small_config(place, particles=count, optimize__size=16, **changes), Stopwatch())
        )
        for _ in range(3):
            session.apply(session.gradients())
        states.append(session.state())
    alone, one_of_two = states[0].representation, states[1].representation["particle0"]
    assert tree_hash(alone) != tree_hash(one_of_two)
    assert states[0].guidance["critic"]["updates"] == states[1].guidance["critic"]["updates"] == 3
