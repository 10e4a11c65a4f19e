"""The look at an argument that finds NaN and infinity."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sds3d.core.errors import NonFiniteError


def require_finite(function: str, name: str, value: Tensor) -> None:
    """Refuse NaN and infinity by name and index; a finite sum means that every term is.

    Raises:
        NonFiniteError: the value holds one; the text says where.
    """
    flat = value.detach().reshape(-1)
    if math.isfinite(float(flat.sum())):
        return
    bad = (~torch.isfinite(flat)).nonzero()
    if len(bad):
        at = int(bad[0])
        index = [int(i) for i in torch.unravel_index(torch.tensor(at), value.shape)]
        raise NonFiniteError(f"{function}: {name}{index} is {float(flat[at])}")
