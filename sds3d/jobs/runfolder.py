"""The folder of a run: everything about it lies there, and everybody else only reads such folders.

config.yaml      every option, resolved            status.json    state, reason, step, format version
provenance.json  versions, weights, hardware       metrics.jsonl  one line a step
previews/        pictures during the run           checkpoints/   states to resume from
asset*.*         the result, one a particle        turntable.mp4, contact.png, report.html
before_after.png the original over the result of an edit; region.png where it may change, where that was said
held_out.png     photographs that were kept back over what a fit shows from there
reference_*.*    the pictures that the run follows   reference_view.png   one of them, and the same view
stages/NAME/     the result of each stage
"""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ..assetio.files import write_atomic
from ..config.suggest import nearest
from ..core.errors import ConfigError, RunFolderError
from . import configs, editing, referencing
from .lock import is_locked, locked
from .schema import RunConfig

FORMAT = 1
"""Version of the layout; raised when a change needs a migration."""

MIGRATIONS: Mapping[int, Callable[[Path], None]] = {}
"""Version -> the function that brings a folder from that version to the next."""

STATES = ("queued", "running", "finished", "failed", "stopped")


@dataclass(frozen=True)
class Status:
    """Where a run stands.

    Args:
        state: one of STATES. reason: why it failed or stopped, "" otherwise.
        step, steps: steps done and asked. pid: the process that wrote this last.
        updated: seconds since 1970. format: version of the folder's layout.
    """

    state: str = "queued"
    reason: str = ""
    step: int = 0
    steps: int = 0
    pid: int = 0
    updated: float = 0.0
    format: int = FORMAT


@dataclass(frozen=True)
class RunFolder:
    """A run on disk; see the module docstring.

    Args:
        path: the folder.
        migrations: for tests; see MIGRATIONS.
    """

    path: Path
    migrations: Mapping[int, Callable[[Path], None]] = field(
        default_factory=lambda: MIGRATIONS, compare=False
    )

    config_file = property(lambda self: self.path / "config.yaml", doc="The resolved config.")
    status_file = property(lambda self: self.path / "status.json", doc="State and format version.")
    provenance_file = property(lambda self: self.path / "provenance.json", doc="Versions, weights, hardware.")
    metrics_file = property(lambda self: self.path / "metrics.jsonl", doc="One JSON line a step.")
    lock_file = property(lambda self: self.path / ".lock", doc="Locked while a process works on the run.")
    previews = property(lambda self: self.path / "previews", doc="Folder of pictures during the run.")
    checkpoints = property(lambda self: self.path / "checkpoints", doc="Folder of states to resume from.")
    turntable = property(lambda self: self.path / "turntable.mp4", doc="A film of the asset.")
    contact = property(lambda self: self.path / "contact.png", doc="Views of the asset on one sheet.")
    before_after = property(
        lambda self: self.path / "before_after.png", doc="Of an edit: the original above, the result below."
    )
    region = property(lambda self: self.path / "region.png", doc="Of an edit: views of what may change.")
    held_out = property(
        lambda self: self.path / "held_out.png", doc="Of a fit: photographs kept back above, the scene below."
    )
    reference_view = property(
        lambda self: self.path / "reference_view.png", doc="The picture that is followed, and the same view."
    )
    report = property(lambda self: self.path / "report.html", doc="Self-contained page about the run.")

    @classmethod
    def create(cls, config: RunConfig) -> RunFolder:
        """A new folder for a config of one prompt; a second run of a config gets a number, nothing is overwritten.

        Raises:
            RunFolderError: the place cannot be written.
        """
        base = f"{config.slug()}-{configs.hash_of(config)[:6]}"
        root = Path(config.runs)
        try:
            root.mkdir(parents=True, exist_ok=True)
            for number in itertools.count(1):
                path = root / (base if number == 1 else f"{base}-{number}")
                try:
                    path.mkdir()
                except FileExistsError:
                    continue
                break
        except OSError as error:
            raise RunFolderError(
                f"{root}: no run folder can be made there: {error.strerror}. Choose another place with runs=FOLDER."
            ) from error
        folder = cls(path)
        folder.write(folder.config_file, configs.to_yaml(referencing.kept(config, path)).encode())
        folder.set_status(Status("queued", steps=config.total_steps()))
        return folder

    @classmethod
    def open(
        cls, path: str | Path, migrations: Mapping[int, Callable[[Path], None]] | None = None
    ) -> RunFolder:
        """An existing run folder (or a file in it), brought to the present format.

        Raises:
            RunFolderError: it is none, is of a newer format, or its status cannot be read.
        """
        path = Path(path)
        if path.is_file():
            path = path.parent
        if not path.is_dir():
            nor = ", nor such a file" if path.suffix else ""
            raise RunFolderError(f"{path}: there is no such run folder{nor}.{_neighbour(path)}")
        folder = cls(path, MIGRATIONS if migrations is None else migrations)
        if not folder.config_file.is_file():
            raise RunFolderError(f"{path}: is no run folder: it holds no config.yaml.{_inside(path)}")
        folder._migrate()
        return folder

    def _migrate(self) -> None:
        found = self._read_status().get("format", FORMAT)
        newest = max(self.migrations, default=FORMAT - 1) + 1
        if not isinstance(found, int) or found > newest:
            raise RunFolderError(
                f"{self.path}: was written by a newer sds3d (format {found}, this one knows {newest}); upgrade sds3d."
            )
        if found == newest:
            return
        with self.lock():
            for version in range(found, newest):
                self.migrations[version](self.path)
                status = self._read_status() | {"format": version + 1}
                self.write(self.status_file, json.dumps(status).encode())

    def config(self) -> RunConfig:
        """The resolved config of the run.

        Raises:
            ConfigError: config.yaml was damaged.
        """
        config = configs.read(self.config_file)
        if config.prompt is None:
            raise ConfigError("a run folder holds one prompt", file=str(self.config_file), key="prompts")
        return editing.found_again(config, self.path)

    def write(self, path: Path, data: bytes) -> None:
        """Replace a file of the folder in one step; AssetError when the disk refuses, the old file is intact."""
        write_atomic(path, data, overwrite=True)

    def lock(self) -> AbstractContextManager[None]:
        """Hold the run while a block changes it; RunFolderError names the other process if there is one."""
        return locked(self.lock_file)

    def is_running(self) -> bool:
        """Whether a process works on it now."""
        return is_locked(self.lock_file)

    def status(self) -> Status:
        """Where the run stands; a run whose process has vanished counts as stopped."""
        known = {k: v for k, v in self._read_status().items() if k in Status.__dataclass_fields__}
        status = Status(**known)
        if not _is_whole(status):
            raise RunFolderError(
                f"{self.status_file}: is damaged ({known}). Delete that one file; resuming the run writes it anew."
            )
        if status.state == "running" and not self.is_running():
            return replace(
                status, state="stopped", reason="its process ended without a word (killed, or out of memory)"
            )
        return status

    def set_status(self, status: Status) -> None:
        """Write the status, with this process's pid and the time."""
        stamped = replace(status, pid=os.getpid(), updated=time.time(), format=FORMAT)
        self.write(self.status_file, json.dumps(asdict(stamped), ensure_ascii=False, indent=1).encode())

    def _read_status(self) -> dict[str, Any]:
        try:
            value = json.loads(self.status_file.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise RunFolderError(
                f"{self.status_file}: is damaged ({error}). Delete that one file; resuming the run writes it anew."
            ) from error
        if not isinstance(value, dict):
            raise RunFolderError(
                f"{self.status_file}: is damaged. Delete that one file; resuming writes it anew."
            )
        return value

    def provenance(self) -> dict[str, Any]:
        """What provenance.json holds, {} before the run has begun; RunFolderError when it is damaged."""
        try:
            return json.loads(self.provenance_file.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise RunFolderError(f"{self.provenance_file}: is damaged ({error}).") from error

    def of_stage(self, name: str) -> RunFolder:
        """The folder of one stage's assets and contact sheet, made if missing; it lies in the run's."""
        path = self.path / "stages" / name
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunFolderError(f"{path}: cannot be made: {error.strerror}.") from error
        return RunFolder(path)

    def preview_file(self, step: int, name: str) -> Path:
        """The file of one preview picture: "render", "views" or "x0" of a step."""
        return self.previews / f"step_{step:06d}_{name}.png"

    def assets(self) -> dict[str, Path]:
        """The asset files there are, of the first particle: kind -> path."""
        return self._assets_of(0)

    def particles(self) -> list[dict[str, Path]]:
        """The asset files of each particle that has any: kind -> path."""
        each = (self._assets_of(k) for k in itertools.count())
        return list(itertools.takewhile(bool, each))

    def _assets_of(self, index: int) -> dict[str, Path]:
        from ..assetio.kinds import KINDS

        name = particle_name("asset", index)
        found = {kind: self.path / f"{name}{suffix}" for kind, suffix in KINDS.items()}
        there = {kind: path for kind, path in found.items() if path.is_file()}
        if "obj" in there:  # the picture beside it is its texture
            there.pop("png", None)
        return there


def particle_name(stem: str, index: int) -> str:
    """The beginning of a particle's file names: asset, asset_2, asset_3 …"""
    return stem if index == 0 else f"{stem}_{index + 1}"


def list_runs(root: str | Path) -> list[RunFolder]:
    """The run folders under a root, newest change of status first."""
    found = [RunFolder(p.parent) for p in Path(root).glob("*/config.yaml")]

    def changed(folder: RunFolder) -> float:
        for file in (folder.status_file, folder.config_file):
            with suppress(OSError):  # it may be moved away at this moment
                return file.stat().st_mtime
        return 0.0

    return sorted(found, key=changed, reverse=True)


def _is_whole(status: Status) -> bool:
    """Whether every value is of its kind."""
    numbers = (status.step, status.steps, status.pid, status.format)
    return (
        isinstance(status.state, str)
        and status.state in STATES
        and isinstance(status.reason, str)
        and all(isinstance(n, int) for n in numbers)
        and isinstance(status.updated, int | float)
    )


def _neighbour(path: Path) -> str:
    parent = path.parent
    names = [p.name for p in parent.iterdir() if p.is_dir()] if parent.is_dir() else []
    close = nearest(path.name, names)
    return f" Did you mean {parent / close}?" if close else ""


def _inside(path: Path) -> str:
    names = sorted(p.parent.name for p in path.glob("*/config.yaml"))
    return f" It holds the runs {', '.join(names[:8])}; name one of them." if names else ""
