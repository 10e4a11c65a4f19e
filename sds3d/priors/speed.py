"""Switches that change how fast a network computes, and nothing else: compilation, memory layout, attention kernels.

Which of them helps depends on the machine: benchmarks/published.py prints what each does on this one.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from ..core.errors import ConfigError, MissingPackageError
from .quantize import need

if TYPE_CHECKING:
    from .families.base import Layout
    from .published_options import Options

_KERNELS = {
    "math": "MATH",
    "flash": "FLASH_ATTENTION",
    "efficient": "EFFICIENT_ATTENTION",
    "cudnn": "CUDNN_ATTENTION",
}
"""Option -> torch's name of a kernel of scaled_dot_product_attention."""
_PACKAGES = {
    "xformers": ("xformers", "pip install xformers"),
    "sage": ("sageattention", "pip install sageattention"),
}
_ON_CPU = ("auto", "math", "flash")


def check_speed(options: Options, layout: Layout, device: torch.device) -> None:
    """Refuse at second 0 what this machine or this model cannot do.

    Raises:
        ConfigError: a kernel that needs a GPU, or that this family's attention cannot be handed to.
        MissingPackageError: a package or a compiler is missing.
    """
    attention = options.attention
    if device.type == "cpu" and attention not in _ON_CPU:
        raise ConfigError(
            f"{attention} attention needs a GPU.",
            key="prior.attention",
            hint=f"Take one of {', '.join(_ON_CPU)}.",
        )
    if attention in _PACKAGES:
        if layout.family.views_per_group > 1:
            raise ConfigError(
                f"{layout.family.name} models have an attention over all views, which {attention} cannot replace.",
                key="prior.attention",
                hint=f"Take one of auto, {', '.join(_KERNELS)}.",
            )
        need(_PACKAGES[attention][0], f"prior.attention={attention}", _PACKAGES[attention][1])
    if options.compile:
        _check_compiler(device)


def _check_compiler(device: torch.device) -> None:
    if device.type == "cuda" and importlib.util.find_spec("triton") is None:
        raise MissingPackageError("triton", "prior.compile on a GPU", "pip install triton")
    if device.type == "cpu" and not any(shutil.which(name) for name in ("c++", "g++", "clang++")):
        raise MissingPackageError("g++", "prior.compile on a CPU", "apt-get install g++")


def speed_up(network: Any, options: Options) -> Any:
    """The denoiser with the switches that it carries itself: memory layout, foreign attention kernels, compilation.

    Raises:
        ConfigError: the network takes no foreign attention kernel.
    """
    if options.channels_last:
        network.to(memory_format=torch.channels_last)
    if options.attention in _PACKAGES:
        _foreign_attention(network, options.attention)
    if options.compile:
        # blocks that repeat are compiled once for all, which takes a fraction of the time of the whole
        if getattr(network, "_repeated_blocks", None):
            network.compile_repeated_blocks()
        else:
            network.compile()
    return network


def _foreign_attention(network: Any, name: str) -> None:
    """The library's newer networks are told a backend; its older ones know xformers alone."""
    newer = any(hasattr(getattr(m, "processor", None), "_attention_backend") for m in network.modules())
    if not newer and name != "xformers":
        raise _not_taken(network, name, "its attention is fixed")
    try:
        if newer:
            network.set_attention_backend(name)
        else:
            network.enable_xformers_memory_efficient_attention()
    except (ValueError, RuntimeError, NotImplementedError, ImportError, AttributeError) as error:
        line = next((part for part in str(error).splitlines() if part.strip()), type(error).__name__)
        raise _not_taken(network, name, line) from error


def _not_taken(network: Any, name: str, why: str) -> ConfigError:
    return ConfigError(
        f"a {type(network).__name__} does not take {name}: {why.rstrip('.')}.",
        key="prior.attention",
        hint="Set it to auto.",
    )


@contextmanager
def attention_kernel(name: str) -> Iterator[None]:
    """torch's attention runs by that kernel within this block; names that are none of torch's change nothing.

    Raises:
        ConfigError: torch has no such kernel for this device, precision or mask.
    """
    if name not in _KERNELS:
        yield
        return
    from torch.nn.attention import SDPBackend, sdpa_kernel

    try:
        with sdpa_kernel(getattr(SDPBackend, _KERNELS[name])):
            yield
    except RuntimeError as error:
        if not any(words in str(error) for words in ("No available kernel", "No viable backend")):
            raise
        raise ConfigError(
            f"torch has no {name} attention for this device, precision and model.",
            key="prior.attention",
            hint="Set it to auto.",
        ) from error
