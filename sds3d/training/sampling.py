"""Pictures out of a trained network: DDIM (arXiv 2010.02502), deterministic, with classifier-free guidance."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from ..core.cameras import Cameras
from ..core.look import Look
from ..core.streams import Streams
from ..priors.base import Cond, Prior, Prompts, concatenate
from ..priors.noise_schedule import over

CLAMP = 1.0


@torch.no_grad()
def ddim(
    prior: Prior,
    prompts: Sequence[str],
    cameras: Cameras,
    background: Float[Tensor, "b 3"],
    steps: int = 20,
    cfg_scale: float = 4.0,
    seed: int = 0,
    view_words: bool = False,
) -> Float[Tensor, "b 3 h w"]:
    """One picture a prompt, in [0, 1].

    Args:
        cameras: one a prompt. cfg_scale: 1 is plain conditional. The predicted picture is kept in range.
        view_words: say the side that the camera sees in the prompt too.
    """
    height, width = prior.info.size
    branches = [
        prior.condition(
            prior.prepare(Prompts(text, view_words=view_words)),
            Look(cameras[i : i + 1], (height, width), background[i : i + 1]),
            {},
        )
        for i, text in enumerate(prompts)
    ]
    told, untold = (concatenate([b[name] for b in branches]) for name in ("y", "null"))
    z = Streams(seed).normal(prior.info.latent_shape, "ddim", ids=range(len(prompts)))
    return prior.decode(denoised(prior, z, told, untold, steps, cfg_scale))


@torch.no_grad()
def denoised(
    prior: Prior, z: Float[Tensor, "b c h w"], told: Cond, untold: Cond, steps: int, cfg_scale: float
) -> Float[Tensor, "b c h w"]:
    """Latents of B conditions out of the noise z; the predicted latent is kept in [-CLAMP, CLAMP]."""
    times = torch.linspace(0.9995, 0.0, steps + 1, dtype=torch.float64)
    for now, after in pairwise(times):
        t, s = now.expand(len(z)), after.expand(len(z))
        with_words, without = (prior.predict(z, t, c).x0 for c in (told, untold))
        x0 = (without + cfg_scale * (with_words - without)).clamp(-CLAMP, CLAMP)
        a, b = (over(level, z) for level in prior.schedule.levels(t))
        eps = (z - a * x0) / b
        a, b = (over(level, z) for level in prior.schedule.levels(s))
        z = a * x0 + b * eps if after > 0 else x0
    return z
