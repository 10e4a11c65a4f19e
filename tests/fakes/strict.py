"""What CUDA extensions demand of their arguments, as errors: device, memory layout, type, shape."""

from __future__ import annotations

import torch
from torch import Tensor


def require(
    value: Tensor, name: str, device: torch.device, dtype: torch.dtype, shape: tuple[int | None, ...]
) -> None:
    """Raise TypeError where a CUDA extension would throw or, worse, read wrong memory; None in a shape is free."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a tensor, got {type(value).__name__}")
    if value.device != device:
        raise TypeError(f"{name} must be on {device}, is on {value.device}")
    if not value.is_contiguous():
        raise TypeError(f"{name} must be contiguous, has strides {value.stride()}")
    if value.dtype != dtype:
        raise TypeError(f"{name} must be {dtype}, is {value.dtype}")
    fits = len(shape) == value.ndim and all(
        w is None or w == s for s, w in zip(value.shape, shape, strict=True)
    )
    if not fits:
        raise TypeError(f"{name} must be {shape}, is {tuple(value.shape)}")


def require_kind(value: object, name: str, kind: type) -> None:
    """Raise TypeError where pybind11 would: it converts no float to an integer and no tensor to a number."""
    fits = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
    if not (fits or (kind is float and type(value) is int)):
        raise TypeError(f"{name} must be {kind.__name__}, got {type(value).__name__}")
