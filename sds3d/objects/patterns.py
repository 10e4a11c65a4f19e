"""Surface patterns, as functions of the place on the object: stripes, checks, dots."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

STRIPE = 0.17
"""Width of a stripe or a check in world units; an object's ball has the radius 0.75."""
DOT_SPACING, DOT_RADIUS = 0.34, 0.12


def striped(points: np.ndarray) -> np.ndarray:
    """Level rings: (..., 3) points -> (...) bool."""
    return np.floor(points[..., 1] / STRIPE).astype(int) % 2 == 0


def checked(points: np.ndarray) -> np.ndarray:
    """Cubes of two colours in turn."""
    return np.floor(points / STRIPE + 0.5).astype(int).sum(-1) % 2 == 0


def dotted(points: np.ndarray) -> np.ndarray:
    """Balls on a body-centred lattice, so that most surfaces cut dots."""
    cell = points / DOT_SPACING
    corner = np.linalg.norm(cell - np.round(cell), axis=-1)
    centre = np.linalg.norm(cell - 0.5 - np.round(cell - 0.5), axis=-1)
    return np.minimum(corner, centre) * DOT_SPACING < DOT_RADIUS


PATTERNS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = MappingProxyType(
    {"striped": striped, "checked": checked, "dotted": dotted}
)
"""The word of a pattern -> where its second colour is."""

PATTERN_WORDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"striped": ("striped",), "checked": ("checked", "checkered"), "dotted": ("dotted", "spotted")}
)
