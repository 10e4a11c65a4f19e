"""sRGB and linear light (IEC 61966-2-1), as glTF wants its vertex colours."""

from __future__ import annotations

import numpy as np


def srgb_to_linear(srgb: np.ndarray) -> np.ndarray:
    """Display-referred values in [0, 1] to linear light in [0, 1], elementwise."""
    low = srgb / 12.92
    high = ((np.maximum(srgb, 0.0) + 0.055) / 1.055) ** 2.4
    return np.where(srgb <= 0.04045, low, high).astype(srgb.dtype)


def linear_to_srgb(linear: np.ndarray) -> np.ndarray:
    """Linear light in [0, 1] to display-referred values in [0, 1], elementwise."""
    low = linear * 12.92
    high = 1.055 * np.maximum(linear, 0.0) ** (1 / 2.4) - 0.055
    return np.where(linear <= 0.0031308, low, high).astype(linear.dtype)


def to_bytes(unit: np.ndarray) -> np.ndarray:
    """Values in [0, 1] to uint8, rounded to nearest; values outside are clipped as a display would."""
    return np.rint(np.clip(unit, 0.0, 1.0) * 255).astype(np.uint8)
