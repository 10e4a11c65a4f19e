"""Asset files of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sds3d.representations.base import Representation, RepresentationOptions
from sds3d.representations.particles import members_of

from ..assetio import kinds
from ..config.suggest import nearest
from ..core.assets import Asset
from ..core.errors import ConfigError, RunFolderError
from ..optimize.checkpoint import CheckpointStore
from .assemble import build_representation
from .runfolder import RunFolder, particle_name

FORMS = {
    "glb": "mesh",
    "obj": "mesh",
    "ply": "mesh",
    "3dgs": "splats",
    "png": "picture",
    "jpg": "picture",
}
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


USUAL = {"mesh": "glb", "splats": "3dgs", "picture": "png"}
"""Form -> the file kind that is written where none is asked for."""


def wanted(export: Sequence[str] | None, options: RepresentationOptions) -> tuple[str, ...]:
    """The file kinds to write; None asks for the usual one of each form that the representation has.

    Raises:
        ConfigError: a kind is asked of a representation that cannot be written so.
    """
    if export is None:
        return tuple(kind for form, kind in USUAL.items() if form in options.forms)
    for kind in export:
        if FORMS[kind] not in options.forms:
            fits = [k for k, form in FORMS.items() if form in options.forms]
            others = " Take representation=gaussians for splats." if FORMS[kind] == "splats" else ""
            raise ConfigError(
                f"asks for {kind}, but this representation has no {FORMS[kind]}.",
                key="export",
                hint=f"It is written as {', '.join(fits)}.{others}",
            )
    return tuple(dict.fromkeys(export))


def write_assets(
    representation: Representation,
    wanted_kinds: Sequence[str],
    stem: Path,
    name: str,
    overwrite: bool = False,
) -> list[Path]:
    """Write `<stem>.glb` and the like, of further particles `<stem>_2.glb` and so on.

    Args:
        stem: path without suffix. name: the label inside the files.
        overwrite: replace files that exist; otherwise AssetError says which is in the way.

    Returns:
        The files, particle by particle, in the order of the kinds.
    """
    written: list[Path] = []
    for index, member in enumerate(members_of(representation)):
        forms: dict[str, Asset] = {}
        for kind in wanted_kinds:
            form = FORMS[kind]
            if form not in forms:
                forms[form] = replace(member.to_asset(form), name=name)
            path = stem.with_name(particle_name(stem.name, index) + kinds.KINDS[kind])
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
