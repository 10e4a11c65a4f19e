"""Polygons to triangles."""

from __future__ import annotations

import numpy as np


def fan(lengths: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Triangles of polygons, each cut as a fan from its first corner.

    Args:
        lengths: (P,) int64 corners of each polygon; those below 3 give nothing.
        corners: (sum of lengths,) any dtype, the polygons' corners one after the other.

    Returns:
        (T, 3) rows of `corners`' entries, in order, winding kept.
    """
    if len(lengths) and (lengths == 3).all():
        return corners.reshape(-1, 3)
    starts = np.cumsum(lengths) - lengths
    count = np.maximum(lengths - 2, 0)
    first = np.repeat(starts, count)
    step = np.arange(len(first)) - np.repeat(np.cumsum(count) - count, count)
    return np.stack([corners[first], corners[first + step + 1], corners[first + step + 2]], axis=1)
