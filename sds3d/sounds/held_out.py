"""What the audio prior never hears: the one place that decides it.

About one pair of modifier and kind in eight is in no training sound and no caption of the prior or of its text tower;
the second scorer, which only measures, knows them. The rule is a checksum of the names, so that it holds for kinds
that are added later.
"""

from __future__ import annotations

import zlib

from .kind import SoundKind

_ALWAYS = frozenset(
    {("low", "flute"), ("high", "drum"), ("short", "bell"), ("fast", "footsteps"), ("long", "beep")}
)
_NEVER = frozenset({("high", "bell"), ("low", "drum"), ("short", "beep"), ("slow", "footsteps")})


def pair_is_held_out(modifier: str, kind: SoundKind) -> bool:
    """Whether this modifier is never heard on this kind."""
    pair = (modifier, kind.name)
    if pair in _ALWAYS or pair in _NEVER:
        return pair in _ALWAYS
    return zlib.crc32("|".join(pair).encode()) % 8 == 0
