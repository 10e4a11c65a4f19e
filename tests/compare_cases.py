"""Comparisons that take seconds: an analytic prior, flat or on a tiny grid, and nobody who ranks captions."""

from __future__ import annotations

from pathlib import Path

from sds3d.jobs.compare.asked import read
from sds3d.jobs.compare.cells import folder_of
from sds3d.jobs.compare.plan import Comparison, placed, plan
from sds3d.jobs.compare.workers import carry_out
from sds3d.jobs.interrupt import StopFlag

FLAT = """\
prompts: [a red car, a green sphere]
prior: {kind: analytic, shape: [3, 8, 8], conditions: {y: {mean: 0.5, std: 0.5}, 'null': {}, neg: {}}}
optimize: {steps: 6, checkpoint_steps: 2}
pictures: {contact_size: 16}
threads: 1
mode: 2d
"""

SOLID = """\
prompts: [a red car]
prior: {kind: analytic, shape: [3, 8, 8]}
representation: {kind: grid, resolutions: [3, 8], samples: 8, picture_samples: 8, blob_bias: 2.0}
optimize: {steps: 4, views: 2}
pictures: {turntable_frames: 2, turntable_size: 32, contact_views: 2, contact_size: 16}
export: []
threads: 1
"""


def asked_of(folder: Path, text: str, name: str = "prompts.yaml", words: tuple[str, ...] = (), **given):
    """The comparison of a file with that text, as it was asked for."""
    file = folder / name
    file.write_text(text)
    return read([str(file), *words], given)


def compared(folder: Path, text: str = FLAT, **given) -> Comparison:
    """Its plan, with the runs under the folder."""
    given = {"methods": "sds,csd", "seeds": 2} | given
    return placed(plan(asked_of(folder, text, **given)), folder / "cells")


class Stops(StopFlag):
    """A flag that is set after it was asked so many times."""

    def __init__(self, after: int):
        self.left = after

    @property
    def requested(self) -> bool:
        """Counts down."""
        self.left -= 1
        return self.left < 0


def carried_out(comparison: Comparison, flag: StopFlag | None = None, jobs: int = 1, finishers=()):
    """(whether all ended, {name of the run folder: reason}) of all cells."""
    told = {}
    ended = carry_out(
        [folder_of(cell.config) for cell in comparison.cells],
        jobs,
        flag or StopFlag(),
        lambda folder, reason: told.__setitem__(folder.path.name, reason),
        finishers,
    )
    return ended, told
