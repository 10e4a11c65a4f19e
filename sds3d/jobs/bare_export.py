"""Export of a mesh or splat file that no run made: drawn where it lies, as an edit of it would be."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from sds3d.representations.edited import Edited, SceneEdit

from ..assetio.original import sort_of, source_of
from ..config.kinds import module_of
from ..core.errors import ConfigError
from ..core.frame import Axis
from ..core.streams import Streams
from .editing import REPRESENTATION
from .export import FORMS, wanted, write_assets
from .schema import REPRESENTATIONS, BakingOptions

log = logging.getLogger(__name__)


def is_bare(word: str) -> bool:
    """Whether a word names a file that lies in no run folder."""
    path = Path(word)
    return path.is_file() and not (path.parent / "config.yaml").is_file()


def export_bare(
    file: Path,
    kinds: Sequence[str],
    out: Path,
    overwrite: bool,
    baking: BakingOptions,
    up: Axis | None = None,
) -> list[Path]:
    """Write a file in other kinds as `out/<name of the file>.*`; it is never written itself.

    Args:
        up: its up axis, from which the views are level; by default as for an edit.

    Returns:
        The files and folders.

    Raises:
        AssetError: it cannot be read, or a file is in the way. ConfigError: no kinds, or one that it cannot be
            written as; or the file itself would be written.
    """
    source = source_of(file)
    kind = REPRESENTATION[sort_of(source).form]
    module = module_of(REPRESENTATIONS.package, kind, REPRESENTATIONS.group)
    options = module.Options()
    if not kinds:
        raise ConfigError(
            f"{file} is of no run, so that no kinds are known to write.",
            file="command line",
            key="--to",
            hint="Name some, such as --to colmap.",
        )
    asked = wanted(kinds, options, str(file))
    scene = module.create(
        options, Streams(0), SceneEdit(file=str(file), sha256=source.sha256, up=up or "auto")
    )
    if isinstance(scene, Edited) and any(FORMS[one] == "views" for one in asked):
        for note in scene.notes:
            log.warning("%s", note)
    stem = out / file.name.removesuffix(file.suffix).removesuffix(".3dgs").removesuffix(".compressed")
    if overwrite and stem.parent.resolve() == file.parent.resolve():
        raise ConfigError(
            f"{file} lies in the folder that is written to, and might be replaced.",
            file="command line",
            key="--overwrite",
            hint="Take another folder for --out.",
        )
    return write_assets(scene, asked, stem, stem.name, overwrite, baking=baking)
