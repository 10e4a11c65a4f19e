"""The gradient view: maps in the log, saved with previews, shown in the report."""

from __future__ import annotations

import torch
from guidance_cases import prior_of, random_z, views_of
from oracle_cases import table_of
from sds3d.apps.report import write_report
from sds3d.guidance.build import build_guidance
from sds3d.guidance.registry import parse
from small_run import SMALL

from sds3d.core.streams import Streams
from sds3d.jobs import configs, metrics
from sds3d.jobs.execute import execute
from sds3d.jobs.runfolder import RunFolder


def step(method: str, maps: bool):
    prior, z = prior_of(table_of(3)), random_z(3, 2)
    guidance = build_guidance(parse(method), prior, 10, maps)
    return guidance.guide(views_of(prior, z), 3, Streams(0), {})


def test_maps_change_nothing_and_add_up():
    (plain, _, log), (seen, _, told) = step("csd", False), step("csd", True)
    assert torch.equal(plain["z"], seen["z"])
    assert not any(k.startswith("map_") for k in log)
    assert told["map_target"].shape == (2, 1, 3)
    # with one channel the map of the residual lies between difference and sum of the others
    low, high = (told["map_target"] - told["map_reference"]).abs(), told["map_target"] + told["map_reference"]
    assert bool(((told["map_residual"] >= low - 1e-9) & (told["map_residual"] <= high + 1e-9)).all())
    assert abs(told["norm_residual"] - told["residual"]) < 1e-6


def test_a_rule_of_another_form_has_its_residual():
    told = step("nfsd", True)[2]
    assert "map_residual" in told
    assert "map_target" not in told


def test_a_run_saves_and_shows_them(tmp_path):
    config = configs.from_mapping(SMALL | {"debug.gradients": True, "runs": str(tmp_path)})
    folder = RunFolder.create(config)
    execute(folder, finishers=[write_report])
    for name in ("target", "reference", "residual"):
        assert list(folder.previews.glob(f"*_{name}.png"))
        assert all(f"norm_{name}" in row for row in metrics.read(folder.metrics_file))
    page = folder.report.read_text()
    assert "What the gradient is made of" in page
    assert "residual, by t" in page


def test_the_view_is_no_part_of_the_runs_hash():
    plain = configs.from_words(["a red cube"])
    assert configs.hash_of(plain) == configs.hash_of(
        configs.from_words(["a red cube", "debug.gradients=true"])
    )
