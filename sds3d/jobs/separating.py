"""A recording and words for what is in it, as the config of a run that takes it apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..core.errors import ConfigError
from . import configs
from .runfolder import RunFolder
from .schema import RunConfig

MOST = 8
"""Sources of one recording."""
TIMES = (0.2, 0.6)
"""Of the states that the prior is shown: what a source may be is heard there, and the recording is still in it. Noisier
ones decide by the prior's taste, clearer ones leave things as they are."""


def heard(config: RunConfig) -> tuple[str, ...]:
    """What each sound of a run is, in words: a separation's sources in their order; () for a run without sounds."""
    if "sound" not in config.representation.forms:
        return ()
    parts = {one.part: one.config.prompt or "" for one in config.apart()}
    if len(parts) > 1:
        return tuple(parts[k] for k in sorted(parts))
    return (config.prompt or "",) * config.particles


def sound_files(folder: RunFolder) -> list[Path]:
    """The file of each sound of a run, in the first of its formats."""
    each = ([p for p in files.values() if p.suffix in (".wav", ".flac")] for files in folder.particles())
    return [files[0] for files in each if files]


def separation(mixture: Path, sources: Sequence[str], words: Sequence[str] = ()) -> RunConfig:
    """The config of `sds3d separate`: one term of the guidance for each source, on its part of the recording.

    Args:
        mixture: a WAV or FLAC file. sources: a sentence for each sound in it. words: overrides `a.b=c`.

    Raises:
        ConfigError: fewer than two sources or too many, or a wrong override.
    """
    if not 2 <= len(sources) <= MOST:
        raise ConfigError(
            f"a recording is taken into 2 to {MOST} sources, and {len(sources)} are named.",
            file="command line",
            key="--sources",
            hint='Say what is in it: sds3d separate mix.wav --sources "a drum" "a bell"',
        )
    judge = {"method": "sds", "times": {"low": TIMES[0], "high": TIMES[1]}}
    terms = [
        {"name": f"source{k + 1}", "guidance": judge, "prompt": text, "part": k}
        for k, text in enumerate(sources)
    ]
    values = {
        "prompt": " and ".join(sources),
        "representation": {"kind": "separation", "mixture": str(mixture), "sources": len(sources)},
        "guidance": {"terms": terms},
        "optimize": {"steps": 200},
    }
    return configs.from_words(list(words), values)
