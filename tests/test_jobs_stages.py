"""Several stages in one config: how they come together, run, stop, go on, and start again from a seam."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import pytest
import torch
from sds3d.representations import gaussians, grid, tetmesh
from small_run import SMALL, StopAt, small_config, small_folder

from sds3d import assetio
from sds3d.cli import main as cli
from sds3d.cli.info import run_facts
from sds3d.config import source
from sds3d.config.load import ConfigErrors
from sds3d.core.assets import Picture, PointCloud
from sds3d.core.cameras import orbit
from sds3d.core.errors import AssetError, ConfigError, RunFolderError, StopRequested
from sds3d.core.look import Look
from sds3d.core.streams import Streams
from sds3d.jobs import configs, lint, metrics
from sds3d.jobs.batch import create_folder
from sds3d.jobs.conversion import converted
from sds3d.jobs.execute import execute
from sds3d.jobs.export import load_stage
from sds3d.jobs.restart import restart_from
from sds3d.jobs.runfolder import RunFolder
from sds3d.jobs.schema import RunConfig, StageOptions
from sds3d.jobs.staging import SECTIONS
from sds3d.optimize.checkpoint import CheckpointStore, read_state

TWO = (
    {"name": "coarse", "optimize": {"steps": 4}},
    {"name": "fine", "representation": {"resolutions": [4, 10]}, "optimize": {"steps": 5}},
)


def staged(runs, *stages, **changes):
    return small_folder(runs, stages=list(stages or TWO), **changes)


def last_hash(folder) -> str:
    return CheckpointStore(folder.checkpoints).latest().hash()


# --- how a stage's options come together


def read(text: str) -> RunConfig:
    return configs.from_document(source.parse(text, "c.yaml"))


def test_a_stage_is_the_run_with_what_it_changes():
    config = read(
        """
prompt: a red cube
guidance: {method: sds, cfg_scale: 3, times: {high: 0.7, low: 0.1}}
optimize: {steps: 100, views: 2}
representation: {kind: grid, samples: 33}
stages:
  - {name: one}
  - {name: two, guidance: {cfg_scale: 4, times: {high: 0.5}}, representation: {stop: 0.01}}
  - {name: three, guidance: csd, representation: {kind: tetmesh, cells: 20}, optimize: {steps: 7}, particles: 2}
  - {name: four, representation: grid, prompt: a blue cube}
"""
    )
    one, two, three, four = config.in_stages()
    assert config.stage_names() == ["one", "two", "three", "four"]
    assert config.total_steps() == 100 + 100 + 7 + 100
    assert (one.optimize, one.guidance) == (config.optimize, config.guidance)
    assert two.guidance.cfg_scale(0) == 4
    assert (two.guidance.times.high(0), two.guidance.times.low(0)) == (0.5, 0.1)
    assert (two.representation.samples, two.representation.stop) == (33, 0.01)
    assert (three.guidance.method, three.representation.kind, three.particles) == ("csd", "tetmesh", 2)
    assert (three.optimize.steps, three.optimize.views) == (7, 2)
    # a word stands for itself
    assert four.representation.samples == grid.Options().samples
    assert (four.prompt, one.prompt) == ("a blue cube", "a red cube")


def test_a_prior_recommends_for_each_stage():
    config = read(
        "prompt: a red cube\nstages:\n  - {name: a, guidance: sds}\n  - {name: b, optimize: {size: 20}}\n"
    )
    first, second = config.in_stages()
    plain = read("prompt: a red cube")
    assert (first.guidance, first.optimize) == (plain.guidance, plain.optimize)
    assert second.optimize.size(0) == 20
    # what the first of several stages does is what a run alone does
    assert first.seed == plain.seed != second.seed


def test_config_yaml_reads_back_to_the_same(tmp_path):
    config = small_config(tmp_path, stages=list(TWO), guidance={"method": "csd"})
    path = tmp_path / "again.yaml"
    path.write_text(configs.to_yaml(config))
    assert configs.read(path) == config


def test_stages_have_the_options_of_a_run():
    shared = set(StageOptions.model_fields) - {"name"}
    assert set(SECTIONS) < shared <= set(RunConfig.model_fields)


@pytest.mark.parametrize(
    ("stages", "line", "told"),
    [
        ("- {name: a, represntation: grid}", 4, "representation"),
        ("- {name: a, guidance: {cfg_scal: 3}}", 4, "cfg_scale"),
        ("- {name: a/b}", 4, "name"),
        ("- {representation: grid}", 4, "name"),
        ("- {name: a}\n  - {name: A}", None, "stages[0] and stages[1] are named 'a' and 'A'"),
        ("- {name: a}\n  - {name: a}", None, "stages[0] and stages[1] are both named 'a'"),
    ],
)
def test_errors_name_the_stage(stages, line, told):
    with pytest.raises((ConfigError, ConfigErrors)) as caught:
        read(f"prompt: a red cube\noptimize: {{steps: 5}}\nstages:\n  {stages}\n")
    assert told in str(caught.value)
    assert line is None or f"line {line}" in str(caught.value) or f":{line}" in str(caught.value)


def test_the_hash_of_a_stage_knows_nothing_of_later_ones(tmp_path):
    first = small_config(tmp_path, stages=list(TWO))
    changed = small_config(tmp_path, stages=[TWO[0], TWO[1] | {"optimize": {"steps": 9}}])
    other = small_config(tmp_path, stages=[TWO[0] | {"optimize": {"steps": 3}}, TWO[1]])
    assert configs.hash_of_stage(first, 0) == configs.hash_of_stage(changed, 0)
    assert configs.hash_of_stage(first, 1) != configs.hash_of_stage(changed, 1)
    assert configs.hash_of_stage(first, 0) != configs.hash_of_stage(other, 0)
    assert configs.hash_of_stage(first, 1) != configs.hash_of_stage(other, 1)
    alone = small_config(tmp_path)
    assert configs.hash_of_stage(alone, 0) == configs.hash_of(alone)


def test_warnings_name_the_stage(tmp_path):
    hot = {"name": "hot", "guidance": {"method": "vsd", "cfg_scale": 50.0}}
    texts = lint.warnings(small_config(tmp_path, stages=[TWO[0], hot]))
    assert any(text.startswith("hot: guidance.cfg_scale reaches 50") for text in texts)
    assert not any(text.startswith("coarse:") for text in texts)


@pytest.mark.parametrize(
    ("second", "told"),
    [
        ({"representation": {"kind": "image"}}, "image cannot be made from grid"),
        ({"particles": 2}, "2 particles"),
        ({"guidance": {"combine": "perp_neg"}}, "asks for the condition .*neg0"),
        ({"guidance": "dds"}, "the method edits"),
        ({"representation": {"kind": "mesh", "file": "not_there.glb"}}, "there is no file"),
        (
            {"prior": {"schedule": "rf"}, "guidance": {"times": {"scale": "native", "low": 0.0}}},
            "`low` is the prior's t = 0, where it adds no noise",
        ),
    ],
)
def test_stages_that_cannot_follow_are_refused_before_a_folder_is_made(tmp_path, second, told):
    config = small_config(tmp_path / "runs", stages=[TWO[0], {"name": "second"} | second])
    with pytest.raises(ConfigError, match=told) as caught:
        create_folder(config)
    assert "stages[1]" in str(caught.value)
    assert not (tmp_path / "runs").exists()


# --- running


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> RunFolder:
    folder = staged(tmp_path_factory.mktemp("whole"))
    execute(folder)
    return folder


def test_a_run_goes_through_its_stages(whole):
    rows = list(metrics.read(whole.metrics_file))
    assert [(row["step"], row["stage"]) for row in rows] == [
        *((k, "coarse") for k in range(1, 5)),
        *((k, "fine") for k in range(5, 10)),
    ]
    status = whole.status()
    assert (status.state, status.step, status.steps) == ("finished", 9, 9)
    for place in (whole.path, whole.path / "stages/coarse", whole.path / "stages/fine"):
        assert assetio.read(place / "asset.glb").mesh is not None
        assert (place / "contact.png").is_file()
    assert (whole.path / "asset.glb").read_bytes() == (whole.path / "stages/fine/asset.glb").read_bytes()
    names = [p.name for p in CheckpointStore(whole.checkpoints).list()]
    assert "stage0_step000004.safetensors" in names
    assert max(whole.previews.glob("step_*_render.png")) == whole.preview_file(9, "render")
    assert list(whole.provenance()["stages"]) == ["fine"]
    scene, step, config = load_stage(whole)
    assert (step, config.representation.resolutions) == (9, (4, 10))
    assert scene.options.resolutions == (4, 10)


def test_files_of_a_staged_run_name_its_own_seed_and_info_its_stages(whole):
    chunk = whole.path.joinpath("asset.glb").read_bytes()
    assert re.search(rb'"seed": ?"%d"' % whole.config().seed, chunk)
    config = whole.config()
    assert run_facts(whole)["representation"] == config.in_stages()[0].representation.kind
    different = config.model_copy(
        update={
            "stages": (
                config.stages[0],
                config.stages[1].model_copy(update={"representation": tetmesh.Options()}),
            )
        }
    )
    whole_like = SimpleNamespace(
        **{n: getattr(whole, n) for n in ("path", "status", "metrics_file", "provenance")},
        **{n: getattr(whole, n) for n in ("assets", "turntable", "contact", "report", "checkpoints")},
        config=lambda: different,
    )
    assert run_facts(whole_like)["representation"] == "grid -> tetmesh"


def test_the_second_stage_starts_from_the_first(whole):
    """What it was before its first step shows what the first stage ended with."""
    first, second = (stage.representation for stage in whole.config().in_stages())
    ended, fresh = grid.create(first, Streams(0)), grid.create(second, Streams(0))
    ended.load_state_dict(read_state(CheckpointStore(whole.checkpoints).last_of(0)).representation)
    ended.levels[1][..., 1] += 3.0  # redder than anything fresh
    started = converted(ended, first, whole.config().in_stages()[1])
    look = Look(orbit([30.0], 15.0), (16, 16), torch.ones(1, 3))
    truth, kept, other = (scene.render(look)["rgb"] for scene in (ended, started, fresh))
    assert (truth - kept).abs().mean() < 0.3 * (truth - other).abs().mean()


@pytest.mark.parametrize("stop", [2, 4, 6])
def test_stopped_anywhere_and_resumed_it_ends_with_the_same_bits(whole, tmp_path, stop):
    folder = staged(tmp_path)
    with pytest.raises(StopRequested):
        execute(folder, StopAt(stop))
    execute(RunFolder.open(folder.path))
    assert last_hash(folder) == last_hash(whole)
    assert (folder.path / "asset.glb").read_bytes() == (whole.path / "asset.glb").read_bytes()
    steps = [row["step"] for row in metrics.read(folder.metrics_file)]
    assert steps == list(range(1, 10))


def test_a_stage_can_be_run_again_with_other_options(whole, tmp_path):
    folder = staged(tmp_path)
    execute(folder)
    before = (CheckpointStore(folder.checkpoints).last_of(0)).read_bytes()
    restart_from(folder, "fine")
    assert CheckpointStore(folder.checkpoints).latest().stage == 0
    execute(folder)
    assert last_hash(folder) == last_hash(whole)

    changed = small_config(tmp_path, stages=[TWO[0], TWO[1] | {"optimize": {"steps": 7}}])
    folder.write(folder.config_file, configs.to_yaml(changed).encode())
    with pytest.raises(RunFolderError, match="--from-stage"):
        execute(folder)
    restart_from(folder, "fine")
    execute(folder)
    assert folder.status().step == 11
    assert len(list(metrics.read(folder.metrics_file))) == 11
    assert CheckpointStore(folder.checkpoints).last_of(0).read_bytes() == before


def test_what_cannot_be_run_again_is_told(whole, tmp_path):
    with pytest.raises(ConfigError, match="Did you mean fine"):
        restart_from(whole, "fin")
    with pytest.raises(ConfigError, match="one stage"):
        restart_from(small_folder(tmp_path), "fine")
    halfway = staged(tmp_path)
    with pytest.raises(StopRequested):
        execute(halfway, StopAt(2))
    with pytest.raises(RunFolderError, match="'coarse' is not finished"):
        restart_from(halfway, "fine")


def test_files_of_an_earlier_stage_do_not_stay(tmp_path, capsys):
    first = {
        "name": "a",
        "representation": {"kind": "gaussians", "init": {"count": 30}, "mesh_resolution": 16},
    }
    second = {"name": "b", "representation": {"kind": "grid", "resolutions": [8]}, "optimize": {"steps": 3}}
    folder = staged(tmp_path, first | {"optimize": {"steps": 4}}, second)
    with pytest.raises(StopRequested):
        execute(folder, StopAt(3))
    cli.app(["export", str(folder.path)], standalone_mode=False)
    assert set(folder.assets()) == {"glb", "3dgs"}
    execute(folder)
    assert set(folder.assets()) == {"glb"}
    assert set(folder.of_stage("a").assets()) == {"glb", "3dgs"}


def test_particles_go_on_one_by_one(tmp_path):
    folder = staged(tmp_path, *TWO, particles=2, pictures={**SMALL["pictures"], "turntable_frames": 0})
    execute(folder)
    assert len(folder.particles()) == 2
    state = CheckpointStore(folder.checkpoints).latest()
    assert set(state.representation) == {"particle0", "particle1"}


def command_line(*words: str) -> None:
    """Runs a command that must succeed."""
    with pytest.raises(SystemExit) as left:
        cli.main(list(words))
    assert not left.value.code


def test_the_command_line_runs_a_stage_again(whole, tmp_path, capsys):
    folder = staged(tmp_path)
    execute(folder)
    command_line("resume", str(folder.path), "--from-stage", "fine", "--json")
    assert json.loads(capsys.readouterr().out)[0]["state"] == "finished"
    assert last_hash(folder) == last_hash(whole)


def test_dry_run_tells_of_each_stage(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text(configs.to_yaml(small_config(tmp_path, stages=list(TWO))))
    command_line("run", "c.yaml", "--dry-run")
    told = capsys.readouterr().out
    assert "stage     coarse" in told
    assert "stage     fine" in told
    command_line("run", "c.yaml", "--dry-run", "--json")
    assert json.loads(capsys.readouterr().out)["stages"]["fine"]["steps"] == 5


# --- from one representation to the next


def ball_of_gaussians():
    direction = torch.nn.functional.normalize(Streams(0).normal((1200, 3), "ball")[0], dim=1)
    colour = torch.tensor([0.1, 0.2, 0.8]).expand(1200, 3)
    options = gaussians.Options(init={"opacity": 0.9})
    return gaussians.from_asset(PointCloud(0.5 * direction, colour), options, Streams(0))


def test_gaussians_become_a_field_and_a_surface_of_their_size_and_colour():
    splats = ball_of_gaussians().to_asset("splats")
    look = Look(orbit([10.0], 20.0), (48, 48), torch.ones(1, 3))
    covered = ball_of_gaussians().render(look)["alpha"].sum()
    for made in (
        grid.from_asset(splats, grid.Options(resolutions=(6, 12, 32)), Streams(0)),
        tetmesh.from_asset(splats, tetmesh.Options(cells=24, init={"samples": 5000}), Streams(0)),
    ):
        render = made.render(look)
        assert float(render["alpha"].sum()) == pytest.approx(float(covered), rel=0.25)
        middle = render["rgb"][0, :, 24, 24]
        assert torch.allclose(middle, torch.tensor([0.1, 0.2, 0.8]), atol=0.1)


def test_a_field_on_finer_grids_shows_the_same():
    options = grid.Options(resolutions=(6, 12), samples=32, picture_samples=32)
    coarse = grid.create(options, Streams(0))
    coarse.levels[1] += 0.5 * Streams(1).normal((12, 12, 12, 4), "noise")[0]
    finer = grid.from_asset(coarse, options.model_copy(update={"resolutions": (8, 34)}), Streams(0))
    look = Look(orbit([30.0, 200.0], 15.0), (24, 24), torch.zeros(2, 3))
    difference = coarse.render(look)["rgb"] - finer.render(look)["rgb"]
    assert difference.abs().mean() < 0.01
    same = grid.from_asset(coarse, options, Streams(0))
    assert (coarse.render(look)["rgb"] - same.render(look)["rgb"]).abs().mean() < 0.01


def test_a_picture_is_no_start():
    with pytest.raises(AssetError, match="picture"):
        grid.from_asset(Picture(torch.zeros(3, 4, 4)), grid.Options(), Streams(0))
