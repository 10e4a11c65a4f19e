"""Refusals that the triangle functions share: shapes and types before a call, values by name and index after one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from sds3d.core.errors import NonFiniteError

from .dispatch import Implementation, RasterError, choose


def require_floats(
    function: str, name: str, value: Tensor, shape: tuple[int | None, ...], like: Tensor | None = None
) -> None:
    """RasterError unless `value` is a float tensor of that shape (None: any length) of `like`'s type and device."""
    fits = value.ndim == len(shape) and all(
        s is None or s == n for s, n in zip(shape, value.shape, strict=True)
    )
    if not fits or not value.is_floating_point():
        wanted = ", ".join("any" if s is None else str(s) for s in shape)
        raise RasterError(
            f"{function}: {name} must be floats ({wanted}), got {value.dtype} {tuple(value.shape)}"
        )
    if like is not None and (value.dtype != like.dtype or value.device != like.device):
        raise RasterError(
            f"{function}: {name} is {value.dtype} on {value.device}, the others {like.dtype} on {like.device}"
        )


def require_faces(function: str, faces: Tensor, like: Tensor) -> None:
    """RasterError unless faces are (F, 3) integers on `like`'s device."""
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.dtype not in (torch.int32, torch.int64):
        raise RasterError(
            f"{function}: faces must be (F, 3) int32 or int64, got {faces.dtype} {tuple(faces.shape)}"
        )
    if faces.device != like.device:
        raise RasterError(f"{function}: faces are on {faces.device}, the other arrays on {like.device}")


def check_finite(function: str, arrays: Mapping[str, Tensor]) -> None:
    """NonFiniteError that names the first array and index with NaN or infinity, if there is one."""
    for name, array in arrays.items():
        bad = ~torch.isfinite(array.detach())
        if bool(bad.any()):
            index = tuple(bad.nonzero()[0].tolist())
            raise NonFiniteError(
                f"{function}: {name}[{', '.join(map(str, index))}] is {array[index].item()}; every argument "
                "must be finite. Look at the step before: a learning rate too high or a loss of NaN."
            )


def check_faces(function: str, faces: Tensor, vertices: int) -> None:
    """RasterError that names the first face with a vertex out of range, if there is one."""
    bad = ((faces < 0) | (faces >= vertices)).any(dim=1).nonzero()
    if len(bad):
        at = int(bad[0])
        raise RasterError(
            f"{function}: faces[{at}] is {faces[at].tolist()}, but there are {vertices} vertices"
        )


def check_fragments(function: str, face: Tensor, faces: Tensor) -> None:
    """RasterError if fragments see a face that the mesh does not have."""
    if face.numel() and int(face.max()) >= len(faces):
        raise RasterError(
            f"{function}: the fragments see face {int(face.max())}, but there are {len(faces)} faces"
        )


def call(
    function: str,
    implementation: Implementation,
    kernels: Mapping[str, ModuleType],
    like: Tensor,
    run: Callable[[ModuleType], Any],
    check: Callable[[], None],
) -> Any:
    """`run` with the module of the implementation that serves, and errors that name the culprit.

    Args:
        kernels: implementation -> module. like: whose device and type decide.
        check: raises what is wrong with the values; after the native kernels have refused, and before all others,
            which trust their arguments.
    """
    choice = choose(function, implementation, like.device, like.dtype, offers=tuple(kernels))
    if choice != "native":
        check()
        return run(kernels[choice])
    try:
        return run(kernels[choice])
    except (NonFiniteError, RasterError):
        check()
        raise
