"""The diffusers prior against the library's own pipeline, on random weights of the true architecture."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tiny_stable_diffusion import SCALE, SIDE, load, write_model

from sds3d.core.cameras import orbit
from sds3d.core.errors import PromptError
from sds3d.core.look import Look
from sds3d.core.streams import Streams
from sds3d.core.tree import split
from sds3d.priors import base
from sds3d.priors.kinds import diffusers as kind
from sds3d.priors.model_folder import check_folder
from sds3d.priors.texts import text_pipeline
from sds3d.priors.views import VIEW_WORDS


@pytest.fixture(
    scope="module", params=[("epsilon", "<|endoftext|>"), ("v_prediction", "!")], ids=["sd1", "sd2"]
)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of both families: 1.x predicts noise; 2.x velocity, its text padded with "!"."""
    return write_model(tmp_path_factory.mktemp("models") / request.param[0], *request.param)


@pytest.fixture(scope="module")
def sd1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("sd1") / "tiny", "epsilon", "<|endoftext|>")


def noise(*shape: int, tag: str = "test") -> torch.Tensor:
    return Streams(5).normal(shape, tag)[0]


def look(*cameras: tuple[float, float]) -> Look:
    azimuth, elevation = zip(*cameras, strict=True)
    return Look(orbit(azimuth, torch.tensor(elevation)), (SIDE, SIDE), torch.ones(len(cameras), 3))


def test_view_words_pick_the_embedding_of_each_camera(model: Path) -> None:
    prior = load(model)
    embedded = prior.prepare(base.Prompts("a fox", "blurry", view_words=True, source="a cat"))
    cond = prior.condition(embedded, look((0.0, 0.0), (90.0, 10.0), (180.0, 0.0), (0.0, 80.0)), {})
    assert set(cond) - {"edited"} == set(prior.info.branches) >= {"y", "null", "neg", "mix", "neg0", "neg1"}
    for row, words in zip(cond["y"].tensors["states"], VIEW_WORDS, strict=True):
        alone = prior.prepare(base.Prompts(f"a fox, {words}")).tensors["y.states"]
        torch.testing.assert_close(row, alone, rtol=1e-5, atol=1e-5)
    for row, words in zip(cond["src"].tensors["states"], VIEW_WORDS, strict=True):
        alone = prior.prepare(base.Prompts(f"a cat, {words}")).tensors["y.states"]
        torch.testing.assert_close(row, alone, rtol=1e-5, atol=1e-5)
    assert len({tuple(row.flatten().tolist()) for row in cond["y"].tensors["states"]}) == 4
    for branch, text in {"null": "", "neg": "blurry"}.items():
        alone = prior.prepare(base.Prompts("x", text)).tensors["neg.states"]
        torch.testing.assert_close(
            cond[branch].tensors["states"], alone.expand(4, -1, -1), rtol=1e-5, atol=1e-5
        )


def test_view_words_are_left_out_where_nobody_asks(sd1: Path) -> None:
    prior, turned = load(sd1), look((0.0, 0.0), (180.0, 0.0))
    plain = prior.prepare(base.Prompts("a fox"))
    y = prior.condition(plain, turned, {})["y"].tensors["states"]
    assert torch.equal(y, plain.tensors["y.states"].expand(2, -1, -1))
    asked = prior.prepare(base.Prompts("a fox", view_words=True))
    y = prior.condition(asked, turned, {})["y"].tensors["states"]
    assert not torch.allclose(y[0], y[1])
    flat = Look(None, (SIDE, SIDE), torch.ones(1, 3))  # a picture has no side
    assert torch.equal(prior.condition(asked, flat, {})["y"].tensors["states"][0], asked.tensors["y.states"])


def test_text_is_padded_as_the_folder_says(model: Path) -> None:
    """2.x models were trained with token 0 as padding, 1.x models with the end token."""
    prior = load(model)
    pipe = text_pipeline(prior.layout, "float32")
    ids = pipe.tokenizer(["", "aa"], padding="max_length", return_tensors="pt")["input_ids"]
    pad = {"epsilon": 513, "v_prediction": 0}[model.name]
    assert ids.shape == (2, 77)
    assert ids[0].tolist() == [512, 513] + [pad] * 75
    assert ids[1].tolist() == [512, 64, 64 + 256, 513] + [pad] * 73


def test_encode_is_the_scaled_mode_at_the_models_size(sd1: Path) -> None:
    prior = load(sd1)
    rgb = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    z = prior.encode(rgb)
    assert z.shape == (2, *prior.info.latent_shape) == (2, 4, 4, 4)
    with torch.no_grad():
        mean = prior.vae.encode(2 * rgb - 1).latent_dist.mean
    torch.testing.assert_close(z, mean * SCALE)
    # doubled pixels, shrunk by two without a filter, are the picture itself
    torch.testing.assert_close(prior.encode(rgb.repeat_interleave(2, 2).repeat_interleave(2, 3)), z)
    big = load(sd1, size=2 * SIDE)
    assert big.info.size == (32, 32)
    assert big.encode(rgb).shape == (2, *big.info.latent_shape) == (2, 4, 8, 8)


def test_resizing_uses_no_antialiasing(sd1: Path) -> None:
    """Shrinking by four reads only the middle two of four pixels: the others may hold anything."""
    prior = load(sd1)
    rgb = torch.rand(1, 3, 4 * SIDE, 4 * SIDE, generator=torch.Generator().manual_seed(2))
    touched = rgb.clone()
    touched[:, :, ::4] = 0.0
    touched[:, :, :, 3::4] = 1.0
    assert torch.equal(prior.encode(rgb), prior.encode(touched))


@given(shift=st.floats(-1, 1), scale=st.floats(0.05, 2))
def test_scaling_of_latents_comes_back(sd1: Path, shift: float, scale: float) -> None:
    """With an autoencoder that does nothing, decode(encode(x)) = x and z = (2 x - 1 - shift) scale."""
    from types import SimpleNamespace

    from sds3d.priors.latent import decode_latent, encode_latent

    identity = SimpleNamespace(
        device=torch.device("cpu"),
        dtype=torch.float32,
        config=SimpleNamespace(shift_factor=shift, scaling_factor=scale),
        encode=lambda x: SimpleNamespace(latent_dist=SimpleNamespace(mode=lambda: x)),
        decode=lambda z: SimpleNamespace(sample=z),
    )
    rgb = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(3))
    z = encode_latent(identity, rgb, (4, 4))
    torch.testing.assert_close(z, (2 * rgb - 1 - shift) * scale)
    torch.testing.assert_close(decode_latent(identity, z), rgb)


def test_decode_gives_pictures_without_a_gradient(sd1: Path) -> None:
    prior = load(sd1)
    picture = prior.decode((30 * noise(2, *prior.info.latent_shape)).requires_grad_())
    assert picture.shape == (2, 3, SIDE, SIDE)
    assert not picture.requires_grad
    assert 0.0 <= float(picture.min()) < float(picture.max()) <= 1.0


def test_the_advice_of_the_embedded_prior_can_be_followed(sd1: Path, tmp_path: Path) -> None:
    """The words of the message that refuses free text, on a command line, make a run that trains."""
    from sds3d.jobs import assemble, configs
    from sds3d.optimize.checkpoint import CheckpointStore
    from sds3d.optimize.events import Silent
    from sds3d.optimize.loop import train
    from sds3d.optimize.timing import Stopwatch
    from sds3d.priors.words import check_words

    with pytest.raises(PromptError) as refused:
        check_words("a giraffe", {"a"}, 10, "embedded")
    advice = re.search(r"(prior\.kind=\w+) (prior\.folder=)<", str(refused.value)).groups()
    words = ["a giraffe", advice[0], f"{advice[1]}{sd1}", "optimize.steps=2", "optimize.views=1"]
    watch = Stopwatch()  # two steps: the learning rate warms up from zero
    stage = assemble.assemble(configs.from_words(words), watch)
    assert "y3.states" in stage.embedded.tensors  # it knows no camera, so the prompts tell the side
    before = {k: v.clone() for k, v in split(stage.representation.state_dict())[0].items()}
    after = split(train(stage, CheckpointStore(tmp_path, 2), Silent(), None, watch).representation)[0]
    assert any(not torch.equal(after[k], before[k]) for k in before)


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_half_precision_stays_near(sd1: Path, precision: str) -> None:
    half, full = load(sd1, precision=precision), load(sd1)
    assert half.network.dtype == getattr(torch, precision)
    assert half.vae.dtype == torch.float32
    z_t, t = noise(2, *full.info.latent_shape), torch.tensor([0.2, 0.6])
    cond = base.Cond({"states": noise(2, 77, 32, tag="states")}, torch.ones(2))
    a, b = half.predict(z_t, t, cond), full.predict(z_t, t, cond)
    assert a.eps.dtype == torch.float32
    assert 0 < float((a.eps - b.eps).norm() / b.eps.norm()) < 0.05
    alpha, sigma = (v[:, None, None, None].float() for v in (full.schedule.alpha(t), full.schedule.sigma(t)))
    # only the network is coarse: what it saw is converted in full precision
    torch.testing.assert_close(alpha * a.x0 + sigma * a.eps, z_t, rtol=1e-5, atol=1e-5)


def test_everything_moves_to_the_models_device(sd1: Path) -> None:
    """On the meta device an operation that mixes devices fails, as it would on a GPU."""
    layout = check_folder(sd1)
    prior = kind.DiffusersPrior(layout, kind.Options(folder=str(sd1)), torch.device("meta"))
    cond = prior.condition(
        prior.prepare(base.Prompts("a fox", view_words=True)), look((0.0, 0.0), (90.0, 0.0)), {}
    )
    z = prior.encode(torch.rand(2, 3, 20, 20, requires_grad=True))
    t = torch.tensor([0.1, 0.2])
    for times in (t, t.to("meta")):
        z_t = prior.schedule.add_noise(z, torch.randn_like(z), times)
        said = prior.predict(z_t, times, base.concatenate([cond["y"]]))
        assert said.x0.device.type == prior.decode(said.x0).device.type == "meta"
        assert cond["y"].weight.device.type == "meta"


@pytest.mark.cuda
def test_a_gpu_says_what_the_cpu_says(model: Path) -> None:
    gpu, cpu = load(model, device="cuda"), load(model)
    rgb, t = noise(2, 3, SIDE, SIDE).sigmoid(), torch.tensor([0.3, 0.8])
    cond = [
        p.condition(p.prepare(base.Prompts("a fox")), look((0.0, 0.0), (90.0, 0.0)), {})["y"]
        for p in (gpu, cpu)
    ]
    z = [p.encode(rgb) for p in (gpu, cpu)]
    said = [p.predict(a, t, c).eps.cpu() for p, a, c in zip((gpu, cpu), z, cond, strict=True)]
    noisy = gpu.schedule.add_noise(z[0], z[0], t.cuda())  # times that came along with the latents
    torch.testing.assert_close(noisy.cpu(), gpu.schedule.add_noise(z[1], z[1], t), rtol=1e-3, atol=1e-3)
    assert kind.create(kind.Options(folder=str(model)), "cuda").network.dtype == torch.float16
    torch.testing.assert_close(z[0].cpu(), z[1], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(said[0], said[1], rtol=1e-2, atol=1e-2)


def test_provenance_reads_the_three_weight_files(sd1: Path) -> None:
    files = kind.weight_files(kind.Options(folder=str(sd1)))
    assert {str(f.relative_to(sd1)) for f in files} == {
        "unet/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
        "text_encoder/model.safetensors",
    }


def test_only_half_precision_files_are_enough(sd1: Path, tmp_path: Path) -> None:
    """Many people keep the .fp16 files alone."""
    folder = shutil.copytree(sd1, tmp_path / "half")
    for part, stem in {
        "unet": "diffusion_pytorch_model",
        "vae": "diffusion_pytorch_model",
        "text_encoder": "model",
    }.items():
        file = folder / part / f"{stem}.safetensors"
        tensors = {k: v.half() if v.is_floating_point() else v for k, v in load_file(file).items()}
        save_file(tensors, folder / part / f"{stem}.fp16.safetensors", {"format": "pt"})
        file.unlink()
    half, full = load(folder), load(sd1)
    assert half.network.dtype == half.vae.dtype == torch.float32
    for name, weight in full.network.state_dict().items():
        assert torch.equal(half.network.state_dict()[name], weight.half().float())
    said = [p.prepare(base.Prompts("a fox")).tensors["y.states"] for p in (half, full)]
    assert 0 < float((said[0] - said[1]).abs().max()) < 0.02


def test_what_a_prior_tells_of_itself_is_known_before_it_is_loaded(model: Path) -> None:
    prior = load(model)
    info, schedule = kind.outline(prior.options)
    assert info == prior.info
    assert torch.equal(schedule.sigma(torch.linspace(0, 1, 9)), prior.schedule.sigma(torch.linspace(0, 1, 9)))
