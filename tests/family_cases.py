"""Tiny models of every family as priors, built once a process; and how the tests look at them."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

import torch
from tiny_models import BUILDERS

from sds3d.core.cameras import orbit
from sds3d.core.look import Look
from sds3d.core.streams import Streams
from sds3d.priors import base
from sds3d.priors.kinds import diffusers as kind

SIDE = 16
TEXT, AGAINST = "A red fox!", "blurry"
VIEWS = ((10.0, 0.0), (100.0, 20.0), (190.0, 0.0), (280.0, 70.0))
FAMILIES = sorted(BUILDERS)

_ROOT = tempfile.TemporaryDirectory(prefix="sds3d-tiny-")


@functools.cache
def folder_of(name: str) -> Path:
    """A tiny folder of a family; nobody writes into it."""
    return BUILDERS[name](Path(_ROOT.name) / name)


def load(folder: Path, **options: Any) -> kind.DiffusersPrior:
    """The prior of a folder in float32 at 16 pixels, on the CPU, its networks in memory."""
    given = {"folder": str(folder), "precision": "float32", "device": "cpu", "size": SIDE} | options
    prior = kind.create(kind.Options(**given))
    prior.load()
    return prior


@functools.cache
def prior_of(name: str) -> kind.DiffusersPrior:
    """The prior of a family; nobody changes it."""
    return load(folder_of(name))


@functools.cache
def embedded_of(name: str) -> base.Embedded:
    """The test's words, view prompts among them, in a family's tensors."""
    return prior_of(name).prepare(base.Prompts(TEXT, AGAINST, view_words=True))


def look(*cameras: tuple[float, float]) -> Look:
    """Views from (azimuth, elevation) in degrees; four around the object by default."""
    azimuth, elevation = zip(*(cameras or VIEWS), strict=True)
    return Look(orbit(azimuth, torch.tensor(elevation)), (SIDE, SIDE), torch.ones(len(azimuth), 3))


def conditions(name: str, views: Look | None = None) -> base.Conditioning:
    """The branches of these views."""
    return prior_of(name).condition(embedded_of(name), views or look(), {})


def noise(*shape: int, tag: str = "test") -> torch.Tensor:
    """Standard normal numbers, always the same."""
    return Streams(5).normal(shape, tag)[0]


def one_time(name: str, count: int = 4) -> torch.Tensor:
    """Different times, or one where views must share it."""
    times = [0.4] * count if name == "mvdream" else [0.02, 0.3, 0.5, 0.9][:count]
    return torch.tensor(times, dtype=torch.float64)
