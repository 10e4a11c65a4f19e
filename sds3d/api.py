"""The same from Python:

from sds3d import generate
asset = generate("a blue mushroom")
asset.mesh()
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sds3d.apps.report import write_report

from .core.assets import Mesh, Splats
from .core.errors import AssetError
from .jobs import configs
from .jobs.batch import create_folder
from .jobs.execute import execute
from .jobs.progress import PlainProgress
from .jobs.runfolder import RunFolder
from .optimize.events import Monitor, Silent


@dataclass(frozen=True)
class Result:
    """A finished run.

    Args:
        folder: the run folder, for everything that is not named here.
    """

    folder: RunFolder

    @property
    def path(self) -> Path:
        """The first asset file: asset.glb, unless others were asked for."""
        return next(iter(self.files.values()))

    @property
    def files(self) -> dict[str, Path]:
        """The asset files: kind -> path."""
        return self.folder.assets()

    def mesh(self) -> Mesh:
        """The mesh, read back from the files.

        Raises:
            AssetError: the run exported none.
        """
        return self._read("mesh", ("glb", "ply", "obj", "usdz", "stl"))

    def splats(self) -> Splats:
        """The splats, read back from asset.3dgs.ply, or from a smaller format where that was asked for alone.

        Raises:
            AssetError: the run exported none.
        """
        return self._read("splats", ("3dgs", "spz", "compressed", "splat"))

    def _read(self, form: str, kinds: tuple[str, ...]) -> Any:
        from .assetio.kinds import read

        for kind in kinds:
            if kind in self.files:
                return getattr(read(self.files[kind]), form)
        raise AssetError(
            f"{self.folder.path}: this run exported no {form}; ask for it with export={list(kinds[:1])}."
        )

    def _repr_png_(self) -> bytes | None:
        """The contact sheet, which notebooks show."""
        return self.folder.contact.read_bytes() if self.folder.contact.is_file() else None

    def __repr__(self) -> str:
        return f"Result({self.folder.config().prompt!r}, {str(self.folder.path)!r})"


def generate(
    prompt: str | None = None, *, monitor: Monitor | None = None, quiet: bool = False, **options: Any
) -> Result:
    """Make a 3D asset from a sentence or a picture; returns when it is done.

    Args:
        prompt: what to make; it may be left out where `reference={"image": "picture.png"}` shows it and the prior is
            the embedded one. monitor: told of every step; by default a line of progress now and then.
        quiet: print nothing.
        options: any key of a config file: `seed=3`, `representation="gaussians"`, `optimize={"steps": 200}`;
            dotted ones as `**{"guidance.cfg_scale": 6}`.

    Returns:
        Where it lies, and ways to read it; a notebook shows its views.

    Raises:
        ConfigError: an option is wrong; the text names the key and the nearest valid one.
        PromptError: the prior cannot serve the prompt. Other Sds3dErrors say what went wrong.
    """
    config = configs.from_mapping(({} if prompt is None else {"prompt": prompt}) | options)
    folder = create_folder(config)
    if monitor is None:
        monitor = Silent() if quiet else PlainProgress(folder, sys.stdout)
    execute(folder, monitor, [write_report])
    return Result(folder)


def load(path: str | Path) -> Result:
    """The result of an earlier run by its folder.

    Raises:
        RunFolderError: there is no such run.
    """
    return Result(RunFolder.open(path))
