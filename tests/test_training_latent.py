"""The latent model in miniature: trained in pieces, saved as a folder that diffusers and our own prior read."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from sds3d.cli import main as cli
from sds3d.core.cameras import orbit
from sds3d.core.errors import PromptError, Sds3dError
from sds3d.core.look import Look
from sds3d.core.streams import Streams
from sds3d.optimize.checkpoint import CheckpointStore
from sds3d.priors.base import Prompts
from sds3d.priors.folder import load_components
from sds3d.priors.kinds.diffusers import Options as Published
from sds3d.priors.kinds.diffusers import create
from sds3d.priors.scorer import load_scorer
from sds3d.training.autoencoder import edges, make_autoencoder
from sds3d.training.batches import Batches
from sds3d.training.latent import LatentLoss, begin_as, make_latent_unet
from sds3d.training.network import make_unet
from sds3d.training.options import (
    AutoencoderOptions,
    NetworkOptions,
    PictureOptions,
    TextOptions,
    TrainOptions,
)
from sds3d.training.render import open_set
from sds3d.training.run import train
from sds3d.training.start import load_start

AUTOENCODER = AutoencoderOptions(images=24, batch=4, channels=(8, 16), precision="float32")
OPTIONS = TrainOptions(
    pictures=PictureOptions(kinds=("cube", "mug", "duck", "house"), per_kind=4, per_relation=4, of_three=2, size=16),
    text=TextOptions(steps=2, batch=4, size=16, channels=(8, 8), strides=(2, 2)),
    network=NetworkOptions(size=16, channels=(8, 16), attention=(False, True)),
    autoencoder=AUTOENCODER, images=24, batch=4, precision="float32",
)  # fmt: skip


def run(folder: Path, parts: Path, stop_after: int | None = None) -> Path | None:
    calls = iter(range(10**6))
    stop = (lambda: False) if stop_after is None else (lambda: next(calls) >= stop_after)
    return train(OPTIONS.model_copy(update={"folder": folder, "parts": parts}), 1, stop, lambda line: None)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, Path]:
    """(parts, finished run)"""
    parts, folder = (tmp_path_factory.mktemp(name) for name in ("parts", "latent"))
    assert run(folder, parts) == folder / "model"
    return parts, folder


def weights(folder: Path) -> tuple[str, str]:
    """Hashes of both networks' last states."""
    stores = (folder / "autoencoder/checkpoints", folder / "checkpoints")
    return tuple(CheckpointStore(store).latest().hash() for store in stores)  # type: ignore[return-value]


@pytest.mark.parametrize("stop_after", [3, 10])
def test_a_stopped_run_ends_in_the_same_bits(trained, tmp_path, stop_after):
    """Stopped in the autoencoder, and in the denoiser."""
    parts, whole = trained
    assert run(tmp_path, parts, stop_after) is None
    assert run(tmp_path, parts) is not None
    assert weights(tmp_path) == weights(whole)


def test_the_folder_is_a_published_model_to_us(trained):
    prior = create(Published(folder=str(trained[1] / "model"), precision="float32"))
    assert prior.info.size == (16, 16)
    assert prior.info.latent_shape == (4, 8, 8)
    assert prior.info.prediction == "v"
    look = Look(orbit([30.0], [20.0]), (16, 16), torch.ones(1, 3))
    cond = prior.condition(prior.prepare(Prompts("a red cube", view_words=True)), look, {})
    rgb = torch.rand(1, 3, 16, 16, requires_grad=True)
    z = prior.encode(rgb)
    assert z.shape == (1, 4, 8, 8)
    said = prior.predict(z.detach(), torch.tensor([0.5]), cond["y"])
    assert bool(torch.isfinite(said.x0).all())
    assert float(torch.autograd.grad(z.sum(), rgb)[0].abs().max()) > 0


def test_words_that_it_does_not_know_are_refused(trained):
    """Its tokenizer would make one unknown token of each of them."""
    with pytest.raises(PromptError, match="does not know 'zeppelin'"):
        create(Published(folder=str(trained[1] / "model"))).prepare(Prompts("a red zeppelin"))


def test_latents_spread_like_unit_noise(trained):
    """The scaling factor makes them so, over the pictures that it was measured on."""
    parts, folder = trained
    prior = create(Published(folder=str(folder / "model"), precision="float32"))
    batches = Batches(*open_set(OPTIONS.pictures, parts / "pictures"), Streams(OPTIONS.seed), 16)
    z = torch.cat([prior.encode(batches.draw(step, 64).rgb) for step in range(8)])
    assert abs(float(z.std()) - 1.0) < 0.01


def test_a_started_denoiser_takes_what_fits_it():
    """All but the places where pixels or latents enter and leave; the camera's layers have no place."""
    options = OPTIONS.model_copy(
        update={"network": NetworkOptions(size=16, channels=(8, 16), attention=(False, True))}
    )
    vae = make_autoencoder(AUTOENCODER, 16, 0)
    unet, pixels = make_latent_unet(options, vae), make_unet(options.network, 3)
    before = {name: value.clone() for name, value in unet.state_dict().items()}
    new = begin_as(unet, pixels)
    assert set(new) == {"conv_in.weight", "conv_out.weight", "conv_out.bias"}
    for name, value in unet.state_dict().items():
        assert torch.equal(value, before[name] if name in new else pixels.state_dict()[name]), name


def test_attention_that_a_started_denoiser_gains_begins_silent():
    vae = make_autoencoder(AUTOENCODER, 16, 0)
    few, more = (
        OPTIONS.model_copy(update={"network": NetworkOptions(size=16, channels=(8, 16), attention=attention)})
        for attention in ((False, True), (True, True))
    )
    old, unet = make_latent_unet(few, vae), make_latent_unet(more, vae)
    assert all("attentions" in name for name in begin_as(unet, old))
    given = torch.randn(2, 4, 8, 8), torch.tensor([9, 700]), torch.randn(2, 24, 128)
    torch.testing.assert_close(unet(*given).sample, old(*given).sample)


def test_a_latent_model_is_started_from_a_pixel_model(tmp_path):
    """Its tower, its words and the shape of its network come from there."""
    parts = tmp_path / "parts"
    pixels = OPTIONS.model_copy(
        update={"autoencoder": None, "images": 4, "parts": parts, "folder": tmp_path / "pixels"}
    )
    model = train(pixels, 1, lambda: False, lambda line: None)
    said: list[str] = []
    latent = OPTIONS.model_copy(
        update={"start": str(model), "parts": parts, "folder": tmp_path / "latent", "images": 8}
    )  # fmt: skip
    made = train(latent, 1, lambda: False, said.append)
    prior = create(Published(folder=str(made), precision="float32"))
    assert prior.info.latent_shape == (4, 8, 8)
    assert any("are new: conv_in, conv_out" in line for line in said)


def test_a_model_of_few_kinds_previews_what_it_can_read(tmp_path):
    kinds = PictureOptions(kinds=("bell", "anchor"), per_kind=2, per_relation=0, of_three=0, size=16)
    few = {"pictures": kinds, "autoencoder": None, "images": 4, "folder": tmp_path}
    assert train(OPTIONS.model_copy(update=few), 1, lambda: False, lambda line: None) == tmp_path / "model"
    assert len([*(tmp_path / "previews").iterdir()]) == 1


def test_edges_are_differences_of_neighbours():
    ramp = torch.arange(4.0).expand(1, 1, 4, 4)
    assert float(edges(ramp)) == pytest.approx(1.0)
    assert float(edges(torch.ones(1, 3, 4, 4))) == 0.0


def test_each_scale_but_the_last_halves_the_side():
    vae = make_autoencoder(AutoencoderOptions(channels=(8, 8, 16)), 32, 0)
    assert vae.encode(torch.zeros(1, 3, 32, 32)).latent_dist.mode().shape == (1, 4, 8, 8)


def test_the_denoiser_learns_scaled_latents(trained):
    """Latents z with a factor k are to it what latents k z with the factor 1 are."""
    parts, _ = trained
    batches = Batches(*open_set(OPTIONS.pictures, parts / "pictures"), Streams(OPTIONS.seed), 16)
    tower = load_scorer(parts / "tower")

    def loss(spread: float, factor: float) -> float:
        z = spread * Streams(1).normal((4, 8, 8), "latents", ids=range(OPTIONS.batch))
        posterior = SimpleNamespace(latent_dist=SimpleNamespace(mode=lambda: z))
        vae = SimpleNamespace(encode=lambda x: posterior, config=SimpleNamespace(scaling_factor=factor))
        return float(
            LatentLoss(OPTIONS, batches, tower, vae)(lambda z_t, *_, **__: [torch.zeros_like(z_t)], 0)
        )

    assert loss(2.0, 0.5) == pytest.approx(loss(1.0, 1.0), rel=1e-6)
    assert loss(2.0, 1.0) > 1.2 * loss(1.0, 1.0)


@pytest.mark.parametrize("use", [load_start, load_components])
def test_a_latent_model_is_no_embedded_prior(trained, use):
    rest = ([], 0) if use is load_start else (torch.float32,)
    with pytest.raises(Sds3dError, match=r"a latent model.*prior="):
        use(str(trained[1] / "model"), *rest)


def test_a_latent_model_is_not_judged_as_one_that_is_told_a_camera(capsys):
    with pytest.raises(SystemExit):
        cli.main(["prior", "eval", str(Path(__file__).parents[1] / "configs/prior/latent32.yaml")])
    assert "a latent model is told no camera" in capsys.readouterr().err


@pytest.mark.parametrize("asked", [["words"], ["sample", "a red car"]])
def test_a_model_that_is_not_there_is_named(asked, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        cli.main(["prior", *asked, "--model", "out/nowhere"])
    assert "'out/nowhere' is neither a model folder nor prior32 nor prior64" in capsys.readouterr().err


def test_what_a_latent_model_cannot_be_asked_is_refused(tmp_path):
    options = OPTIONS.model_copy(update={"folder": tmp_path, "start": "prior32", "grow": True})
    with pytest.raises(Sds3dError, match="grows nothing"):
        train(options, 1, lambda: False, print)
    assert not list(tmp_path.iterdir())
