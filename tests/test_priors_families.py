"""Every family of published models against the library's own pipeline, on random weights of the true architecture."""

from __future__ import annotations

import copy
import functools
import gc
import inspect
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from family_cases import (
    AGAINST,
    FAMILIES,
    SIDE,
    TEXT,
    VIEWS,
    conditions,
    embedded_of,
    folder_of,
    load,
    look,
    noise,
    one_time,
    prior_of,
)

from sds3d.core.streams import Streams
from sds3d.priors import base
from sds3d.priors.kinds import diffusers as kind
from sds3d.priors.noise_schedule import over

PIPELINES = sorted(set(FAMILIES) - {"mvdream"})  # the library has none of that one


def side_of(name: str) -> int:
    """Sana's pipeline takes multiples of 32 pixels."""
    return 32 if name.startswith("sana") else SIDE


CALLS: dict[str, dict[str, Any]] = {
    "lcm": {"guidance_scale": 8.5},
    "flux": {"guidance_scale": 3.5, "true_cfg_scale": 4.0, "negative_prompt": AGAINST},
    "sana-sprint": {"guidance_scale": 4.5, "intermediate_timesteps": None, "use_resolution_binning": False},
    "pixart": {"use_resolution_binning": False},
    "pixart-alpha": {"use_resolution_binning": False},
    "sana": {"use_resolution_binning": False},
}
GUIDED = {"negative_prompt": AGAINST, "guidance_scale": 4.0}


def run_pipeline(folder: Path, name: str, start: torch.Tensor) -> tuple[Any, torch.Tensor, list[Any]]:
    """(pipeline, latents after three steps, the arguments that it set its scheduler's times with)."""
    from diffusers import DiffusionPipeline

    pipe = DiffusionPipeline.from_pretrained(folder, local_files_only=True, **_no_checker(name))
    pipe.set_progress_bar_config(disable=True)
    asked: list[Any] = []
    plain = pipe.scheduler.set_timesteps

    @functools.wraps(plain)
    def watched(*args: Any, **options: Any) -> None:
        asked.append((args, options))
        plain(*args, **options)

    pipe.scheduler.set_timesteps = watched
    call = {
        "height": side_of(name),
        "width": side_of(name),
        "num_inference_steps": 3,
        "output_type": "latent",
    }
    call |= CALLS.get(name, {}) if name in ("lcm", "flux", "sana-sprint") else GUIDED | CALLS.get(name, {})
    if name == "deepfloyd":
        pipe.prepare_intermediate_images = lambda *_: start
        call["output_type"] = "pt"
    else:
        call["latents"] = _packed(start) if name == "flux" else start
    images = pipe(TEXT, generator=torch.Generator().manual_seed(3), **call).images
    return pipe, images, asked


def _no_checker(name: str) -> dict[str, Any]:
    if name in ("sd1", "sd2", "lcm"):
        return {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    if name == "deepfloyd":
        extra = {"safety_checker": None, "feature_extractor": None, "watermarker": None}
        return {**extra, "requires_safety_checker": False}
    return {}


def _packed(z: torch.Tensor) -> torch.Tensor:
    """2 x 2 cells a token, channel-major, written out index by index."""
    _, channels, height, width = z.shape
    rows = [
        [z[0, c, 2 * i + a, 2 * j + b] for c in range(channels) for a in range(2) for b in range(2)]
        for i in range(height // 2)
        for j in range(width // 2)
    ]
    return torch.tensor([[[float(v) for v in row] for row in rows]])


def sample(
    prior: kind.DiffusersPrior, pipe: Any, asked: list[Any], name: str, z: torch.Tensor
) -> torch.Tensor:
    """The same three steps by our words, noise levels and predictions, the library's scheduler stepping between."""
    scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config)
    for args, options in asked:
        scheduler.set_timesteps(*args, **options)
    cond = prior.condition(embedded_of(name), look(VIEWS[0]), {})
    words = {k: v for k, v in embedded_of(name).tensors.items() if k.split(".")[0] in ("y", "null", "neg")}
    cond = prior.condition(base.Embedded(words), look(VIEWS[0]), {})
    taken = inspect.signature(scheduler.step).parameters
    extra = {"generator": torch.Generator().manual_seed(3)} if "generator" in taken else {}
    if name == "sana-sprint":
        return _sprint(prior, scheduler, cond, z, extra)
    if hasattr(scheduler, "init_noise_sigma") and name == "sdxl":
        z = z * scheduler.init_noise_sigma
    done = z
    for index in scheduler.timesteps:
        seen = scheduler.scale_model_input(z, index) if hasattr(scheduler, "scale_model_input") else z
        native = _guided(prior, cond, seen, _time(prior, index), name)
        if name == "deepfloyd":
            native = torch.cat([native, _variance(prior, cond, seen, index)], dim=1)
        out = scheduler.step(native, index, z, return_dict=False, **extra)
        z, done = out[0], out[-1]
    return done if name == "lcm" else z


def _time(prior: kind.DiffusersPrior, index: torch.Tensor) -> torch.Tensor:
    """Our t of a scheduler's time: an index, or 1000 sigma of a flow."""
    if prior.schedule.kind == "vp":
        return (index.double() / prior.schedule.steps)[None]
    sigma = index.double() / 1000.0
    return prior.schedule.t_of_kappa((sigma / (1.0 - sigma))[None])


def _guided(prior: Any, cond: Any, z: torch.Tensor, t: torch.Tensor, name: str) -> torch.Tensor:
    def native(branch: str) -> torch.Tensor:
        said = prior.predict(z, t, cond[branch])
        return {"epsilon": said.eps, "v": said.v, "velocity": said.velocity}[prior.info.prediction]

    return native("y") if name == "lcm" else native("neg") + 4.0 * (native("y") - native("neg"))


def _variance(prior: Any, cond: Any, z: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """What the pipeline reads off beside the noise, which is no part of the prediction."""
    with torch.no_grad():
        return prior.network(z, index, cond["y"].tensors["states"]).sample[:, 3:]


def _sprint(prior: Any, scheduler: Any, cond: Any, z: torch.Tensor, extra: dict[str, Any]) -> torch.Tensor:
    """The angle s of a noised latent cos(s) z + sin(s) eps, and its velocity cos(s) eps - sin(s) z."""
    width = scheduler.config.sigma_data
    z = z * width
    for angle in scheduler.timesteps[:-1]:
        s = angle.double()
        y = z / width / (s.cos() + s.sin()).float()
        said = prior.predict(y, (s.sin() / (s.sin() + s.cos()))[None], cond["y"])
        native = s.cos().float() * said.eps - s.sin().float() * said.x0
        z, clean = scheduler.step(native * width, angle, z, return_dict=False, **extra)
    return clean / width


@pytest.mark.parametrize("name", PIPELINES)
def test_three_steps_equal_the_pipelines(name: str) -> None:
    folder = folder_of(name)
    prior = load(folder, size=side_of(name))
    start = noise(1, *prior.info.latent_shape)
    pipe, theirs, asked = run_pipeline(folder, name, start)
    ours = sample(prior, pipe, asked, name, start)
    compared = _packed(ours) if name == "flux" else ours
    torch.testing.assert_close(compared, theirs, rtol=1e-3, atol=1e-4)
    if prior.vae is None:
        torch.testing.assert_close(prior.decode(ours), (theirs / 2 + 0.5).clamp(0, 1))
        return
    with torch.no_grad():
        scale, shift = pipe.vae.config.scaling_factor, getattr(pipe.vae.config, "shift_factor", None) or 0.0
        picture = (pipe.vae.decode(ours / scale + shift).sample / 2 + 0.5).clamp(0, 1)
    torch.testing.assert_close(prior.decode(ours), picture, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_predict_is_one_forward_whose_forms_agree(name: str) -> None:
    prior, cond, calls = prior_of(name), conditions(name), []
    t = one_time(name)
    z_t = noise(4, *prior.info.latent_shape)
    hook = prior.network.register_forward_hook(lambda *_: calls.append(1))
    said = prior.predict(z_t.requires_grad_(), t, cond["y"])
    hook.remove()
    assert calls == [1]
    alpha, sigma = (over(v, z_t).float() for v in (prior.schedule.alpha(t), prior.schedule.sigma(t)))
    torch.testing.assert_close(alpha * said.x0 + sigma * said.eps, z_t.detach(), rtol=1e-4, atol=1e-4)
    for form in (said.eps, said.x0, said.v, said.velocity):
        assert form.dtype == torch.float32
        assert form.shape == z_t.shape
        assert not form.requires_grad
    assert float((prior.predict(z_t, t, cond["neg"]).eps - said.eps).abs().max()) > 1e-6
    if name == "mvdream":
        return
    # rows do not see each other
    rows = [prior.predict(z_t[i : i + 1], t[i : i + 1], cond["y"][i : i + 1]).eps for i in range(4)]
    torch.testing.assert_close(said.eps, torch.cat(rows), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_encoders_gradient_is_the_one_of_finite_differences(name: str) -> None:
    prior = copy.copy(prior_of(name))
    prior.vae = copy.deepcopy(prior.vae)
    if prior.vae is not None:
        prior.vae.double()
    g = torch.Generator().manual_seed(4)
    rgb = torch.rand(1, 3, 24, 24, generator=g, dtype=torch.float64, requires_grad=True)
    along = torch.randn(rgb.shape, generator=g, dtype=torch.float64)
    weight = torch.randn(1, *prior.info.latent_shape, generator=g, dtype=torch.float64)
    z = prior.encode(rgb)
    assert z.shape == weight.shape
    (slope,) = torch.autograd.grad((z * weight).sum(), rgb)
    step = 1e-3
    with torch.no_grad():
        up, down = (prior.encode(rgb + s * step * along).double() for s in (1, -1))
    measured = ((up - down) * weight).sum() / (2 * step)
    torch.testing.assert_close((slope * along).sum(), measured, rtol=5e-3, atol=1e-5)
    networks = [net for net in (prior.vae, prior.network) if net is not None]
    assert not any(p.requires_grad for net in networks for p in net.parameters())


@pytest.mark.parametrize("name", FAMILIES)
def test_sds_has_the_specs_gradient(name: str) -> None:
    """g = sigma^2 (eps_null + s (eps_y - eps_null) - eps) / B at the drawn state; it reaches the picture."""
    from sds3d.guidance.base import Views
    from sds3d.guidance.build import build_guidance
    from sds3d.guidance.methods import sds

    prior, views = copy.copy(prior_of(name)), look()
    guidance = build_guidance(sds.Options(cfg_scale=7.5), prior, steps=10)
    cond = conditions(name, views)
    rgb = torch.rand(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(6)).requires_grad_()
    z, streams, asked = prior.encode(rgb), Streams(3), []

    def watched(z_t: torch.Tensor, t: torch.Tensor, c: base.Cond) -> base.Prediction:
        asked.append((z_t, t))
        return type(prior).predict(prior, z_t, t, c)

    prior.predict = watched
    found, _, log = guidance.guide(
        Views(views, {"rgb": rgb.detach()}, z.detach(), cond), 0, streams, guidance.init(streams)
    )
    ((both, t),) = asked
    assert log["nfe"] == 2
    z_t, t = both[:4], t[:4]
    y, null = (type(prior).predict(prior, z_t, t, cond[b]).eps for b in ("y", "null"))
    alpha, sigma = (over(v, z_t).float() for v in (prior.schedule.alpha(t), prior.schedule.sigma(t)))
    eps = (z_t - alpha * z.detach()) / sigma
    kappa = sigma / alpha
    weight = kappa**2 / (1.0 + kappa**2)
    torch.testing.assert_close(found["z"], weight * (null + 7.5 * (y - null) - eps) / 4, rtol=2e-3, atol=2e-4)
    if prior.info.views_per_group > 1:
        assert len(set(t.tolist())) == 1
    z.backward(found["z"])
    assert rgb.grad is not None
    assert float(rgb.grad.abs().max()) > 0


@pytest.fixture
def only_what_is_new() -> Iterator[None]:
    """The collector looks at nothing that was there before: in a long session that is most of the time."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize("name", FAMILIES)
def test_nothing_is_left_after_close(only_what_is_new, name: str) -> None:
    prior = load(folder_of(name))
    prior.encode(torch.rand(1, 3, SIDE, SIDE, requires_grad=True))
    refs = [weakref.ref(net) for net in (prior.network, prior.vae) if net is not None]
    gc.collect()
    before = _live_tensors()
    prior.close()
    del prior
    gc.collect()
    assert [ref() for ref in refs] == [None] * len(refs)
    again = load(folder_of(name))
    again.encode(torch.rand(1, 3, SIDE, SIDE, requires_grad=True))
    gc.collect()
    assert 0 < _live_tensors() <= before


def _live_tensors() -> int:
    """Bytes of all tensors that the collector knows."""
    return sum(
        o.numel() * o.element_size()
        for o in gc.get_objects()
        if type(o) in (torch.Tensor, torch.nn.Parameter)
    )


@pytest.mark.parametrize("name", FAMILIES)
def test_text_encoders_are_gone_after_prepare(
    only_what_is_new, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    plain = kind.text_pipeline

    def watched(*args: Any) -> Any:
        pipe = plain(*args)
        made.extend(
            weakref.ref(part) for key, part in pipe.components.items() if key.startswith("text_enc") and part
        )
        return pipe

    monkeypatch.setattr(kind, "text_pipeline", watched)
    prior = load(folder_of(name))
    assert not made
    prior.prepare(base.Prompts(TEXT))
    gc.collect()
    assert made
    assert [ref() for ref in made] == [None] * len(made)
