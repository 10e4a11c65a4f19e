"""The latent model: a small UNet on an autoencoder's latents, saved as an ordinary StableDiffusionPipeline.

It is told words alone, as published models are: the side that is seen stands in the caption, or nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..assetio.pictures import contact_sheet
from ..core.streams import Streams
from ..priors.scorer import Scorer
from .autoencoder import AutoencoderLoss, latent_scale, make_autoencoder
from .batches import Source
from .denoising import Noising
from .loop import fit, told
from .network import SCHEDULE, half_of
from .options import AutoencoderOptions, TrainOptions
from .precision import arithmetic
from .words import WIDTH, TextTower, half_copy, set_weights, token_ids


def make_latent_unet(options: TrainOptions, vae: Any) -> Any:
    """An untrained UNet2DConditionModel on the latents, weights from the options' seed."""
    from diffusers import UNet2DConditionModel
    from diffusers.models.attention_processor import AttnProcessor

    network, factor = options.network, 2 ** (len(vae.config.block_out_channels) - 1)
    channels = vae.config.latent_channels
    unet: Any = UNet2DConditionModel(
        sample_size=network.size // factor, in_channels=channels, out_channels=channels,
        block_out_channels=network.channels, layers_per_block=1, cross_attention_dim=WIDTH,
        down_block_types=tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in network.attention),
        up_block_types=tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in network.attention[::-1]),
        norm_num_groups=8, attention_head_dim=4, resnet_time_scale_shift="scale_shift",
    )  # fmt: skip
    unet.set_attn_processor(AttnProcessor())
    set_weights(unet, Streams(options.seed), "latent unet")
    return unet


@torch.no_grad()
def begin_as(unet: Any, other: Any) -> list[str]:
    """Take over, in place, each weight of another network that has the same name and shape.

    A pixel model on blocks of pixels has the places of a latent model of the same side: what it knows of words and
    shapes serves there; what it is told of the camera, and its pooled text, have no place. Attention that it lacks
    begins silent.

    Returns:
        The names of those that it does not have.
    """
    mine, theirs = unet.state_dict(), other.state_dict()
    fits = {n: w for n, w in theirs.items() if n in mine and w.shape == mine[n].shape}
    new = sorted(mine.keys() - fits.keys())
    silent = {n: torch.zeros_like(mine[n]) for n in new if "attentions" in n and "proj_out" in n}
    unet.load_state_dict(fits | silent, strict=False)
    return new


class LatentLoss:
    """Mean squared error of v on latents; a loop.Loss.

    Args:
        tower: whose text side the network reads. vae: frozen, its scaling_factor set.
    """

    def __init__(self, options: TrainOptions, batches: Source, tower: Scorer | TextTower, vae: Any):
        self.options, self.batches, self.tower, self.vae = options, batches, tower, vae
        self.noising = Noising(options)

    def __call__(self, unet, step: int) -> Tensor:
        """The loss of a step's pictures."""
        o, drawn = self.options, self.noising.drawn(step)
        batch = self.batches.draw(step, o.batch)
        with arithmetic(o.precision):
            with torch.no_grad():
                z = self.vae.encode(batch.rgb * 2 - 1).latent_dist.mode().float()
                ids = token_ids(self.tower.tokenizer, self.noising.captions(batch, drawn))
                states = self.tower.text_encoder(ids).last_hidden_state
            noised = self.noising.noised(z * self.vae.config.scaling_factor, drawn, step)
            v = unet(noised.z_t, noised.index, states, return_dict=False)[0]
        return noised.loss(v.float())


def save_pipeline(unet: Any, vae: Any, tower: Scorer | TextTower, folder: Path) -> None:
    """Write a StableDiffusionPipeline folder in half precision; the parts stay as they are."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    tokenizer, text = tower.tokenizer, half_copy(tower.text_encoder)
    pipeline: Any = StableDiffusionPipeline(
        vae=half_of(vae), unet=half_of(unet), text_encoder=text, tokenizer=tokenizer,
        scheduler=DDIMScheduler(**SCHEDULE, set_alpha_to_one=False, steps_offset=1),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipeline.save_pretrained(folder)


def train_latent(
    options: TrainOptions,
    own: AutoencoderOptions,
    batches: Source,
    tower: Scorer | TextTower,
    prompts: Sequence[str],
    stop: Callable[[], bool],
    say: Callable[[str], None],
    start: Any | None = None,
) -> None:
    """Autoencoder, then denoiser; each goes on where it stopped, and the folder model/ is written at each preview.

    Args:
        start: a pixel model's network, from which the denoiser takes what fits it.
    """
    folder = options.folder
    vae = make_autoencoder(own, options.network.size, options.seed)
    loss = AutoencoderLoss(own, batches, options.seed)
    vae = fit(own, folder / "autoencoder", vae, loss, stop, told(say, "autoencoder "), lambda v, s: None)
    if stop():
        return
    vae.register_to_config(scaling_factor=latent_scale(vae, batches))
    say(f"autoencoder: {psnr(vae, batches):.1f} dB, scaling factor {vae.config.scaling_factor:.3f}")

    def preview(unet: Any, step: int) -> None:
        save_pipeline(unet, vae, tower, folder / "model")
        sheet = samples(folder / "model", prompts)
        path = contact_sheet(sheet, folder / "previews" / f"step_{step:07d}.png", 8, overwrite=True)
        say(f"preview {path}")

    unet = make_latent_unet(options, vae)
    if start is not None:
        new = begin_as(unet, start)
        say(f"{len(new)} arrays of weights are new: {', '.join(sorted({n.partition('.')[0] for n in new}))}")
    fit(options, folder, unet, LatentLoss(options, batches, tower, vae), stop, told(say), preview)


def samples(folder: Path, prompts: Sequence[str], each: int = 2) -> list[Tensor]:
    """Pictures (3, H, W) that diffusers' own pipeline makes from the folder, `each` of every prompt."""
    from diffusers import StableDiffusionPipeline

    pipe: Any = StableDiffusionPipeline.from_pretrained(
        folder, torch_dtype=torch.float32, local_files_only=True
    )
    pipe.set_progress_bar_config(disable=True)
    asked = [p for p in prompts for _ in range(each)]
    side, channels = pipe.unet.config.sample_size, pipe.unet.config.in_channels
    noise = Streams(0).normal((channels, side, side), "latent preview", ids=range(len(asked)))
    done = pipe(asked, num_inference_steps=20, guidance_scale=4.0, latents=noise, output_type="pt")
    return list(done.images)


@torch.no_grad()
def psnr(vae: Any, batches: Source, pictures: int = 256) -> float:
    """Peak signal to noise ratio, in dB over [0, 1], of pictures that go through the autoencoder."""
    total = 0.0
    for step in range(pictures // 64):
        x = batches.draw(1_000_000_007 + step, 64).rgb
        back = vae.decode(vae.encode(x * 2 - 1).latent_dist.mode()).sample / 2 + 0.5
        total += float((back.clamp(0, 1) - x).square().mean())
    return -10 * float(torch.tensor(total / (pictures // 64)).log10())
