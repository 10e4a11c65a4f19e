"""The colours that captions name, and the fixed ones of eyes, wheels and windows (sRGB in [0, 1])."""

from __future__ import annotations

from types import MappingProxyType

NAMED = MappingProxyType(
    {
        "red": (0.85, 0.10, 0.10),
        "green": (0.15, 0.65, 0.20),
        "blue": (0.12, 0.30, 0.88),
        "yellow": (0.96, 0.83, 0.12),
        "orange": (0.96, 0.50, 0.06),
        "purple": (0.50, 0.15, 0.70),
        "pink": (0.98, 0.55, 0.74),
        "brown": (0.45, 0.27, 0.13),
        "black": (0.08, 0.08, 0.08),
        "white": (0.97, 0.97, 0.97),
        "gray": (0.50, 0.50, 0.50),
        "cyan": (0.15, 0.80, 0.85),
    }
)
"""Name -> sRGB of the colours that a caption may give to a part."""

SYNONYMS = MappingProxyType({"grey": "gray", "violet": "purple", "turquoise": "cyan"})
"""Other words for named colours."""

FIXED = MappingProxyType(
    {
        **NAMED,
        "glass": (0.55, 0.75, 0.90),
        "steel": (0.66, 0.68, 0.72),
        "gold": (0.95, 0.75, 0.20),
        "wood": (0.60, 0.40, 0.22),
        "skin": (0.94, 0.76, 0.62),
        "cream": (0.95, 0.88, 0.70),
        "leaf": (0.20, 0.60, 0.20),
        "dark": (0.20, 0.20, 0.23),
    }
)
"""Name -> sRGB of the paints that a kind may fix."""
