"""A picture as representation: the render is what is optimised, and a consistent flow on it is the sampler."""

from __future__ import annotations

import io

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sds3d.representations.image import Options, create
from sds3d.representations.image.model import middle
from small_run import StopAt

from sds3d.assetio.pictures import load_image, save_png
from sds3d.cli.main import main
from sds3d.core.cameras import OrbitSampler
from sds3d.core.errors import AssetError, RunFolderError, StopRequested
from sds3d.core.look import Look
from sds3d.core.streams import Streams
from sds3d.jobs import configs
from sds3d.jobs.assemble import assemble
from sds3d.jobs.execute import execute
from sds3d.jobs.export import load_representation
from sds3d.jobs.runfolder import RunFolder
from sds3d.optimize.checkpoint import CheckpointStore
from sds3d.optimize.loop import Session
from sds3d.optimize.timing import Stopwatch

SIDE = 8


class Tent:
    """A canvas whose decoder halves contrast and whose encoder doubles it; 4 × 4 latents of 8 × 8 pictures."""

    size = (SIDE, SIDE)
    latent_shape = (3, 4, 4)

    def encode(self, media):
        return 2.0 * torch.nn.functional.avg_pool2d(media, 2) - 1.0

    def decode(self, z):
        return torch.nn.functional.interpolate((z + 1.0) / 2.0, scale_factor=2)


def picture(**options):
    return create(Options(**options), Streams(3), Tent)


def look(count=1, side=SIDE):
    return Look(None, (side, side), torch.ones(count, 3))


def config_of(runs, **change):
    base = {
        "prompt": "a colour",
        "prior": {"kind": "analytic", "shape": [3, SIDE, SIDE]},
        "representation": {"kind": "image"},
        "optimize": {"steps": 8, "views": 2, "checkpoint_steps": 3, "preview_steps": 4, "preview_size": 16},
        "pictures": {"contact_size": 16},
        "threads": 1,
        "runs": str(runs),
    }
    return configs.from_mapping(base | {k.replace("__", "."): v for k, v in change.items()})


@given(seed=st.integers(0, 2**31), count=st.integers(1, 4))
def test_the_render_is_the_picture_and_its_gradient_the_sum_over_views(seed, count):
    scene = create(Options(), Streams(seed), Tent)
    scene.values.requires_grad_(True)
    rgb = scene.render(look(count))["rgb"]
    assert torch.equal(rgb, scene.values.expand(count, -1, -1, -1))
    cotangent = Streams(seed).normal((3, SIDE, SIDE), "cotangent", ids=range(count))
    rgb.backward(cotangent)
    torch.testing.assert_close(scene.values.grad[0], cotangent.sum(0))


def test_what_was_seen_does_not_change_with_the_step():
    scene = picture()
    scene.values.requires_grad_(True)
    seen = scene.render(look())["rgb"].detach()
    before = seen.clone()
    with torch.no_grad():
        scene.values.add_(0.25)
    assert torch.equal(seen, before)


def test_without_gradients_it_is_shown_at_the_asked_size():
    with torch.no_grad():
        scene = picture(init="grey")
        assert scene.render(look(3, 20))["rgb"].shape == (3, 3, 20, 20)
        assert float((scene.render(look())["rgb"] - 0.5).abs().max()) == 0.0
        assert scene.provides == {"rgb"}


def test_latents_render_as_z_while_they_learn_and_as_a_picture_otherwise():
    scene = picture(space="latents", initial_noise=0.5)
    assert scene.values.shape == (1, 3, 4, 4)
    assert float(scene.values.std()) == pytest.approx(0.5, rel=0.4)
    scene.values.requires_grad_(True)
    seen = scene.render(look(2))
    assert set(seen) == {"z"}
    assert torch.equal(seen["z"], scene.values.expand(2, -1, -1, -1))
    with torch.no_grad():
        torch.testing.assert_close(scene.render(look())["rgb"], Tent().decode(scene.values).clamp(0.0, 1.0))


@given(step=st.floats(-3.0, 3.0))
def test_pixels_stay_in_the_scale_unless_they_may_leave_it(step):
    for clamp in (True, False):
        scene = picture(init="grey", clamp=clamp)
        scene.values.requires_grad_(True)
        with torch.no_grad():
            scene.values.add_(step)
        scene.after_step(0, 1, {}, None, Streams(0))
        inside = min(max(0.5 + step, 0.0), 1.0)
        assert float(scene.values.detach()[0, 0, 0, 0]) == pytest.approx(inside if clamp else 0.5 + step)


def test_a_file_is_the_start(tmp_path):
    stripes = torch.zeros(3, 8, 12)
    stripes[0, :, 2:6], stripes[2, :, 6:10] = 1.0, 1.0
    file = save_png(stripes, tmp_path / "stripes.png")
    scene = picture(init=str(file))
    assert torch.equal(scene.picture(), stripes[:, :, 2:10])
    twice = picture(init=str(file), size=4)
    assert float(twice.picture()[0, :, :2].min()) == 1.0
    latent = picture(init=str(file), space="latents")
    torch.testing.assert_close(latent.values, Tent().encode(stripes[None, :, :, 2:10]))
    with pytest.raises(AssetError, match=r"representation\.init"):
        picture(init=str(tmp_path / "none.png")).values  # noqa: B018


@given(
    height=st.integers(1, 40), width=st.integers(1, 40), rows=st.integers(1, 40), columns=st.integers(1, 40)
)
def test_the_middle_has_the_asked_proportions_and_touches_an_edge(height, width, rows, columns):
    image = torch.zeros(3, height, width)
    part = middle(image, (rows, columns))
    _, h, w = part.shape
    assert h == height or w == width
    assert abs(h * columns - w * rows) <= max(rows, columns)


def test_a_state_is_restored_and_another_refused():
    scene, other = picture(), picture(init="grey")
    other.load_state_dict(scene.state_dict())
    assert torch.equal(other.values, scene.values)
    with torch.no_grad():
        other.values.add_(1.0)
    assert not torch.equal(other.values, scene.values)
    with pytest.raises(RunFolderError, match="holds no picture"):
        other.load_state_dict({"density": torch.zeros(1)})


def test_no_camera_or_the_one_that_the_prior_is_told():
    assert Options().sampler(OrbitSampler()).sample(Streams(0), 0, 2) is None
    told = Options(azimuth_deg=90.0).sampler(OrbitSampler()).sample(Streams(0), 5, 2)
    assert told.azimuth_deg.tolist() == [90.0, 90.0]
    assert told.elevation_deg.tolist() == [15.0, 15.0]
    assert Options(elevation_deg=-20.0).sampler(OrbitSampler()).sample(Streams(0), 0, 1).azimuth_deg == 0.0


@pytest.mark.parametrize("space", ["pixels", "latents"])
@pytest.mark.parametrize("schedule", ["sd", "rf"])
@pytest.mark.parametrize("scale", [1.0, 7.5])
def test_a_consistent_flow_in_plain_steps_is_the_ddim_sample(tmp_path, space, schedule, scale):
    """The DDIM identity (guidance card O8.1) through the whole loop: look, render, encode, guide, pull back."""
    steps, fall = 9, {"linear": [0.9, 0.1]}
    config = config_of(
        tmp_path,
        prior__schedule=schedule,
        representation={"kind": "image", "space": space, "clamp": False, "init": "grey"},
        guidance={
            "method": "cfd",
            "cfg_scale": scale,
            "noise": "fixed",
            "weight": "kappa",
            "times": {"law": "uniform", "low": fall, "high": fall, "scale": "native", "shared": True},
        },
        optimize={"steps": steps, "views": 1},
    )
    stage = assemble(config, Stopwatch())
    session, prior = Session(stage), stage.prior
    t = torch.tensor([0.9 - 0.8 * k / steps for k in range(steps)])
    kappa = [*prior.schedule.kappa(t).tolist(), 0.0]
    for k in range(steps):
        grads = session.gradients()
        values = stage.representation.values
        # pixels are half of z, so that a step of z is a quarter of one along their gradient
        size = (1.0 - kappa[k + 1] / kappa[k]) / (4.0 if space == "pixels" else 1.0)
        with torch.no_grad():
            values.sub_(size * grads.params["picture"])
        session.step += 1
    found = stage.representation.values.detach()
    found = 2.0 * found - 1.0 if space == "pixels" else found

    alpha, sigma = [*prior.schedule.alpha(t).tolist(), 1.0], [*prior.schedule.sigma(t).tolist(), 0.0]
    eps = stage.streams.normal((3, SIDE, SIDE), "guidance-noise", 0, ids=[0])
    cond = prior.condition(stage.embedded, stage.look(0), {})
    x = sigma[0] * eps
    for k in range(steps):
        y, null = (prior.predict(x, t[k : k + 1], cond[name]).eps for name in ("y", "null"))
        guided = null + scale * (y - null)
        x = alpha[k + 1] * (x - sigma[k] * guided) / alpha[k] + sigma[k + 1] * guided
    torch.testing.assert_close(found, x, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("space", ["pixels", "latents"])
def test_a_stopped_run_ends_with_the_same_bits(tmp_path, space):
    config = config_of(tmp_path, representation__space=space)
    whole, parted = RunFolder.create(config), RunFolder.create(config)
    execute(whole)
    with pytest.raises(StopRequested):
        execute(parted, StopAt(5))
    execute(parted)
    ends = [CheckpointStore(f.checkpoints).latest().hash() for f in (whole, parted)]
    assert ends[0] == ends[1]
    assert whole.assets()["png"].read_bytes() == parted.assets()["png"].read_bytes()


def test_a_run_makes_a_png_from_the_command_line(tmp_path, capsys):
    words = ["run", "a colour", "prior.kind=analytic", "prior.shape=[3,8,8]", "representation=image"]
    words += ["optimize.steps=60", "guidance.cfg_scale=1", "guidance.weight=kappa", f"runs={tmp_path}"]
    with pytest.raises(SystemExit) as left:
        main([*words, "--quiet"])
    assert left.value.code in (0, None)
    file = next(tmp_path.glob("*/asset.png"))
    assert str(file) in capsys.readouterr().out
    assert Image.open(io.BytesIO(file.read_bytes())).size == (SIDE, SIDE)
    folder = RunFolder.open(file.parent)
    scene, step = load_representation(folder)
    assert step == 60
    torch.testing.assert_close(load_image(file), scene.picture(), rtol=0, atol=0.5 / 255 + 1e-6)
    assert folder.contact.is_file()
    assert not folder.turntable.exists()
    # the prior's mean is z = 0.5, three quarters of white, and the run walks towards it from grey noise
    assert 0.55 < float(scene.picture().mean()) <= 0.8
