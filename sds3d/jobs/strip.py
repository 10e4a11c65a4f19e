"""What the dial of an edit does: the asset at several strengths, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..assetio import pictures
from ..core.cameras import orbit
from ..core.schedules import constant
from ..optimize.loop import Session
from ..optimize.sentinel import stop_if_non_finite
from ..optimize.timing import Stopwatch
from .assemble import PriorCache, assemble
from .batch import check_choices
from .editing import between
from .pictures import render_views
from .regions import settled
from .schema import RunConfig

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
AZIMUTHS = (30.0, 210.0)
SHORTER = 2
"""The strip's runs have so many times fewer steps than the edit, at as many times its learning rates."""


def write_strip(config: RunConfig, path: Path, strengths: Sequence[float] = STRENGTHS) -> Path:
    """Run a short edit at each strength and write two views of each result, a column a strength.

    Args:
        config: of an edit. path: of the PNG; a file there is replaced.

    Raises:
        Sds3dError: the edit cannot be run.
    """
    cache: PriorCache = {}
    config = settled(config, cache)
    check_choices(config)
    columns = [_views(config, strength, cache) for strength in strengths]
    rows = [column[k] for k in range(len(AZIMUTHS)) for column in columns]
    return pictures.contact_sheet(rows, path, len(columns), overwrite=True)


def _views(config: RunConfig, strength: float, cache: PriorCache) -> list[Tensor]:
    """Two views after a short edit at that strength."""
    assert config.edit is not None
    optimize = config.optimize
    short = optimize.model_copy(
        update={
            "steps": max(1, optimize.steps // SHORTER),
            "lr": between(constant(0.0), optimize.lr, SHORTER),
        }
    )
    edit = config.edit.model_copy(update={"strength": strength})
    stage = assemble(config.model_copy(update={"optimize": short, "edit": edit}), Stopwatch(), cache)
    session = Session(stage)
    while strength and session.step < short.steps:
        grads = session.gradients()
        stop_if_non_finite(
            grads.checked, session.state(), grads.views.look, float("nan"), config.seed, Path(config.runs)
        )
        session.apply(grads)
    cameras = orbit(AZIMUTHS, config.pictures.elevation_deg)
    with torch.no_grad():
        return render_views(stage.representation, cameras, config.pictures.contact_size, stage.device)
