"""From torch tensors to Warp kernels: whether Warp is there, and launches without copies."""

from __future__ import annotations

import importlib
from functools import cache
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from ..dispatch import RasterError

BLOCK = 256  # threads of a CUDA block: one tile of 16 x 16 pixels

INSTALL = "pip install 'sds3d[cuda]'"

DRIVERS = "from 1.18 on it needs driver 580 or newer, for older ones pip install 'warp-lang<1.18'"


@cache
def warp_module() -> tuple[ModuleType | None, str]:
    """The package `warp` and "", or None and the reason why it is not there."""
    try:
        module = importlib.import_module("warp")
        module.config.log_level = module.LOG_WARNING  # no greeting and no line a kernel
    except (ImportError, AttributeError) as error:
        return None, f"warp-lang does not import ({error}): {INSTALL}"
    return module, ""


def warp_status(device: torch.device) -> str:
    """Why kernels cannot run on that device; "" where they can."""
    module, reason = warp_module()
    if module is None:
        return reason
    if device.type == "cuda" and not module.is_cuda_available():
        return f"warp-lang {module.__version__} cannot use the CUDA driver: {DRIVERS}"
    return "" if device.type in ("cpu", "cuda") else f"Warp has no device '{device.type}'"


def thread_order(count: int, device: torch.device) -> Tensor:
    """Which work item each of `count` threads takes, int32; empty means its own number.

    The one place that tests replace to run the threads in another order.
    """
    return torch.empty(0, dtype=torch.int32, device=device)


def launch(kernel: Any, count: int, *arguments: Tensor | float | int) -> None:
    """Run `count` threads of a kernel on the device of its tensors, on torch's current stream there.

    Args:
        kernel: its first parameter is the thread order, the others are `arguments`. Tensors are passed as they
            lie in memory; those of vectors have one more axis than the kernel's array, those of matrices two.

    Raises:
        RasterError: a tensor is not contiguous or on another device.
        RuntimeError: a tensor's type or shape is not the kernel's.
    """
    if count == 0:
        return
    import warp

    device = next(a.device for a in arguments if isinstance(a, Tensor))
    values = [_value(kernel, 0, thread_order(count, device), device)]
    values += [_value(kernel, place, value, device) for place, value in enumerate(arguments, 1)]
    where: dict[str, Any] = {"device": "cpu"}
    if device.type == "cuda":
        where = {"stream": warp.stream_from_torch(device)}
    warp.launch(kernel, count, inputs=values, block_dim=BLOCK, record_tape=False, **where)


def _value(kernel: Any, place: int, value: Tensor | float | int, device: torch.device) -> Any:
    if not isinstance(value, Tensor):
        return value
    import warp

    parameter = kernel.adj.args[place]
    if value.device != device or not value.is_contiguous():
        layout = "contiguous" if value.is_contiguous() else "not contiguous"
        raise RasterError(f"{kernel.key}: {parameter.label} is {layout} on {value.device}, expected {device}")
    return warp.from_torch(value.detach(), parameter.type.dtype, requires_grad=False, return_ctype=True)
