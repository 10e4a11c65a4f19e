"""Asset files of a run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sds3d.representations.bake_texture import fit
from sds3d.representations.base import Colored, Framed, Representation, RepresentationOptions
from sds3d.representations.edited import Edited
from sds3d.representations.particles import members_of

from ..assetio import kinds
from ..assetio.files import write_atomic
from ..assetio.provenance import NOTHING, Provenance
from ..config.suggest import nearest
from ..core.assets import Asset, Material, Mesh
from ..core.errors import ConfigError, RunFolderError
from ..optimize.checkpoint import CheckpointStore
from .assemble import build_representation
from .runfolder import RunFolder, particle_name
from .schema import BakingOptions, PictureOptions, RunConfig
from .views import write_gif, write_views

FORMS = {
    "glb": "mesh",
    "obj": "mesh",
    "usdz": "mesh",
    "stl": "mesh",
    "ply": "mesh",
    "3dgs": "splats",
    "compressed": "splats",
    "splat": "splats",
    "spz": "splats",
    "png": "picture",
    "jpg": "picture",
    "wav": "sound",
    "flac": "sound",
    "gif": "views",
    "nerfstudio": "views",
    "colmap": "views",
}
"""File kind -> the form of the representation that it holds; everything that is not flat has views."""
MOST_SECONDS = 900
"""What writing a file apart may take."""


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


USUAL = {"mesh": "glb", "splats": "3dgs", "picture": "png", "sound": "wav"}
"""Form -> the file kind that is written where none is asked for."""


def wanted(export: Sequence[str] | None, options: RepresentationOptions, file: str = "") -> tuple[str, ...]:
    """The file kinds to write; None asks for the usual one of each form that the representation has.

    Args:
        file: what is written, where it is a file on the command line and no run.

    Raises:
        ConfigError: a kind is asked of a representation that cannot be written so.
    """
    if export is None:
        return tuple(kind for form, kind in USUAL.items() if form in options.forms)
    forms = options.forms if options.flat else options.forms | {"views"}
    for kind in export:
        if FORMS[kind] not in forms:
            fits = [k for k, form in FORMS.items() if form in forms]
            if file:
                raise ConfigError(
                    f"asks for {kind}, but {file} holds no {FORMS[kind]}.",
                    file="command line",
                    key="--to",
                    hint=f"It is written as {', '.join(fits)}.",
                )
            others = " Take representation=gaussians for splats." if FORMS[kind] == "splats" else ""
            raise ConfigError(
                f"asks for {kind}, but this representation has no {FORMS[kind]}.",
                key="export",
                hint=f"It is written as {', '.join(fits)}.{others}",
            )
    return tuple(dict.fromkeys(export))


def formats(folder: RunFolder) -> tuple[str, ...]:
    """The kinds of single files that a run can be written in, whether they are there or not.

    Raises:
        ConfigError: its config cannot be read.
    """
    options = folder.config().in_stages()[-1].representation
    return tuple(kind for kind in kinds.KINDS if FORMS[kind] in options.forms)


def write_apart(folder: RunFolder, wanted_kinds: Sequence[str]) -> None:
    """Write asset files of a run beside the others, in a process of its own: it may take a core for many seconds.

    Raises:
        RunFolderError: it could not be done, or took longer than MOST_SECONDS; the text says why.
    """
    command = [sys.executable, "-m", "sds3d", "export", str(folder.path), "--to", ",".join(wanted_kinds)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=MOST_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise RunFolderError(f"{folder.path.name}: writing took longer than {MOST_SECONDS} s") from error
    if done.returncode:
        told = done.stderr.strip().splitlines() or ["the process ended without a word"]
        raise RunFolderError(f"{folder.path.name}: {told[-1].removeprefix('error: ')}")


def write_assets(
    representation: Representation,
    wanted_kinds: Sequence[str],
    stem: Path,
    name: str,
    overwrite: bool = False,
    *,
    baking: BakingOptions | None = None,
    pictures: PictureOptions | None = None,
    origin: Provenance = NOTHING,
) -> list[Path]:
    """Write `<stem>.glb` and the like, of further particles `<stem>_2.glb` and so on; views to `<stem>_colmap/`.

    An edited file is written as what it is with nothing changed but what was edited; in other kinds, or where `baking`
    asks something of its mesh, it is converted.

    Args:
        representation: on the CPU. stem: path without suffix. name: the label inside the files.
        overwrite: replace files that exist; otherwise AssetError says which is in the way.
        baking: texture and size of the mesh. pictures: sizes of views. origin: what the files tell of themselves.

    Returns:
        The files, particle by particle, in the order of the kinds.
    """
    written: list[Path] = []
    for index, member in enumerate(members_of(representation)):
        forms = _Forms(member, name, baking or BakingOptions())
        own = stem.with_name(particle_name(stem.name, index))
        for kind in wanted_kinds:
            path = own.with_name(own.name + kinds.KINDS.get(kind, ""))
            if (
                isinstance(member, Edited)
                and kind == member.kind
                and not (forms.remade and FORMS[kind] == "mesh")
            ):
                write_atomic(path, member.patched(), overwrite)
                written.append(path)
            elif FORMS[kind] != "views":
                written += kinds.write(forms.asset(FORMS[kind]), path, kind, overwrite, origin)
            elif kind == "gif":
                path = own.with_name(f"{own.name}.gif")
                written += write_gif(member, path, pictures or PictureOptions(), overwrite)
            else:
                surface = forms.surface() if kind == "colmap" else None
                folder = own.with_name(f"{own.name}_{kind}")
                options = pictures or PictureOptions()
                written += write_views(member, kind, folder, options, overwrite, origin, surface)
    return written


class _Forms:
    """What one representation exports, each form made once."""

    def __init__(self, member: Representation, name: str, baking: BakingOptions):
        self.member, self.name, self.baking = member, name, baking
        self.remade = baking != BakingOptions()
        self.made: dict[str, Asset] = {}

    def asset(self, form: str) -> Asset:
        """The asset of a form: "mesh" (decimated, textured and lit as asked for), "splats" or "picture"."""
        if form not in self.made:
            made = replace(self.member.to_asset(form), name=self.name)
            self.made[form] = self._finish(made) if isinstance(made, Mesh) else made
        return self.made[form]

    def surface(self) -> Asset:
        """The mesh, or the splats of what has none."""
        splats_alone = isinstance(self.member, Framed) and "mesh" not in self.member.options.forms
        return self.asset("splats" if splats_alone else "mesh")

    def _finish(self, mesh: Mesh) -> Mesh:
        o = self.baking
        if o.texture or (o.faces is not None and len(mesh.faces) > o.faces):
            color_at = self.member.surface_colors() if isinstance(self.member, Colored) else None
            mesh = fit(mesh, color_at, o.faces, o.texture)
        if o.shading == "auto":
            return mesh
        return replace(mesh, material=(mesh.material or Material()) if o.shading == "lit" else None)


def drop_others(folder: RunFolder, options: RepresentationOptions) -> None:
    """Delete files in which an earlier stage was exported, and which this representation has no form for."""
    for files in folder.particles():
        for kind, path in files.items():
            if FORMS[kind] not in options.forms:
                path.unlink()


def load_representation(folder: RunFolder) -> tuple[Representation, int]:
    """The representation of a run's last good checkpoint, and its step in the run.

    Raises:
        RunFolderError: the run has no checkpoint that can be read.
    """
    representation, step, _ = load_stage(folder)
    return representation, step


def load_stage(folder: RunFolder) -> tuple[Representation, int, RunConfig]:
    """As `load_representation`, and the config of the stage that the checkpoint belongs to.

    Raises:
        RunFolderError: the run has no checkpoint that can be read.
    """
    state = CheckpointStore(folder.checkpoints).latest() if folder.checkpoints.is_dir() else None
    if state is None:
        raise RunFolderError(
            f"{folder.path}: has no checkpoint to export yet; start it with: sds3d resume {folder.path}"
        )
    stages = folder.config().in_stages()
    config = stages[min(state.stage, len(stages) - 1)]
    representation = build_representation(config)
    representation.load_state_dict(state.representation)
    return representation, sum(one.optimize.steps for one in stages[: state.stage]) + state.step, config
