"""Warnings of known-bad combinations, and the drawing of what changes over a run."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from sds3d.apps.report.schedules import drawing, panels

from sds3d.cli.main import app
from sds3d.core.errors import ConfigError
from sds3d.jobs import configs
from sds3d.jobs.lint import RULES, warnings

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
BAD = {
    "strong_guidance_with_a_critic": ["guidance=vsd", "guidance.cfg_scale=100"],
    "noisy_to_the_end": ["guidance=sdi", "guidance.times={low: 0.02, high: 0.98}"],
    "no_way_back": ["guidance=csd", "optimize.steps=5000"],
    "no_way_back_from_an_edit": ["guidance=csd_edit", "optimize.steps=2000"],
    "dataset_of_moving_views": ["guidance=dataset_update"],
    "edit_far_beyond_the_prompt": ["guidance=dds", "guidance.cfg_scale=100"],
    "strong_guidance_of_a_small_model": ["guidance.cfg_scale=100"],
    "interval_too_long": ["guidance=ism", "guidance.gap=0.5"],
    "no_guidance": ["guidance.cfg_scale=1"],
    "dear_reward": ["guidance=rewardsds", "guidance.reward.rollout_steps=15"],
    "particles_without_a_critic": ["guidance=sds", "particles=3"],
    "entropy_of_one_camera": ["guidance=esd", "representation=image"],
}
GOOD = {
    "strong_guidance_with_a_critic": ["guidance=vsd"],
    "noisy_to_the_end": ["guidance=sdi"],
    "no_way_back": ["guidance=csd", "optimize.steps=5000", "guidance.normalise=true"],
    "no_way_back_from_an_edit": ["guidance=csd_edit", "optimize.steps=500"],
    "dataset_of_moving_views": ["guidance=dataset_update", "cameras.places=8", "optimize.white_background=1"],
    "edit_far_beyond_the_prompt": ["guidance=dds"],
    "strong_guidance_of_a_small_model": [],
    "interval_too_long": ["guidance=ism"],
    "no_guidance": ["guidance.cfg_scale=4"],
    "dear_reward": ["guidance=rewardsds", "guidance.reward.rollout_steps=2"],
    "particles_without_a_critic": ["guidance=vsd", "particles=3"],
    "entropy_of_one_camera": ["guidance=esd"],
}


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.__name__)
def test_each_rule_warns_and_is_silent(rule):
    bad = configs.from_words(["a red cube", *BAD[rule.__name__]])
    assert rule(bad, bad.guidance) in warnings(bad)
    good = configs.from_words(["a red cube", *GOOD[rule.__name__]])
    assert not rule(good, good.guidance)


def test_dataset_updates_may_be_noisy_to_the_end():
    """Its kappa weighs no gradient."""
    words = ["guidance=dataset_update", "cameras.places=8", "optimize.white_background=1"]
    assert warnings(configs.from_words(["a red cube", *words])) == []


def test_our_own_configs_are_clean():
    for path in sorted(CONFIGS.glob("*.yaml")):
        assert warnings(configs.read(path)) == [], path.name


def test_the_drawing_holds_every_number_that_changes():
    config = configs.from_words(
        [
            "a red cube",
            "guidance.cfg_scale={linear: [10, 2]}",
            "optimize.size={piecewise: [[0, 16], [1, 64]]}",
        ]
    )
    found = {p.title: p for p in panels(config)}
    assert found["guidance.cfg_scale"].at(0.0) == "10"
    assert found["guidance.cfg_scale"].at(1.0) == "2"
    assert found["optimize.size"].at(0.5) == "40"
    (lines,) = found["t between"].stages
    assert lines is not None
    low, high = lines
    assert all(a <= b for a, b in zip(low, high, strict=True))
    assert low[-1] == config.guidance.times.low(1.0)
    assert "optimize.lr" in found
    root = ElementTree.fromstring(drawing(list(found.values()), [("", 400)]))
    assert len(root.findall("{*}g")) == len(found)
    assert any(t.text == "step 400" for t in root.iter("{http://www.w3.org/2000/svg}text"))


STAGES = [
    "a red cube",
    "stages=[{name: rough, optimize: {steps: 100}, guidance: {cfg_scale: 8}}, {name: fine, representation: gaussians, "
    "optimize: {steps: 300}, guidance: {cfg_scale: {linear: [6, 2]}}}]",
]


def test_stages_are_drawn_one_after_another(tmp_path, capsys):
    found = {p.title: p for p in panels(configs.from_words(STAGES))}
    scale = found["guidance.cfg_scale"]
    assert [scale.at(0.0, 0), scale.at(1.0, 0), scale.at(0.0, 1), scale.at(1.0, 1)] == ["8", "8", "6", "2"]
    assert found["representation.lr_means"].at(0.0, 0) == "-"
    assert found["representation.lr_means"].at(0.0, 1) == "0.005"
    root = ElementTree.fromstring(drawing([scale], [("rough", 100), ("fine", 300)]))
    words = {t.text for t in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"rough", "fine", "step 400"} <= words
    (seam,) = (line for line in root.iter("{http://www.w3.org/2000/svg}line") if line.get("class") == "seam")
    first, second = root.iter("{http://www.w3.org/2000/svg}polyline")
    assert first.get("points", "").split()[-1].partition(",")[0] == seam.get("x1")
    assert second.get("points", "").split()[0].partition(",")[0] == seam.get("x1")
    app(["plot-schedule", *STAGES], standalone_mode=False)
    heading = capsys.readouterr().out.splitlines()[0].split()
    assert heading == ["rough", "0", "rough", "100", "fine", "0", "fine", "300"]


@pytest.mark.parametrize("command", ["lint", "plot-schedule", "run"])
def test_a_file_of_a_comparison_is_called_that(tmp_path, command):
    file = tmp_path / "c.yaml"
    file.write_text("prompts: [a red cube]\nmethods: [sds, csd]\nseeds: 2\n")
    with pytest.raises(ConfigError, match=r"file of a comparison.*sds3d compare .*c\.yaml") as refusal:
        app([command, str(file)], standalone_mode=False)
    assert (refusal.value.key, refusal.value.line) == ("methods", 2)


def test_the_commands(tmp_path, capsys):
    out = tmp_path / "s.svg"
    app(["plot-schedule", "a red cube", "--out", str(out)], standalone_mode=False)
    told = capsys.readouterr()
    assert "t between" in told.out
    assert ElementTree.parse(out).getroot().tag.endswith("svg")
    assert app(["lint", "a red cube"], standalone_mode=False) == 0
    assert "nothing known against this config" in capsys.readouterr().out
    assert app(["lint", "a red cube", "guidance.cfg_scale=100"], standalone_mode=False) == 1
    assert "warning: guidance.cfg_scale reaches 100" in capsys.readouterr().err
    with pytest.raises(ConfigError, match=r"\.svg"):
        app(["plot-schedule", "a red cube", "--out", "s.png"], standalone_mode=False)
