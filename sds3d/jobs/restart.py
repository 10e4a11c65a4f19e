"""Running a run's stages again from one of them on."""

from __future__ import annotations

from ..config.suggest import nearest
from ..core.errors import ConfigError, RunFolderError
from ..optimize.checkpoint import CheckpointStore, read_state
from .runfolder import RunFolder


def restart_from(folder: RunFolder, name: str) -> None:
    """Forget the checkpoints of a stage and of those after it, so that the run goes on from the seam before it.

    The options of these stages in config.yaml may have been changed.

    Raises:
        ConfigError: the run has no such stage; the text names the nearest.
        RunFolderError: the stage before it is not finished, or a process works on the run now.
    """
    config = folder.config()
    names = [stage.name for stage in config.stages]
    if name not in names:
        close = nearest(name, names)
        hint = f"Did you mean {close}?" if close else "The run is one stage." if not names else ""
        known = f"; its stages are {', '.join(names)}" if names else ""
        raise ConfigError(
            f"{folder.path} has no stage {name!r}{known}.", file="command line", key="--from-stage", hint=hint
        )
    index = names.index(name)
    with folder.lock():
        store = CheckpointStore(folder.checkpoints)
        if index:
            path = store.last_of(index - 1)
            if path is None or read_state(path).step < config.stages[index - 1].optimize.steps:
                raise RunFolderError(
                    f"{folder.path}: the stage {names[index - 1]!r} is not finished, so that {name!r} has nothing to "
                    f"start from; go on with: sds3d resume {folder.path}"
                )
        store.forget_from(index)
