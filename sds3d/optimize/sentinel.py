"""The sentinel: stops a run at its first NaN or infinity and says where it came from. Nothing is replaced."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..core.errors import NonFiniteError
from ..core.look import Look
from .checkpoint import write_state
from .state import RunState

_USUAL = "Lower learning rates or cfg_scale usually help."

_ADVICE = {
    "z": "The renders were finite, so it is the prior's encoder that overflowed, as SDXL's does in float16: set "
    "prior.vae_precision=float32 (or bfloat16).",
    "guidance.z": "The encoded pictures were finite, so it is the prior's network that overflowed: set "
    "prior.precision=bfloat16 (or float32).",
}
"""Name of the first culprit -> what to do about it."""


def first_non_finite(tensors: Mapping[str, Tensor]) -> tuple[str, tuple[int, ...], float] | None:
    """(name, index, value) of the first non-finite element in order of the names given, or None."""
    for name, value in tensors.items():
        # one reduction is enough in the good case: a sum is finite unless an element is not (or it overflows)
        if torch.isfinite(value.detach().sum(dtype=torch.float64)):
            continue
        bad = ~torch.isfinite(value.detach())
        if bad.any():
            index = tuple(int(i) for i in bad.nonzero()[0])
            return name, index, float(value.detach()[index])
    return None


def stop_if_non_finite(
    tensors: Mapping[str, Tensor],
    state: RunState,
    look: Look,
    t: float,
    seed: int,
    folder: Path,
    note: str = "",
) -> None:
    """Check the tensors of a step before it is applied.

    Args:
        tensors: name -> value in the order in which they were computed, so that the first culprit is named.
        state: the state before the step, written as the repro file. folder: where to write it.
        note: a sentence on what was tried before the run was stopped.

    Raises:
        NonFiniteError: names tensor, index, step, t, camera, seed and the repro file.
    """
    found = first_non_finite(tensors)
    if found is None:
        return
    name, index, value = found
    camera = _camera(look, index, len(tensors[name]) if tensors[name].ndim else 0)
    path = folder / f"non_finite_step{state.step:06d}.safetensors"
    write_state(state, path)
    raise NonFiniteError(
        f"{name}{list(index)} became {value} at step {state.step} (t = {t:.3f}, {camera}, seed {seed}). {note}"
        f"The run was stopped before the step was applied and the last checkpoint is intact. "
        f"{path} holds the state before this step: random numbers depend only on seed and step, so resuming "
        f"from it replays the step. {_ADVICE.get(name, _USUAL)}"
    )


def _camera(look: Look, index: tuple[int, ...], rows: int) -> str:
    cameras = look.cameras
    if cameras is None:
        return "no camera"
    which = [index[0]] if index and rows == len(cameras) else range(len(cameras))
    each = [f"azimuth {cameras.azimuth_deg[i]:.1f}° elevation {cameras.elevation_deg[i]:.1f}°" for i in which]
    return ("camera " if len(each) == 1 else "cameras ") + "; ".join(each)
