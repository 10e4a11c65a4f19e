"""The implementations of the raster kernels that a test compares, and how to ask for one of them."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from sds3d.representations.raster.dispatch import INSTRUCTION_SETS, native_module
from sds3d.representations.raster.warp.runtime import warp_status


def native_levels() -> list:
    """Every instruction set of this build and machine, or one case that says why there is none."""
    module, reason = native_module()
    if module is None:
        return [pytest.param("none", marks=pytest.mark.skip(reason=reason))]
    return list(INSTRUCTION_SETS[: module.best_instruction_set() + 1])


def warp_kernels() -> list:
    """["warp"], skipped with the reason where Warp is not installed."""
    reason = warp_status(torch.device("cpu"))
    return [pytest.param("warp", marks=pytest.mark.skipif(bool(reason), reason=reason))]


def kernels() -> list:
    """Every implementation that has kernels of its own: each native instruction set, and Warp on the CPU."""
    return [*native_levels(), *warp_kernels()]


def implementations() -> list:
    """("twin", "warp" or an instruction set of the native kernels)"""
    return ["twin", *kernels()]


def select(patch: pytest.MonkeyPatch, native: ModuleType, name: str) -> str:
    """Make `native`, a module of native kernels, serve an entry of `implementations`.

    Returns:
        The value for the argument `implementation`.
    """
    if name in ("twin", "warp"):
        return name
    patch.setattr(native, "instruction_level", lambda: INSTRUCTION_SETS.index(name))
    return "native"
