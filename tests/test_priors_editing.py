"""Models for edits against the library's own pipelines: InstructPix2Pix, inpainting, ControlNet."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from family_cases import AGAINST, SIDE, TEXT, VIEWS, folder_of, load, look, noise
from tiny_models import EDITORS, controlnet

from sds3d.core.errors import ConfigError, Sds3dError
from sds3d.core.look import Look
from sds3d.priors import base
from sds3d.priors.control import FARTHEST, control_picture
from sds3d.priors.models.table import built_in

_ROOT = tempfile.TemporaryDirectory(prefix="sds3d-editors-")
STEPS, SCALE, IMAGE_SCALE = 3, 4.0, 1.7


@functools.cache
def editor(name: str) -> Path:
    return EDITORS[name](Path(_ROOT.name) / name)


@functools.cache
def control() -> Path:
    return controlnet(Path(_ROOT.name) / "controlnet")


def source(count: int = 1) -> torch.Tensor:
    g = torch.Generator().manual_seed(11)
    return torch.rand(count, 3, SIDE, SIDE, generator=g)


def region(count: int = 1) -> torch.Tensor:
    out = torch.zeros(count, 1, SIDE, SIDE)
    out[:, :, 4:12, :8] = 1.0
    return out


def pipeline(folder: Path, kind: str, **parts: Any) -> Any:
    import diffusers

    pipe = getattr(diffusers, kind).from_pretrained(
        folder,
        local_files_only=True,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
        **parts,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def sampled(
    prior: Any, pipe: Any, z: torch.Tensor, maps: dict[str, torch.Tensor], combine: Any
) -> torch.Tensor:
    """Three steps of the pipeline's scheduler on predictions of ours; `combine` maps a branch's answers to one."""
    scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config)
    scheduler.set_timesteps(STEPS)
    view = look(VIEWS[0])
    cond = prior.condition(prior.prepare(base.Prompts(TEXT, AGAINST, source="a cat")), view, maps)
    for index in scheduler.timesteps:
        t = (index.double() / prior.schedule.steps)[None]
        here = z
        told = combine(lambda branch, here=here, t=t: prior.predict(here, t, cond[branch]).eps)
        z = scheduler.step(told, index, z, return_dict=False)[0]
    return z


def shared(start: torch.Tensor) -> dict[str, Any]:
    return {
        "num_inference_steps": STEPS,
        "guidance_scale": SCALE,
        "latents": start.clone(),
        "output_type": "latent",
        "generator": torch.Generator().manual_seed(3),
    }


def test_instruct_pix2pix_equals_its_pipeline():
    folder = editor("instruct")
    prior = load(folder)
    start = noise(1, *prior.info.latent_shape)
    pipe = pipeline(folder, "StableDiffusionInstructPix2PixPipeline")
    theirs = pipe(TEXT, image=source(), image_guidance_scale=IMAGE_SCALE, **shared(start)).images

    def triple(said):
        u, i, ti = (said(branch) for branch in ("null", "src", "y"))
        return u + SCALE * (ti - i) + IMAGE_SCALE * (i - u)

    ours = sampled(prior, pipe, start, {"source": source()}, triple)
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
    # the source's words must not matter where its picture is seen, and the picture must
    other = sampled(prior, pipe, start, {"source": source().flip(3)}, triple)
    assert float((other - ours).abs().max()) > 1e-3


def test_inpainting_equals_its_pipeline():
    folder = editor("inpainting")
    prior = load(folder)
    assert prior.info.maps == {"source", "region"}
    start = noise(1, *prior.info.latent_shape)
    pipe = pipeline(folder, "StableDiffusionInpaintPipeline")
    call = {"height": SIDE, "width": SIDE, "strength": 1.0, "negative_prompt": AGAINST}
    # the pipeline encodes by a draw from the posterior, the house by its mode
    pipe.vae.encode = functools.partial(_by_the_mode, pipe.vae.encode)
    theirs = pipe(TEXT, image=source(), mask_image=region(), **call, **shared(start)).images

    def guided(said):
        return said("neg") + SCALE * (said("y") - said("neg"))

    maps = {"source": source(), "region": region()}
    ours = sampled(prior, pipe, start, maps, guided)
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
    for change in ({"region": 1.0 - region()}, {"source": source().flip(3)}):
        other = sampled(prior, pipe, start, maps | change, guided)
        assert float((other - ours).abs().max()) > 1e-3


def _by_the_mode(encode, picture, **more):
    """The encoder's answer with the posterior's mode for every draw."""
    found = encode(picture, **more)
    mode = found.latent_dist.mode()
    found.latent_dist.sample = lambda generator=None: mode
    return found


@pytest.mark.parametrize("kind", ["depth", "normal"])
def test_a_controlnet_equals_its_pipeline(kind):
    from diffusers import ControlNetModel

    folder, view = folder_of("sd1"), look(VIEWS[0])
    prior = load(folder, controls=[{"folder": str(control()), "map": kind, "scale": 0.7}])
    assert prior.info.maps == {kind}
    maps = render(view)
    start = noise(1, *prior.info.latent_shape)
    network = ControlNetModel.from_pretrained(control(), local_files_only=True)
    pipe = pipeline(folder, "StableDiffusionControlNetPipeline", controlnet=network)
    picture = control_picture(kind, view, maps, (SIDE, SIDE))
    call = {"height": SIDE, "width": SIDE, "negative_prompt": AGAINST, "controlnet_conditioning_scale": 0.7}
    theirs = pipe(TEXT, image=picture, **call, **shared(start)).images

    def guided(said):
        return said("neg") + SCALE * (said("y") - said("neg"))

    ours = sampled(prior, pipe, start, maps, guided)
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
    plain = sampled(load(folder), pipe, start, {}, guided)
    assert float((plain - ours).abs().max()) > 1e-3
    prior.close()
    assert "controls" not in prior.__dict__


def render(view: Look) -> dict[str, torch.Tensor]:
    """A slope that comes nearer to the right, in a disc."""
    x = torch.linspace(-1, 1, SIDE).expand(SIDE, SIDE)
    inside = (x.square() + x.T.square() < 0.8).float()[None, None].expand(len(view), -1, -1, -1)
    depth = (2.0 - 0.5 * x)[None, None].expand(len(view), -1, -1, -1)
    left = -view.cameras.c2w[:, :3, 0] + view.cameras.c2w[:, :3, 2]
    normal = torch.nn.functional.normalize(left, dim=1)[:, :, None, None].expand(-1, -1, SIDE, SIDE)
    return {"alpha": inside, "depth": depth, "normal": normal}


def test_pictures_for_a_controlnet():
    """Near is bright, the farthest still above nothing; a slope nearer on the right has a large first channel."""
    view = look(*VIEWS)
    maps = render(view)
    depth = control_picture("depth", view, maps, (SIDE, SIDE))
    inside = maps["alpha"].expand_as(depth) > 0
    assert float(depth[~inside].abs().max()) == 0.0
    assert float(depth.amax()) == pytest.approx(1.0)
    assert float(depth[inside].amin()) == pytest.approx(FARTHEST)
    middle = depth[0, 0, SIDE // 2][inside[0, 0, SIDE // 2]]
    assert bool((middle.diff() > 0).all())
    normal = control_picture("normal", view, maps, (SIDE, SIDE))
    expected = torch.tensor([0.5 + 0.5 * 0.5**0.5, 0.5, 0.5 + 0.5 * 0.5**0.5])
    for row in range(len(view)):
        torch.testing.assert_close(normal[row, :, SIDE // 2, SIDE // 2], expected, rtol=0, atol=1e-5)
        assert normal[row, :, 0, 0].tolist() == [0.5, 0.5, 1.0]
    # the signs are those of MiDaS's inverse depth under Sobel: x grows where the right is nearer
    slope = (1.0 / maps["depth"])[0, 0, SIDE // 2]
    assert float(slope[-1] - slope[0]) > 0
    flat = maps | {"depth": torch.full_like(maps["depth"], 2.0)}
    assert float(control_picture("depth", view, flat, (SIDE, SIDE))[inside].amin()) == 1.0


def test_branches_of_a_prior_that_sees_the_source():
    """null: neither words nor picture; src: the picture, and no words, by view as well."""
    prior = load(editor("instruct"))
    assert prior.info.maps == {"source"}
    view = look()
    told = prior.prepare(base.Prompts(TEXT, AGAINST, view_words=True, source="a cat"))
    cond = prior.condition(told, view, {"source": source(4)})
    assert float(cond["null"].tensors["picture"].abs().max()) == 0.0
    for branch in ("y", "src", "neg"):
        assert float(cond[branch].tensors["picture"].abs().max()) > 0.0
    torch.testing.assert_close(cond["src"].tensors["states"], cond["null"].tensors["states"])
    assert float((cond["y"].tensors["states"] - cond["null"].tensors["states"]).abs().max()) > 1e-3
    without = prior.condition(prior.prepare(base.Prompts(TEXT)), view, {"source": source(4)})
    torch.testing.assert_close(without["src"].tensors["states"], without["null"].tensors["states"])


@pytest.mark.parametrize("method", ["dreamcatalyst", "ssd_edit", "csd_collab", "dataset_update"])
def test_an_edit_with_instruct_pix2pix(method):
    """The methods made for it run on it, with the source's picture in the place of its words."""
    from sds3d.guidance.base import Views
    from sds3d.guidance.build import build_guidance
    from sds3d.guidance.registry import parse

    from sds3d.core.streams import Streams

    prior, view = load(editor("instruct")), look(*VIEWS[:2])
    rgb, original = source(2).flip(2), source(2)
    cond = prior.condition(prior.prepare(base.Prompts("make it blue")), view, {"source": original})
    before = Views(view, {"rgb": original}, prior.encode(original), cond)
    views = Views(view, {"rgb": rgb}, prior.encode(rgb), cond, source=before)
    small = {"dataset_update": {"moves": 2}, "ssd_edit": {"variant": "instruct"}}.get(method, {})
    guidance = build_guidance(parse({"method": method} | small), prior, 10)
    found, _, log = guidance.guide(views, 0, Streams(0), {})
    assert log["nfe"] == {"dataset_update": 3, "ssd_edit": 4}.get(method, 5)
    for g in found.values():
        assert bool(torch.isfinite(g).all())
        assert float(g.abs().max()) > 0


def test_what_is_missing_is_said(tmp_path):
    view = look(VIEWS[0])
    prior = load(editor("instruct"))
    words = prior.prepare(base.Prompts(TEXT))
    with pytest.raises(ConfigError, match="look at an original that is edited, and this run has none"):
        prior.condition(words, view, {})
    filling = load(editor("inpainting"))
    words = filling.prepare(base.Prompts(TEXT))
    with pytest.raises(ConfigError, match="look at a region that may change"):
        filling.condition(words, view, {"source": source()})
    told = load(folder_of("sd1"), controls=[{"folder": str(control()), "map": "depth"}])
    words = told.prepare(base.Prompts(TEXT))
    with pytest.raises(Sds3dError, match="the render has no depth and alpha"):
        told.condition(words, view, {})
    with pytest.raises(Sds3dError, match="go with UNets that read text"):
        load(folder_of("sd3"), controls=[{"folder": str(control()), "map": "depth"}])
    with pytest.raises(Sds3dError, match="cannot be read as JSON"):
        load(folder_of("sd1"), controls=[{"folder": str(tmp_path), "map": "depth"}])
    with pytest.raises(Sds3dError, match=r"holds a UNet2DConditionModel, expected a ControlNetModel"):
        load(folder_of("sd1"), controls=[{"folder": str(folder_of("sd1") / "unet"), "map": "depth"}])


def test_they_have_names():
    for name in ("instruct-pix2pix", "sd15-inpainting", "controlnet-depth", "controlnet-normal"):
        assert built_in()[name].readable, name


def test_attention_of_an_editor():
    prior, view = load(editor("instruct")), look(*VIEWS[:2])
    told = prior.prepare(base.Prompts("a red fox", source="a blue fox"))
    cond = prior.condition(told, view, {"source": source(2)})
    z_t, t = noise(2, *prior.info.latent_shape), torch.tensor([0.3, 0.6], dtype=torch.float64)
    found = prior.attention_maps(z_t, t, cond["edited"])
    assert found.shape == (2, 1, SIDE // 4, SIDE // 4)


def test_freeu_is_the_librarys():
    plain, told = load(folder_of("sd1")), load(folder_of("sd1"), freeu={})
    z_t, t = noise(2, *plain.info.latent_shape), torch.tensor([0.3, 0.6], dtype=torch.float64)
    cond = plain.condition(plain.prepare(base.Prompts(TEXT)), look(*VIEWS[:2]), {})
    said = told.predict(z_t, t, cond["y"]).eps
    assert float((said - plain.predict(z_t, t, cond["y"]).eps).abs().max()) > 1e-4
    plain.network.enable_freeu(s1=0.9, s2=0.2, b1=1.1, b2=1.1)
    torch.testing.assert_close(plain.predict(z_t, t, cond["y"]).eps, said)
    with pytest.raises(ConfigError, match="a SD3Transformer2DModel has none"):
        load(folder_of("sd3"), freeu={})
