"""Asset files of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sds3d.representations.base import Representation

from ..assetio import kinds
from ..config.suggest import nearest
from ..core.assets import Asset
from ..core.errors import AssetError, ConfigError, RunFolderError
from ..optimize.checkpoint import CheckpointStore
from .assemble import build_representation
from .runfolder import RunFolder

FORMS = {"glb": "mesh", "obj": "mesh", "ply": "mesh", "3dgs": "splats"}
"""File kind -> the form of the representation that it holds."""


def parse_kinds(text: str) -> tuple[str, ...]:
    """The kinds of a list such as "glb,obj".

    Raises:
        ConfigError: a word is no kind; the text names the nearest.
    """
    words = tuple(word.strip() for word in text.split(",") if word.strip())
    for word in words:
        if word not in FORMS:
            close = nearest(word, FORMS)
            raise ConfigError(
                f"unknown file kind {word!r}; there are {', '.join(FORMS)}.",
                file="command line",
                key="--to",
                hint=f"Did you mean {close}?" if close else "",
            )
    return words


def has_splats(representation: Representation) -> bool:
    """Whether a representation can be exported as splats."""
    try:
        representation.to_asset("splats")
    except AssetError:
        return False
    return True


def wanted(export: Sequence[str] | None, representation: Representation) -> tuple[str, ...]:
    """The file kinds to write; None asks for glb, and 3dgs where there are splats.

    Raises:
        ConfigError: splats are asked of a representation that has none.
    """
    splats = has_splats(representation)
    if export is None:
        return ("glb", "3dgs") if splats else ("glb",)
    if "3dgs" in export and not splats:
        raise ConfigError(
            "asks for 3dgs, but this representation has no splats.",
            key="export",
            hint="Take representation=gaussians, or leave 3dgs out.",
        )
    return tuple(dict.fromkeys(export))


def write_assets(
    representation: Representation,
    wanted_kinds: Sequence[str],
    stem: Path,
    name: str,
    overwrite: bool = False,
) -> list[Path]:
    """Write `<stem>.glb` and the like.

    Args:
        stem: path without suffix. name: the label inside the files.
        overwrite: replace files that exist; otherwise AssetError says which is in the way.

    Returns:
        The files, in the order of the kinds.
    """
    from dataclasses import replace

    forms: dict[str, Asset] = {}
    written: list[Path] = []
    for kind in wanted_kinds:
        form = FORMS[kind]
        if form not in forms:
            forms[form] = replace(representation.to_asset(form), name=name)
        path = stem.with_name(stem.name + kinds.KINDS[kind])
        written += kinds.write(forms[form], path, kind, overwrite)
    return written


def load_representation(folder: RunFolder) -> tuple[Representation, int]:
    """The representation of a run's last good checkpoint, and its step.

    Raises:
        RunFolderError: the run has no checkpoint that can be read.
    """
    representation = build_representation(folder.config())
    state = CheckpointStore(folder.checkpoints).latest() if folder.checkpoints.is_dir() else None
    if state is None:
        raise RunFolderError(
            f"{folder.path}: has no checkpoint to export yet; start it with: sds3d resume {folder.path}"
        )
    representation.load_state_dict(state.representation)
    return representation, state.step
