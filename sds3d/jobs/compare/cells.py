"""One cell: an ordinary run folder, found again by its config, and the scores of what came out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...core.errors import RunFolderError, Sds3dError
from ...evaluate.retrieval import Judge
from ...optimize.events import Monitor
from .. import configs, metrics
from ..assemble import PriorCache, weight_files
from ..execute import Finisher, execute
from ..export import load_representation
from ..provenance import sha256
from ..runfolder import RunFolder
from ..schema import RunConfig
from .memory import peak_bytes, reset_peak
from .scoring import score

SCORES_FORMAT = 2
"""Raised when a score changes its meaning: scores of an older one are made again."""


@dataclass(frozen=True)
class Result:
    """What is known of a finished cell.

    Args:
        scores: name of a metric (see metrics.METRICS) -> value, None where it has no meaning for the prompt.
        best: the caption that the judge would have chosen, "" without a judge.
    """

    scores: dict[str, float | None]
    best: str = ""
    format: int = field(default=SCORES_FORMAT)


def folder_of(config: RunConfig) -> RunFolder:
    """The run folder of a cell: the one that is there, or a new one.

    Raises:
        RunFolderError: what is there was changed, is of another config, or was made with other weights.
    """
    wanted, path = configs.hash_of(config), folder_path(config)
    if not path.is_dir():
        return RunFolder.create(config)
    folder = RunFolder.open(path)
    if configs.hash_of(folder.config()) != wanted:
        raise RunFolderError(f"{path}: its config.yaml was changed since it was made; delete the folder.")
    _check_weights(folder, config)
    return folder


def folder_path(config: RunConfig) -> Path:
    """Where the first run of a config lies."""
    return Path(config.runs) / f"{config.slug()}-{configs.hash_of(config)[:6]}"


def _check_weights(folder: RunFolder, config: RunConfig) -> None:
    """A cell of other weights must not stand beside new ones."""
    known = folder.provenance().get("prior", {}).get("weights", {})
    now = {f"{p.parent.name}/{p.name}": p for p in weight_files(config.prior)}
    if any(sha256(now[name]) != digest for name, digest in known.items() if name in now):
        raise RunFolderError(
            f"{folder.path}: was made with other weights of the prior than are there now; choose another place "
            "with --out, or delete the folder."
        )


def run_cell(
    folder: RunFolder,
    monitor: Monitor,
    judge: Callable[[], Judge | None],
    cache: PriorCache,
    finishers: Sequence[Finisher] = (),
) -> None:
    """Carry out what is missing: the run, and its scores.

    Args:
        judge: returns who ranks captions, None for nobody. The others: see execute.

    Raises:
        StopRequested, KeyboardInterrupt: stopped; the state is saved. Sds3dError: the run failed.
    """
    peak: int | None = None
    if folder.status().state != "finished":
        reset_peak()
        execute(folder, monitor, finishers, cache)
        peak = peak_bytes()
    if read_result(folder) is None:
        representation, _ = load_representation(folder)
        found, best = score(folder.config(), representation, judge())
        write_result(folder, Result({**found, **cost_of(folder), "peak": _megabytes(peak)}, best))


def cost_of(folder: RunFolder) -> dict[str, float | None]:
    """Seconds of training, predictions a view, pictures that went through the network, and steps."""
    rows = list(metrics.read(folder.metrics_file))
    return {
        "seconds": sum(row["seconds"]["total"] for row in rows),
        "calls": sum(row.get("nfe", 0.0) for row in rows),
        "pictures": sum(row.get("rows", 0.0) for row in rows),
        "steps": float(len(rows)),
    }


def _megabytes(count: int | None) -> float | None:
    return None if count is None else count / 1e6


def _file(folder: RunFolder) -> Path:
    return folder.path / "scores.json"


def write_result(folder: RunFolder, result: Result) -> None:
    """Write scores.json."""
    folder.write(_file(folder), json.dumps(asdict(result), indent=1, ensure_ascii=False).encode())


def read_result(folder: RunFolder) -> Result | None:
    """The scores of a cell, None where there are none of this format, or the run is not finished."""
    try:
        found: dict[str, Any] = json.loads(_file(folder).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    if found.get("format") != SCORES_FORMAT or folder.status().state != "finished":
        return None
    return Result(**found)


def reason_of(error: BaseException) -> str:
    """Why a cell failed, in words."""
    return str(error) if isinstance(error, Sds3dError) else f"{type(error).__name__}: {error}"
