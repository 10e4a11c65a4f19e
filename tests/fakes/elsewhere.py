"""Arrays on the meta device, which stands for a CUDA device: it mixes with the CPU as little as that does."""

from __future__ import annotations

from dataclasses import replace

import torch
from gaussian_cases import Case
from torch import Tensor

META = torch.device("meta")


def on_meta(case: Case) -> Case:
    """The same shapes there; nothing is computed."""
    arrays = {name: value.to(META) for name, value in case.arrays.items()}
    fields = {name: getattr(case.cameras, name) for name in case.cameras.__dataclass_fields__}
    moved = {name: value.to(META) for name, value in fields.items() if isinstance(value, Tensor)}
    return Case(arrays, replace(case.cameras, **moved), case.size, case.background.to(META))
