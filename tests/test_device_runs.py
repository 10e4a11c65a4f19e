"""A run on a device that is not the CPU: nothing of the loop mixes the two, and the results are the CPU's."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from fakes.second_device import SECOND, There, computing
from family_cases import FAMILIES, folder_of
from sds3d.representations.raster import dispatch, gaussians_gsplat
from sds3d.representations.raster.warp import runtime

from sds3d.config.kinds import modules
from sds3d.core import devices
from sds3d.core.errors import ConfigError
from sds3d.jobs import assemble, batch, configs, device, plan
from sds3d.jobs.batch import create_folder, create_folders
from sds3d.jobs.device import device_of
from sds3d.jobs.execute import execute
from sds3d.jobs.runfolder import RunFolder
from sds3d.jobs.schema import PRIORS
from sds3d.optimize.checkpoint import CheckpointStore
from sds3d.optimize.loop import Session
from sds3d.optimize.timing import Stopwatch
from sds3d.priors.registry import create_prior
from sds3d.priors.self_check import self_check

SMALL = [
    "a red car",
    "prior.precision=float32",
    "optimize.steps=6",
    "optimize.views=2",
    "optimize.size=12",
    "optimize.preview_size=16",
]
TWIN = "representation.rasterizer=twin"
GRID = [
    "representation.kind=grid",
    "representation.resolutions=[4,8]",
    "representation.samples=8",
    "representation.picture_samples=8",
    TWIN,
]
GAUSSIANS = ["representation.kind=gaussians", "representation.init.count=60", TWIN]
DENSE = [
    *GAUSSIANS,
    "representation.densify.every=1",
    "representation.densify.start=0",
    "representation.strategy=densify",
]
TERMS = "guidance={terms: [{guidance: sds}, {guidance: csd, factor: 0.5}], mix: sum}"
MCMC = [*GAUSSIANS, "representation.strategy=mcmc"]
IMAGE = ["representation.kind=image"]
NERF = [
    "representation.kind=nerf",
    "representation.encoding.finest=16",
    "representation.encoding.log2_size=8",
    "representation.occupancy.resolution=8",
    "representation.occupancy.every=1",
    "representation.samples=8",
    TWIN,
]
TETMESH = [
    "representation.kind=tetmesh",
    "representation.cells=6",
    "representation.color_resolutions=[4,8]",
    TWIN,
]
MESH = ["representation.kind=mesh", "representation.shape=sphere", "representation.texture_size=16", TWIN]


@pytest.fixture
def second(monkeypatch):
    """A function: from now on every assembled run takes place there (the second device), drawn by the twins."""
    monkeypatch.setattr(dispatch, "IMPLEMENTATIONS", {"cpu": ("native", "twin"), SECOND.type: ("twin",)})
    return lambda there=SECOND: monkeypatch.setattr(assemble, "device_of", lambda config: there)


def steps(words: list[str], count: int, state=None) -> Session:
    session = Session(assemble.assemble(configs.from_words([*SMALL, *words]), Stopwatch()), state)
    for _ in range(count):
        session.apply(session.gradients())
    return session


def leaves(tree: dict) -> list[torch.Tensor]:
    values = [leaves(v) if isinstance(v, dict) else [v] for v in tree.values()]
    return [v for part in values for v in part if isinstance(v, torch.Tensor)]


def assert_same(mine: dict, other: dict) -> None:
    for a, b in zip(leaves(mine), leaves(other), strict=True):
        torch.testing.assert_close(a.cpu(), b.cpu(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "what",
    [
        GRID,
        GAUSSIANS,
        DENSE,
        IMAGE,
        [*GRID, "guidance=vsd"],
        pytest.param(NERF, marks=pytest.mark.slow),
        pytest.param(TETMESH, marks=pytest.mark.slow),
        pytest.param([*TETMESH, "representation.surface=dmtet"], marks=pytest.mark.slow),
        pytest.param(MESH, marks=pytest.mark.slow),
        pytest.param(MCMC, marks=pytest.mark.slow),
        pytest.param([*GRID, "particles=2"], marks=pytest.mark.slow),
        pytest.param([*GRID, "guidance=cfd"], marks=pytest.mark.slow),
        pytest.param([*GRID, "guidance=ism"], marks=pytest.mark.slow),
        pytest.param([*GRID, TERMS, "debug.gradients=true"], marks=pytest.mark.slow),
        pytest.param([*IMAGE, "representation.space=latents"], marks=pytest.mark.slow),
    ],
    ids=lambda words: " ".join(w.rpartition("=")[2] for w in words if "rasterizer" not in w and "[" not in w),
)
def test_steps_elsewhere_are_those_of_the_cpu(second, what) -> None:
    here = steps(what, 2)
    second()
    with computing():
        there = steps(what, 2)
        params = [p for g in there.stage.representation.param_groups() for p in g.params.values()]
        assert params
        assert all(isinstance(p, There) for p in params)
        assert all(isinstance(m, There) for m in there.adam.first.values())
        pictures = there.preview(there.gradients())
    assert not any(isinstance(p, There) for p in pictures.values())
    assert_same(there.state().representation, here.state().representation)


PERP = ["guidance.combine=perp_neg", "negative_prompt=a blue car"]
MODELS = [("sd1", []), ("sd1", ["prior.device=cpu"]), ("sd1", PERP), ("sd1", ["guidance=vsd"])]
MODELS += [(name, []) for name in FAMILIES if name != "sd1"]


@pytest.mark.parametrize(
    ("name", "more"), [MODELS[0], *(pytest.param(*model, marks=pytest.mark.slow) for model in MODELS[1:])]
)
def test_a_published_model_follows_the_scene_unless_told_otherwise(second, name, more) -> None:
    model = [f"prior={folder_of(name)}", "prior.precision=float32", "prior.size=16", "optimize.size=16"]
    words = [*GRID, *model, *more, "optimize.views=4"]
    here = steps(words, 1)
    second()
    with computing():
        there = steps(words, 1)
        z = there.gradients().views.z
    assert isinstance(z, There) == ("prior.device=cpu" not in more)
    assert_same(there.state().representation, here.state().representation)


@pytest.mark.parametrize("kind", ["embedded", "diffusers"])
def test_the_self_check_finds_elsewhere_what_it_finds_here(kind) -> None:
    given = {"folder": str(folder_of("sd1"))} if kind == "diffusers" else {}
    options = modules(PRIORS.package, PRIORS.group)[kind].Options(precision="float32", **given)
    here = self_check(create_prior(options))
    with computing():
        there = self_check(create_prior(options, str(SECOND)))
    assert [(f.name, f.ok) for f in there] == [(f.name, f.ok) for f in here]
    assert [f.detail for f in there] == [f.detail for f in here]


def test_a_checkpoint_goes_on_where_the_run_did_not_begin(second, tmp_path) -> None:
    here, there = CheckpointStore(tmp_path / "here"), CheckpointStore(tmp_path / "there")
    here.save(steps(GAUSSIANS, 2).state())
    expected = steps(GAUSSIANS, 4).state()
    second()
    with computing():
        gone_on = steps(GAUSSIANS, 2, here.latest())
        assert all(isinstance(m, There) for m in gone_on.adam.second.values())
        there.save(steps(GAUSSIANS, 2).state())
    assert_same(gone_on.state().representation, expected.representation)
    second(torch.device("cpu"))
    back = steps(GAUSSIANS, 2, there.latest()).state()
    assert_same(back.representation, expected.representation)
    assert not any(isinstance(t, There) for t in leaves(back.optimizer))


def test_a_whole_run_elsewhere_is_drawn_exported_and_told(second, tmp_path) -> None:
    films = ["pictures.turntable_frames=2", "pictures.turntable_size=32", "pictures.contact_views=2"]
    words = [*SMALL, *GAUSSIANS, *films, "pictures.contact_size=16", "optimize.preview_steps=3"]
    folder = create_folder(configs.from_words([*words, "export=glb,3dgs", f"runs={tmp_path}"]))
    second()
    with computing():
        execute(folder)
    assert folder.status().state == "finished"
    assert {*folder.assets()} == {"glb", "3dgs"}
    assert folder.contact.is_file()
    assert any(folder.previews.glob("step_*_render.png"))
    assert folder.provenance()["hardware"]["device"] == str(SECOND)


def without_gpu(monkeypatch, found: devices.Cuda) -> None:
    """Every run asks this machine."""
    for module in (batch, assemble, device):
        monkeypatch.setattr(module, "device_of", lambda config: device_of(config, lambda: found))


@pytest.mark.parametrize("prompt", ["prompt=a red car", "prompts=[a red car, a blue car]"])
def test_a_gpu_that_cannot_be_had_is_told_before_anything_is_made(monkeypatch, tmp_path, prompt) -> None:
    without_gpu(monkeypatch, devices.Cuda("2.13.0", "12.6"))
    config = configs.from_words([prompt, "device=cuda", f"runs={tmp_path / 'runs'}"])
    with pytest.raises(ConfigError, match=r"device: cuda was asked for: .* no NVIDIA driver .* device=cpu"):
        create_folders(config)
    assert not (tmp_path / "runs").exists()


def test_a_plan_tells_the_device_or_why_it_cannot_be_had(monkeypatch) -> None:
    none = devices.Cuda("2.13.0", "12.6")
    monkeypatch.setattr(plan, "device_of", lambda config: device_of(config, lambda: none))
    told = plan.make_plan(configs.from_words([*SMALL, *GRID]))
    assert (told.device, told.problem) == ("cpu", "")
    asked = configs.from_words([*SMALL, *GRID, "device=cuda"])
    assert "no NVIDIA driver" in plan.make_plan(asked).problem
    assert plan.make_plan(asked, free=24e9).problem == ""  # a plan for another machine


def test_a_run_is_moved_by_name_and_only_to_what_is_there(monkeypatch, tmp_path) -> None:
    folder = create_folder(configs.from_words([*SMALL, *GRID, f"runs={tmp_path}"]))
    before = configs.hash_of(folder.config())
    without_gpu(monkeypatch, devices.Cuda("2.13.0", "12.6"))
    with pytest.raises(ConfigError, match="no NVIDIA driver"):
        device.move_run(folder, "cuda:1")
    with pytest.raises(ConfigError, match="a device is auto, cpu, cuda or cuda:N"):
        device.move_run(folder, "gpu")
    assert folder.config().device == "auto"
    device.move_run(folder, "cpu")
    assert RunFolder.open(folder.path).config().device == "cpu"
    assert configs.hash_of(folder.config()) == before


def test_auto_takes_a_gpu_only_where_the_scene_can_be_drawn(monkeypatch) -> None:
    monkeypatch.setattr(runtime, "warp_status", lambda _: "warp-lang does not import")
    monkeypatch.setattr(gaussians_gsplat, "gsplat_status", lambda _: "gsplat is not compiled")
    seen = devices.Cuda("2.13.0", "12.6", "12.8", ("NVIDIA Test",))
    for kind, expected in (("gaussians", "cpu"), ("grid", "cpu"), ("image", "cuda:0")):
        config = configs.from_words(["a red car", f"representation.kind={kind}"])
        assert str(device_of(config, lambda: seen, lambda _: "")) == expected
    asked = configs.from_words(["a red car", "device=cuda:0"])
    with pytest.raises(ConfigError, match="warp-lang does not import"):
        device_of(asked, lambda: seen, lambda _: "")


@pytest.mark.cuda
@pytest.mark.parametrize("what", [GRID[:-1], GAUSSIANS[:-1], IMAGE], ids=["grid", "gaussians", "image"])
def test_a_run_on_a_gpu_goes_on_without_one(tmp_path, what) -> None:
    folder = create_folder(configs.from_words([*SMALL, *what, "device=cuda", f"runs={tmp_path}"]))
    execute(folder)
    assert folder.status().state == "finished"
    state = CheckpointStore(folder.checkpoints).latest()
    here = steps([*what, "device=cpu"], 0, replace(state, step=2))
    here.apply(here.gradients())
    assert all(p.device.type == "cpu" for p in leaves(here.state().representation))
