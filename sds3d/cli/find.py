"""Run folders by what a person types: a path, or a name under runs/."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..jobs.runfolder import RunFolder


def find_run(word: str, root: str = "runs") -> RunFolder:
    """The run folder that a path names, or a name (or its unique beginning) under `root`.

    Raises:
        RunFolderError: there is none; the text names the nearest.
    """
    from ..core.errors import RunFolderError
    from ..jobs.runfolder import RunFolder

    if Path(word).exists() or "/" in word:
        return RunFolder.open(word)
    begun = sorted(p.parent for p in Path(root).glob("*/config.yaml") if p.parent.name.startswith(word))
    exact = [p for p in begun if p.name == word]
    if exact or len(begun) == 1:
        return RunFolder.open((exact or begun)[0])
    if begun:
        raise RunFolderError(
            f"{word}: several runs begin so: {', '.join(str(p) for p in begun[:8])}; name one."
        )
    return RunFolder.open(Path(root) / word)
