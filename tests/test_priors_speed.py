"""Switches that change how a network computes and not what; tiles of the autoencoder, which do change it a little."""

from __future__ import annotations

import shutil
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from family_cases import SIDE, conditions, folder_of, load, noise, one_time, prior_of

from sds3d.core.errors import ConfigError, MissingPackageError
from sds3d.core.streams import Streams
from sds3d.priors import speed
from sds3d.priors.kinds import diffusers as kind
from sds3d.priors.lora import LoraSpec, make_adapter
from sds3d.priors.models.architecture import of_layout
from sds3d.priors.models.memory import Workload, predict

CPU = torch.device("cpu")


def answers(prior: kind.DiffusersPrior, name: str) -> list[torch.Tensor]:
    """A prediction, z of a picture, its gradient, and the picture of a z."""
    said = prior.predict(noise(4, *prior.info.latent_shape), one_time(name), conditions(name)["y"])
    rgb = torch.rand(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1)).requires_grad_()
    z = prior.encode(rgb)
    z.square().sum().backward()
    assert rgb.grad is not None
    return [said.eps, z.detach(), rgb.grad, prior.decode(z.detach())]


@pytest.mark.parametrize(
    "switch", [{"channels_last": True}, {"attention": "math"}, {"attention": "flash"}], ids=str
)
@pytest.mark.parametrize("name", ["sd1", "sd3"])
def test_a_switch_changes_nothing_but_the_speed(name: str, switch: dict[str, Any]) -> None:
    for ours, plain in zip(
        answers(load(folder_of(name), **switch), name), answers(prior_of(name), name), strict=True
    ):
        torch.testing.assert_close(ours, plain, rtol=2e-4, atol=2e-5)


def test_channels_last_is_how_the_weights_lie() -> None:
    prior = load(folder_of("sd1"), channels_last=True)
    for network in (prior.network, prior.vae):
        weight = network.get_parameter(
            "conv_out.weight" if network is prior.network else "encoder.conv_in.weight"
        )
        assert weight.is_contiguous(memory_format=torch.channels_last)
        assert not weight.is_contiguous()


def test_the_kernel_by_name_is_the_one_that_runs() -> None:
    """A CPU has no kernel called efficient: torch refuses, so the choice reaches it."""
    q = torch.rand(1, 1, 4, 8)
    attend = torch.nn.functional.scaled_dot_product_attention
    with (
        pytest.raises(
            ConfigError, match=r"prior.attention: torch has no efficient attention .*Set it to auto"
        ),
        speed.attention_kernel("efficient"),
    ):
        attend(q, q, q)
    with pytest.raises(RuntimeError, match="another"), speed.attention_kernel("math"):
        raise RuntimeError("another error passes")
    with speed.attention_kernel("auto"):
        attend(q, q, q)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a compiler")
@pytest.mark.parametrize("name", ["sd1", "sd3"])
def test_a_compiled_network_answers_the_same(name: str) -> None:
    prior = load(folder_of(name), compile=True)
    for ours, plain in zip(answers(prior, name), answers(prior_of(name), name), strict=True):
        torch.testing.assert_close(ours, plain, rtol=2e-4, atol=2e-5)
    compiled = [m for m in prior.network.modules() if m._compiled_call_impl is not None]
    assert compiled
    # a critic's twin is made of it as of any network
    adapter = make_adapter(prior, LoraSpec(rank=2, layers="attention", camera=False))
    z, t, cond = noise(4, *prior.info.latent_shape), one_time(name), conditions(name)["y"]
    same = adapter.predict(adapter.init(Streams(1)), z, t, cond, None, torch.zeros(4, dtype=torch.bool)).eps
    torch.testing.assert_close(same, prior.predict(z, t, cond).eps, rtol=2e-4, atol=2e-5)


def options(**given: Any) -> kind.Options:
    return kind.Options(**{"folder": "x"} | given)


def test_what_this_machine_cannot_do(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, views = prior_of("sd1").layout, prior_of("mvdream").layout
    with pytest.raises(ConfigError, match=r"prior.attention: cudnn attention needs a GPU.*auto, math, flash"):
        speed.check_speed(options(attention="cudnn"), plain, CPU)
    gpu = torch.device("cuda")
    with pytest.raises(ConfigError, match=r"prior.attention: mvdream models .* xformers cannot replace"):
        speed.check_speed(options(attention="xformers"), views, gpu)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match="pip install xformers"):
        speed.check_speed(options(attention="xformers"), plain, gpu)
    with pytest.raises(MissingPackageError, match="pip install sageattention"):
        speed.check_speed(options(attention="sage"), plain, gpu)
    with pytest.raises(MissingPackageError, match="pip install triton"):
        speed.check_speed(options(compile=True), plain, gpu)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"g\+\+"):
        speed.check_speed(options(compile=True), plain, CPU)
    speed.check_speed(options(), plain, CPU)


def test_a_packages_kernel_goes_where_the_library_takes_it() -> None:
    """The library's newer networks are told a backend by name; a UNet knows xformers alone."""
    told: list[Any] = []

    class Newer(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = torch.nn.Linear(1, 1)
            self.inner.processor = SimpleNamespace(_attention_backend=None)

        def set_attention_backend(self, backend: str) -> None:
            told.append(backend)

    class Older(torch.nn.Module):
        def enable_xformers_memory_efficient_attention(self) -> None:
            told.append("by the older way")

    speed.speed_up(Newer(), options(attention="sage"))
    speed.speed_up(Newer(), options(attention="xformers"))
    speed.speed_up(Older(), options(attention="xformers"))
    assert told == ["sage", "xformers", "by the older way"]
    with pytest.raises(ConfigError, match=r"prior.attention: a Older does not take sage"):
        speed.speed_up(Older(), options(attention="sage"))


@pytest.mark.parametrize("name", ["sd1", "sana"])
def test_tiles_have_the_gradient_of_finite_differences(name: str) -> None:
    prior = load(folder_of(name), vae_tiles=32, size=48)
    prior.vae.double()
    g = torch.Generator().manual_seed(4)
    rgb = torch.rand(1, 3, 48, 48, generator=g, dtype=torch.float64, requires_grad=True)
    along = torch.randn(rgb.shape, generator=g, dtype=torch.float64)

    def encoded(x: torch.Tensor) -> torch.Tensor:
        """In double precision: the adapter itself hands on float32, too coarse for a step below the ReLUs' kinks."""
        out = prior.vae.encode(2 * x - 1)
        return out.latent if hasattr(out, "latent") else out.latent_dist.mode()

    z = encoded(rgb)
    assert z.shape == (1, *prior.info.latent_shape)
    weight = torch.randn(z.shape, generator=g, dtype=torch.float64)
    (slope,) = torch.autograd.grad((z * weight).sum(), rgb)
    with torch.no_grad():
        up, down = (encoded(rgb + s * 1e-5 * along) for s in (1, -1))
        z = prior.encode(rgb)
    torch.testing.assert_close(
        (slope * along).sum(), ((up - down) * weight).sum() / 2e-5, rtol=2e-3, atol=1e-5
    )
    assert prior.decode(z).shape == (1, 3, 48, 48)
    # tiles are something else than the whole, or nothing would have been tested
    whole = load(folder_of(name), size=48)
    assert float((whole.encode(rgb.detach().float()) - z).abs().max()) > 1e-3


def test_a_picture_that_fits_into_a_tile_is_taken_whole() -> None:
    prior, plain = load(folder_of("sd1"), vae_tiles=32), prior_of("sd1")
    rgb = torch.rand(2, 3, SIDE, SIDE)
    torch.testing.assert_close(prior.encode(rgb), plain.encode(rgb), rtol=1e-4, atol=1e-5)


def test_tiles_need_less_memory_and_overlap_by_whole_cells() -> None:
    shape = of_layout(prior_of("sd1").layout)
    work: dict[str, Any] = {"size": 64, "views": 1, "branches": 1, "dtype": torch.float32}
    tiled, tight = (
        predict(shape, Workload(**work, tiles=tiles), lean=True, tight=True) for tiles in (32, None)
    )
    assert tiled.backward < tight.backward / 2
    with pytest.raises(ConfigError, match=r"prior.vae_tiles: 40 is not a multiple of 16.*nearest is 32"):
        load(folder_of("sd1"), vae_tiles=40)
    with pytest.raises(ValueError, match="vae_tiles"):
        options(vae_tiles=8)


def test_a_tight_encoder_runs_three_times() -> None:
    """Once forward, once again whole for the way back, and its blocks once more within."""
    prior, calls = load(folder_of("sd1"), memory="tight"), []
    layer = prior.vae.encoder.down_blocks[0].resnets[0].conv1
    layer.register_forward_hook(lambda *_: calls.append(1))
    prior.encode(torch.rand(2, 3, SIDE, SIDE, requires_grad=True)).sum().backward()
    assert len(calls) == 2 * 3
    calls.clear()
    with torch.no_grad():
        prior.encode(torch.rand(2, 3, SIDE, SIDE))
    assert len(calls) == 2
