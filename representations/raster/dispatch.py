"""Which implementation of a rasterization function runs, by device and by what is installed.

Every function of the rasterization core has one signature and several implementations: "native" (C++ on the
CPU), "twin" (plain torch, the definition), and where the function has them "warp" (NVIDIA Warp kernels, CUDA;
they run on the CPU too, for tests), "gsplat", "tcnn" and "nerfacc" (compiled CUDA kernels of gsplat, tiny-cuda-nn and
nerfacc) and "nvdiffrast", whose licence is non-commercial: "auto" never chooses it. What a device cannot serve is an
error, not a slow surprise.
"""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType, ModuleType
from typing import Literal

import torch

from sds3d.core.errors import Sds3dError

Implementation = Literal["auto", "native", "twin", "warp", "gsplat", "tcnn", "nerfacc", "nvdiffrast"]

IMPLEMENTATIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"cpu": ("native", "twin"), "cuda": ("gsplat", "tcnn", "nerfacc", "warp")}
)
"""Device type -> implementations that "auto" may choose there, the preferred first."""

INSTRUCTION_SETS = ("baseline", "avx2", "avx512")
"""Code paths of the native core, slowest first; a position in this tuple is the level its functions take."""

INSTRUCTION_SET_VARIABLE = "SDS3D_INSTRUCTION_SET"


class RasterError(Sds3dError):
    """A rasterization function got arrays, a device or an implementation that it cannot serve."""


@cache
def native_module() -> tuple[ModuleType | None, str]:
    """The compiled extension and "", or None and the reason why it is not there."""
    try:
        module = importlib.import_module("sds3d.representations.raster._native")
    except ImportError as error:
        return None, f"the extension does not import ({error}); reinstall sds3d where a C++17 compiler is"
    if not hasattr(module, "best_instruction_set"):
        return None, "the extension was built from older sources; reinstall sds3d"
    return module, ""


@cache
def _level(wanted: str) -> int:
    module, _ = native_module()
    best = module.best_instruction_set() if module else 0
    if not wanted:
        return best
    if wanted not in INSTRUCTION_SETS:
        raise RasterError(f"{INSTRUCTION_SET_VARIABLE}={wanted!r} is none of {', '.join(INSTRUCTION_SETS)}")
    if INSTRUCTION_SETS.index(wanted) > best:
        raise RasterError(
            f"{INSTRUCTION_SET_VARIABLE}={wanted}: this processor or build goes up to {INSTRUCTION_SETS[best]}"
        )
    return INSTRUCTION_SETS.index(wanted)


def instruction_level() -> int:
    """Position in INSTRUCTION_SETS of the code path in use: the best one that the processor runs.

    The environment variable SDS3D_INSTRUCTION_SET asks for a lower one. Raises RasterError where it names
    none, or one that this processor or build does not have.
    """
    return _level(os.environ.get(INSTRUCTION_SET_VARIABLE, ""))


def native_status() -> dict[str, object]:
    """What `sds3d doctor` prints: built (bool), reason (str, "" when built), instruction_set (str or None),
    threads (int) that a call uses."""
    module, reason = native_module()
    level = INSTRUCTION_SETS[instruction_level()] if module else None
    return {
        "built": module is not None,
        "reason": reason,
        "instruction_set": level,
        "threads": torch.get_num_threads(),
    }


@cache
def _announce(function: str, device: str, choice: str, reason: str) -> None:
    level = logging.WARNING if choice == "twin" else logging.INFO
    logging.getLogger(__name__).log(level, "%s on %s: %s (%s)", function, device, choice, reason)


def _obstacle(
    choice: str, device: torch.device, dtype: torch.dtype, native_dtypes: tuple[torch.dtype, ...]
) -> str:
    """Why an implementation cannot serve here; "" where it can."""
    if choice == "twin":
        return ""
    if choice == "native":
        module, reason = native_module()
        if module is None:
            return reason
        return "" if dtype in native_dtypes else f"the native core has no {dtype}"
    if dtype != torch.float32:
        return f"the {choice} kernels have no {dtype}"
    if choice == "warp":
        from .warp.runtime import warp_status

        return warp_status(device)
    if choice == "tcnn":
        from .hash_grid_tcnn import tcnn_status

        return tcnn_status(device)
    if choice == "nerfacc":
        from .sampled_rays_nerfacc import nerfacc_status

        return nerfacc_status(device)
    if choice == "nvdiffrast":
        from .triangles_nvdiffrast import nvdiffrast_status

        return nvdiffrast_status(device)
    from .gaussians_gsplat import gsplat_status

    return gsplat_status(device)


def choose(
    function: str,
    implementation: Implementation,
    device: torch.device,
    dtype: torch.dtype,
    native_dtypes: tuple[torch.dtype, ...] = (torch.float32,),
    offers: tuple[str, ...] = ("native", "twin"),
) -> str:
    """The implementation for one call; the first choice of each kind is logged by name.

    Args:
        function: name of the function, for the log and for errors.
        implementation: what the caller asked for. "twin" runs on every device that torch knows.
        dtype: of the arrays; the native core takes `native_dtypes` only, CUDA kernels float32.
        offers: the implementations that the function has.

    Raises:
        RasterError: the device has no implementation, or the one asked for cannot serve.
    """
    known = ("auto", *dict.fromkeys(("native", "twin", *offers)))
    if implementation not in known:
        raise RasterError(f"{function}: implementation {implementation!r} is none of {', '.join(known)}")
    if implementation == "twin":
        return "twin"
    served = [name for name in IMPLEMENTATIONS.get(device.type, ()) if name in offers]
    if not served or (implementation == "native" and "native" not in served):
        devices = [
            name for name, choices in IMPLEMENTATIONS.items() if {implementation, *offers} & {*choices}
        ]
        raise RasterError(
            f"{function}: no implementation for device '{device.type}'; supported: {', '.join(devices)}. "
            "Move the arrays there, or ask for implementation='twin' (plain torch, slow)."
        )
    reasons: list[str] = []
    for name in served if implementation == "auto" else [implementation]:
        reason = _obstacle(name, device, dtype, native_dtypes)
        if not reason:
            detail = INSTRUCTION_SETS[instruction_level()] if name == "native" else "; ".join(reasons)
            _announce(function, device.type, name, detail or "as asked")
            return name
        reasons.append(reason)
    if implementation != "auto":
        raise RasterError(f"{function}: implementation={implementation!r} is not possible: {reasons[0]}")
    raise RasterError(
        f"{function}: nothing on this machine can serve device '{device.type}': {'; '.join(reasons)}. "
        "Or ask for implementation='twin' (plain torch, slow)."
    )
