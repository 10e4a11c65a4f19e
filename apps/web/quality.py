"""Draft, standard, high: how many steps, and about how long that takes here."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from sds3d.core.errors import Sds3dError
from sds3d.jobs.runfolder import list_runs
from sds3d.jobs.schema import RunConfig

from .view import pace, tail

SHARES = {"Draft": 0.35, "Standard": 1.0, "High": 2.5}
"""Quality -> share of the steps that the config asks for."""
REFERENCE_S = {"grid": 0.075, "gaussians": 0.11, "nerf": 0.75, "tetmesh": 0.16, "mesh": 0.14, "image": 0.05}
"""Seconds a step of the embedded prior's own size, 4 views, on the machine of docs/performance.md; see `_speed`."""
_REFERENCE_PRODUCT_S = 0.0042
_RECENT = 30


def steps(config: RunConfig, quality: str) -> int:
    """Steps of a run in that quality."""
    return max(1, round(config.optimize.steps * SHARES[quality]))


def seconds_per_step(runs: Path, config: RunConfig) -> float:
    """Of runs like this one in that folder, the newest first; without any, guessed from this machine's speed."""
    known = list(_measured(runs, config))
    if known:
        return statistics.median(known)
    views = config.optimize.views / 4
    return REFERENCE_S.get(config.representation.kind, 0.2) * views * _speed()  # type: ignore[attr-defined]


def told(runs: Path, config: RunConfig) -> list[tuple[str, str]]:
    """(label with the time, quality), for a choice."""
    pace = seconds_per_step(runs, config)
    return [(f"{name} · {words(pace * steps(config, name))}", name) for name in SHARES]


def words(seconds: float) -> str:
    """About how long, for people."""
    if seconds < 90:
        return f"about {max(5, round(seconds / 5) * 5)} s"
    return f"about {round(seconds / 60)} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"


def _measured(runs: Path, config: RunConfig) -> Iterator[float]:
    """Seconds a step of the newest runs that are alike."""
    for folder in list_runs(runs)[:_RECENT]:
        try:
            other = folder.config()
        except (Sds3dError, OSError):
            continue
        if _sort(other) == _sort(config) and (seconds := pace(tail(folder.metrics_file))):
            yield statistics.median(seconds)


def _sort(config: RunConfig) -> tuple[object, ...]:
    """What decides how long a step takes, as far as it is looked at."""
    kinds = (config.prior.kind, config.representation.kind, getattr(config.guidance, "method", ""))  # type: ignore[attr-defined]
    return (*kinds, config.optimize.views, config.device)


def _speed() -> float:
    """How much longer a matrix product takes here than on the reference machine."""
    a = torch.ones(512, 512)
    best = 1.0
    for _ in range(3):
        begun = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - begun)
    return best / _REFERENCE_PRODUCT_S
