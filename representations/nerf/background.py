"""What lies behind the object: each view's own colour, one learned colour, or a learned colour by direction."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from sds3d.core.streams import Streams

from ..raster.mlp import perceptron
from .field import network_kernels
from .options import Options

EDGE = 1e-3
"""Initial colours stay this far from 0 and 1, where the sigmoid has no slope."""


def fresh(options: Options, streams: Streams) -> dict[str, Tensor]:
    """The parameters of a new background; {} for none."""
    b = options.background
    logit = torch.tensor(b.color).clamp(EDGE, 1 - EDGE).logit()
    if b.kind == "none":
        return {}
    if b.kind == "solid":
        return {"background": logit}
    inputs = 3 * (1 + 2 * b.frequencies)
    first = math.sqrt(2 / inputs) * streams.normal((b.hidden, inputs), "nerf-background", 0)[0]
    second = 0.1 * math.sqrt(2 / b.hidden) * streams.normal((3, b.hidden), "nerf-background", 1)[0]
    return {
        "background_weight_0": first,
        "background_bias_0": torch.zeros(b.hidden),
        "background_weight_1": second,
        "background_bias_1": logit,
    }


def waves(directions: Float[Tensor, "n 3"], octaves: int) -> Float[Tensor, "n w"]:
    """x, then sin and cos of pi 2^k x (Mildenhall et al. 2020, equation 4), k from 0."""
    scaled = [directions * (math.pi * 2**k) for k in range(octaves)]
    return torch.cat([directions, *[f(s) for s in scaled for f in (torch.sin, torch.cos)]], dim=1)


def colors(
    parameters: dict[str, Tensor], directions: Float[Tensor, "n 3"], options: Options
) -> Float[Tensor, "n 3"]:
    """RGB in (0, 1) behind each ray, for learned backgrounds.

    Args:
        directions: (N, 3) unit vectors.
    """
    if options.background.kind == "solid":
        return torch.sigmoid(parameters["background"]).expand(len(directions), 3)
    raw = perceptron(
        waves(directions, options.background.frequencies),
        [parameters["background_weight_0"], parameters["background_weight_1"]],
        [parameters["background_bias_0"], parameters["background_bias_1"]],
        implementation=network_kernels(options),
    )
    return torch.sigmoid(raw)
