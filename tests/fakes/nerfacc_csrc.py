"""A stand-in for `nerfacc.csrc`, the compiled module of nerfacc 0.5: the scan along rays, its signature and checks.

nerfacc's own Python runs above it, so its argument names and shapes are the real ones. `device` stands for the CUDA
device.
"""

from __future__ import annotations

import types

import torch
from torch import Tensor

from .strict import require, require_kind


def make(device: torch.device) -> types.ModuleType:
    """The module, for tensors on that device; `calls` lists the functions called."""
    module = types.ModuleType("nerfacc.csrc")
    module.calls = []

    def exclusive_sum(
        chunk_starts: Tensor, chunk_cnts: Tensor, inputs: Tensor, normalize: bool, backward: bool
    ) -> Tensor:
        """Per chunk, what lies before each element; backward sums what lies behind it."""
        module.calls.append("exclusive_sum")
        for name, value in {"chunk_starts": chunk_starts, "chunk_cnts": chunk_cnts}.items():
            require(value, name, device, torch.int64, (None,))
        require(inputs, "inputs", device, torch.float32, (None,))
        require_kind(normalize, "normalize", bool)
        require_kind(backward, "backward", bool)
        assert not normalize, "sds3d asks for no normalised sums"
        out = torch.empty_like(inputs)
        for start, count in zip(chunk_starts.tolist(), chunk_cnts.tolist(), strict=True):
            part = inputs[start : start + count].double()
            before = part.flip(0).cumsum(0).flip(0) if backward else part.cumsum(0)
            out[start : start + count] = (before - part).float()
        return out

    module.exclusive_sum = exclusive_sum
    return module
