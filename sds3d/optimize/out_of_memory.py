"""When memory runs out in the middle of a run: the state is saved, and the user is told what helps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from ..core.errors import Sds3dError
from .checkpoint import CheckpointStore
from .state import RunState


class OutOfMemory(Sds3dError):
    """A device's memory was too small for a step, or for loading the model; the text says what to do."""


@contextmanager
def stopping(state: Callable[[], RunState], store: CheckpointStore, whole: bool = True) -> Iterator[None]:
    """For a part of a step: out of memory saves the state if it is whole, and ends the run with advice.

    Args:
        state: the state that may be saved. whole: False for a part that changes the state while it runs.

    Raises:
        OutOfMemory: instead of torch's error.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        now = state()
        where = "The last checkpoint is intact."
        if whole:
            where = f"The state is saved in {'/'.join(store.save(now).parts[-2:])}."
        raise OutOfMemory(
            f"out of memory at step {now.step}: {_first_line(error)} {where} If other programs use the GPU, "
            f"close them and resume. Otherwise start a new run that needs less: {ADVICE} `sds3d run … --dry-run` "
            "predicts what a setting needs."
        ) from error


ADVICE = (
    "prior.memory=lean or offload, fewer optimize.views, a smaller optimize.size or prior.size, "
    "prior.vae_precision=bfloat16, or a smaller model (`sds3d models`)."
)
"""What needs less memory, the cheapest first."""


def not_loaded(error: torch.OutOfMemoryError, name: str) -> OutOfMemory:
    """The error for a model that does not fit."""
    return OutOfMemory(f"out of memory while loading the prior {name}: {_first_line(error)} Try {ADVICE}")


def _first_line(error: BaseException) -> str:
    line = next((part.strip() for part in str(error).splitlines() if part.strip()), "no more is known")
    return line if line.endswith(".") else f"{line}."
