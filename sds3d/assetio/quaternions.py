"""Unit quaternions in 32 bits: the largest of four components is left out, the rest take 10 bits each."""

from __future__ import annotations

import numpy as np


def smallest_three(quaternion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What remains without the largest component, which is made positive (q and -q are one rotation).

    Args:
        quaternion: (N, 4) unit rows, any order.

    Returns:
        (N,) index of the largest, (N, 3) the others in order, each in [-√½, √½].
    """
    largest = np.abs(quaternion).argmax(1)
    rows = np.arange(len(quaternion))
    signed = quaternion * np.where(quaternion[rows, largest] < 0, -1.0, 1.0)[:, None]
    keep = np.arange(4)[None] != largest[:, None]
    return largest, signed[keep].reshape(-1, 3)


def from_smallest_three(largest: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """(N, 4) unit quaternions of what `smallest_three` returns."""
    out = np.empty((len(largest), 4))
    keep = np.arange(4)[None] != largest[:, None]
    out[keep] = rest.reshape(-1)
    out[~keep] = np.sqrt(np.maximum(1.0 - (rest**2).sum(1), 0.0))
    return out / np.linalg.norm(out, axis=1, keepdims=True)
