"""The arithmetic of a training step."""

from __future__ import annotations

from typing import Any, Literal

import torch

from ..priors.folder import best_cpu_dtype

Precision = Literal["auto", "float32", "bfloat16"]
"""auto is bfloat16 where the CPU computes with it: elsewhere its convolutions are forty times slower, not faster."""


def arithmetic(precision: Precision) -> Any:
    """The context of a forward; weights and moments stay float32."""
    half = best_cpu_dtype() is torch.bfloat16 if precision == "auto" else precision == "bfloat16"
    return torch.autocast("cpu", torch.bfloat16, enabled=half)
