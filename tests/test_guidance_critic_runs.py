"""VSD from the command line with the embedded prior, and a run that is stopped and resumed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from small_run import StopAt, small_folder
from typer.testing import CliRunner

from sds3d.cli.main import app
from sds3d.core.errors import StopRequested
from sds3d.jobs import execute
from sds3d.optimize.checkpoint import CheckpointStore

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
