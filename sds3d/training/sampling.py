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
from ..priors.base import Cond, Prior, Prompts

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
) -> Float[Tensor, "b 3 h w"]:
    """One picture a prompt, in [0, 1].

    Args:
        cameras: one a prompt. cfg_scale: 1 is plain conditional. The predicted picture is kept in range.
    """
    height, width = prior.info.size
    branches = [
        prior.condition(
            prior.prepare(Prompts(text)), Look(cameras[i : i + 1], (height, width), background[i : i + 1]), {}
        )
        for i, text in enumerate(prompts)
    ]
    conditions = _stack([b["y"] for b in branches]), _stack([b["null"] for b in branches])
    z = torch.cat(
        [
            Streams(seed).normal((1, *prior.info.latent_shape), "ddim", ids=(i,))[0]
            for i in range(len(prompts))
        ]
    )
    times = torch.linspace(0.9995, 0.0, steps + 1, dtype=torch.float64)
    for now, after in pairwise(times):
        t, s = now.expand(len(z)), after.expand(len(z))
        told, untold = (prior.predict(z, t, c).x0 for c in conditions)
        x0 = (untold + cfg_scale * (told - untold)).clamp(-CLAMP, CLAMP)
        a, b = _level(prior, t)
        eps = (z - a * x0) / b
        a, b = _level(prior, s)
        z = a * x0 + b * eps if after > 0 else x0
    return prior.decode(z)


def _level(prior: Prior, t: Tensor) -> tuple[Tensor, Tensor]:
    """Signal and noise scale, (B, 1, 1, 1) float32."""
    alpha, sigma = prior.schedule.levels(t)
    return alpha.float()[:, None, None, None], sigma.float()[:, None, None, None]


def _stack(conditions: Sequence[Cond]) -> Cond:
    names = conditions[0].tensors
    return Cond(
        {name: torch.cat([c.tensors[name] for c in conditions]) for name in names},
        torch.cat([c.weight for c in conditions]),
    )
