"""Weights of samples and sums along rays by nerfacc (MIT, github.com/nerfstudio-project/nerfacc), where it is compiled.

nerfacc's wheel on PyPI carries sources, which it compiles at first use: minutes of silence. That build is never
started from here: only a compiled module that is there counts. Where rays look is not asked of it: its marcher steps
in another way, and a sample counts exactly where the definition says (docs/decisions/014).
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from .compiled import obstacle

INSTALL = "pip install --no-build-isolation git+https://github.com/nerfstudio-project/nerfacc.git"


@cache
def compiled_module() -> str:
    """Why nerfacc's compiled module cannot be used; "" where it can."""
    return obstacle("nerfacc", "nerfacc", "nerfacc.csrc", INSTALL)


def nerfacc_status(device: torch.device) -> str:
    """Why nerfacc cannot weigh samples on that device; "" where it can."""
    if device.type != "cuda":
        return f"nerfacc runs on CUDA devices, not on '{device.type}'"
    return compiled_module()


def weights(density: Tensor, length: Tensor, starts: Tensor, stop: float) -> Tensor:
    """See sampled_rays_twin.weights; float32 on a CUDA device."""
    from nerfacc import render_weight_from_density

    if not len(density):
        return density * length  # no kernel is started for nothing
    # only t_ends - t_starts is read there
    weight, before, _ = render_weight_from_density(
        torch.zeros_like(length), length, density, packed_info=torch.stack([starts[:-1], starts.diff()], -1)
    )
    return torch.where(before >= stop, weight, torch.zeros_like(weight))


def accumulate(weight: Tensor, values: Tensor, starts: Tensor) -> Tensor:
    """See sampled_rays_twin.accumulate; float32 on a CUDA device."""
    from nerfacc import accumulate_along_rays

    counts = starts.diff()
    ray = torch.arange(len(counts), device=starts.device).repeat_interleave(counts)
    return accumulate_along_rays(weight, values, ray_indices=ray, n_rays=len(counts))
