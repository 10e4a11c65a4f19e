"""MVDream: its cameras by hand, its joint attention, its published layout."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import published_names
import pytest
import torch
from family_cases import TEXT, conditions, folder_of, load, look, noise, one_time, prior_of
from safetensors.torch import save_file

from sds3d.core.cameras import orbit
from sds3d.core.errors import ConfigError, Sds3dError
from sds3d.core.look import Look
from sds3d.priors import base
from sds3d.priors.families.mvdream import camera_numbers, unet_config

HALF = math.sqrt(0.5)
BY_HAND = {
    # (azimuth, elevation): rows of [right | up | backward | position] in Blender's axes, z up, front facing -y
    (0.0, 0.0): [[1, 0, 0, 0], [0, 0, -1, -1], [0, 1, 0, 0]],
    (90.0, 0.0): [[0, 0, 1, 1], [1, 0, 0, 0], [0, 1, 0, 0]],
    (180.0, 0.0): [[-1, 0, 0, 0], [0, 0, 1, 1], [0, 1, 0, 0]],
    (270.0, 0.0): [[0, 0, -1, -1], [-1, 0, 0, 0], [0, 1, 0, 0]],
    (0.0, 45.0): [[1, 0, 0, 0], [0, HALF, -HALF, -HALF], [0, HALF, HALF, HALF]],
    (0.0, 90.0): [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1]],
}


@pytest.mark.parametrize(("azimuth", "elevation"), BY_HAND)
@pytest.mark.parametrize("distance", [0.7, 2.4])
def test_cameras_are_those_worked_out_by_hand(azimuth: float, elevation: float, distance: float) -> None:
    found = camera_numbers(orbit([azimuth], elevation, distance).c2w)
    expected = torch.tensor([[*BY_HAND[azimuth, elevation], [0.0, 0, 0, 1]]]).flatten(1)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_a_camera_matrix_turns_vectors_as_the_world_turns() -> None:
    """The published matrix of any view is the rotation about x by 90° of ours, of determinant 1."""
    c2w = orbit([33.0, -120.0], torch.tensor([10.0, -40.0])).c2w
    theirs = camera_numbers(c2w).reshape(-1, 4, 4)
    torch.testing.assert_close(torch.linalg.det(theirs[:, :3, :3]), torch.ones(2))
    up_of_ours = c2w[:, 1, :3]  # the world's up axis as each camera sees it
    torch.testing.assert_close(theirs[:, 2, :3], up_of_ours)
    torch.testing.assert_close(theirs[:, :3, 3].norm(dim=1), torch.ones(2))


def test_views_of_an_object_see_each_other_and_nobody_else() -> None:
    prior, cond, t = prior_of("mvdream"), conditions("mvdream"), one_time("mvdream")
    z = noise(4, *prior.info.latent_shape)
    plain = prior.predict(z, t, cond["y"]).eps
    touched = z.clone()
    touched[3] += 1.0
    moved = prior.predict(touched, t, cond["y"]).eps
    assert float((moved[0] - plain[0]).abs().max()) > 1e-5
    twice = base.concatenate([cond["y"], cond["null"]])
    both = prior.predict(torch.cat([z, touched]), t.repeat(2), twice).eps
    torch.testing.assert_close(both[:4], plain, rtol=1e-4, atol=1e-5)
    # four equal views that see each other are as one that sees itself
    same = base.Cond({k: v[:1].expand(4, *v.shape[1:]) for k, v in cond["y"].tensors.items()}, torch.ones(4))
    joint = prior.predict(z[:1].expand(4, -1, -1, -1), t, same).eps
    with torch.no_grad():
        from diffusers import UNet2DConditionModel

        alone = UNet2DConditionModel.from_pretrained(folder_of("mvdream") / "unet")(
            z[:1],
            prior.schedule.index(t[:1]),
            same.tensors["states"][:1],
            class_labels=same.tensors["camera"][:1],
        ).sample
    torch.testing.assert_close(joint, alone.expand(4, -1, -1, -1), rtol=1e-4, atol=1e-5)


def test_the_camera_is_heard() -> None:
    prior, t = prior_of("mvdream"), one_time("mvdream")
    here, there = conditions("mvdream"), conditions("mvdream", look((0, 0), (90, 0), (180, 0), (270, 0)))
    z = noise(4, *prior.info.latent_shape)
    said = [prior.predict(z, t, c["null"]).eps for c in (here, there)]
    assert float((said[0] - said[1]).abs().max()) > 1e-5
    assert prior.info.uses_camera
    assert prior.info.views_per_group == 4


@pytest.mark.parametrize("count", [1, 3, 8])
def test_views_must_be_four(count: int) -> None:
    prior = prior_of("mvdream")
    views = look(*[(10.0 * k, 0.0) for k in range(count)])
    with pytest.raises(
        ConfigError, match=r"optimize.views: .*4 views of an object at a time, these are .*Set it to 4"
    ):
        prior.condition(prior.prepare(base.Prompts(TEXT)), views, {})


def test_two_objects_of_four_views_each() -> None:
    prior = prior_of("mvdream")
    cameras = orbit([90.0 * k for k in range(8)], 10.0, group=torch.arange(2).repeat_interleave(4))
    eight = Look(cameras, (16, 16), torch.ones(8, 3))
    assert prior.condition(prior.prepare(base.Prompts(TEXT)), eight, {})["y"].tensors["camera"].shape == (
        8,
        16,
    )
    with pytest.raises(ConfigError, match="without cameras"):
        prior.condition(prior.prepare(base.Prompts(TEXT)), Look(None, (16, 16), torch.ones(4, 3)), {})


PUBLISHED = {
    "_class_name": "MultiViewUNetModel",
    "image_size": 4,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 32,
    "attention_resolutions": [1],
    "num_res_blocks": 1,
    "channel_mult": [1, 2],
    "num_head_channels": 8,
    "transformer_depth": 1,
    "context_dim": 32,
    "camera_dim": 16,
}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny folder in the layout of the published conversion: the makers' names, their own class."""
    from diffusers import UNet2DConditionModel

    folder = shutil.copytree(folder_of("mvdream"), tmp_path_factory.mktemp("mvdream") / "published")
    torch.manual_seed(0)
    unet = UNet2DConditionModel(**unet_config(PUBLISHED))
    shutil.rmtree(folder / "unet")
    unet.save_pretrained(folder.parent / "twin")
    (folder / "unet").mkdir()
    (folder / "unet/config.json").write_text(json.dumps(PUBLISHED))
    published_names._SEEN.update(unet.state_dict())
    tensors = {k: v.contiguous() for k, v in published_names.unet_names(unet, prefix="").items()}
    save_file(tensors, folder / "unet/diffusion_pytorch_model.safetensors", {"format": "pt"})
    index = json.loads((folder / "model_index.json").read_text())
    index |= {
        "_class_name": ["pipeline_mvdream", "MVDreamPipeline"],
        "unet": ["mv_unet", "MultiViewUNetModel"],
    }
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def test_the_published_layout_is_read(published: Path) -> None:
    from diffusers import UNet2DConditionModel

    prior = load(published)
    twin = UNet2DConditionModel.from_pretrained(published.parent / "twin")
    for name, weight in twin.state_dict().items():
        assert torch.equal(prior.network.state_dict()[name], weight), name
    assert prior.info.size == (16, 16)
    assert load(published, size=None).info.size == (16, 16)
    cond = prior.condition(prior.prepare(base.Prompts(TEXT)), look(), {})
    assert torch.isfinite(prior.predict(noise(4, 4, 4, 4), one_time("mvdream"), cond["y"]).eps).all()


def test_a_published_folder_without_a_camera_is_another_model(published: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(published, tmp_path / "blind")
    config = PUBLISHED | {"camera_dim": None, "ip_dim": 16}
    (folder / "unet/config.json").write_text(json.dumps(config))
    with pytest.raises(Sds3dError, match=r"takes no camera of 16 numbers; the UNet also takes a picture"):
        load(folder)
