"""Edits: what a config leaves out about the file that is edited, and how far it may go."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sds3d.guidance.options import GuidanceOptions
from sds3d.guidance.registry import preset

from ..assetio.capture import place_of
from ..assetio.kinds import KINDS
from ..assetio.original import Sort, sort_of, source_of
from ..config import source
from ..config.source import Document
from ..core import schedules
from ..core.errors import ConfigError, Sds3dError
from ..optimize.options import OptimizeOptions
from .recommend import merged
from .schema import JUDGES, REPRESENTATIONS, EditOptions, RunConfig

METHOD = "dds"
"""The method of an edit that names none."""

REPRESENTATION = {"splats": "edited_splats", "mesh": "edited_mesh"}
"""What a file shows -> what edits it."""

EDITABLE = ("3dgs", "splat", "spz", "compressed", "glb", "ply", "obj", "usdz", "stl")
"""Kinds of a run's assets that can be edited, the first that is there before the others."""

PULL = 2.0
"""Weight of the pull to the original's pictures at strength 0, which falls to nothing at strength 1."""

RECOMMENDED: Mapping[str, Any] = {
    "optimize": {"steps": 200, "white_background": 1.0},
    "pictures": {"turntable_frames": 24},
}
"""What an edit takes where its config says nothing."""


def complete(document: Document) -> None:
    """Write into a document that edits what follows from its file, in place, where it says nothing.

    The file is looked at only where something is missing, so that the config of a run can be read without it. A
    document that is malformed where this would look is left as it is: validation reports it.

    Raises:
        ConfigError: there is no such file or run, or it holds nothing that can be edited.
    """
    data = document.data
    edit = data.get("edit") if isinstance(data, dict) else None
    if not isinstance(edit, dict) or not isinstance(edit.get("source"), str) or not edit["source"]:
        return
    for section, values in RECOMMENDED.items():
        if isinstance(data.get(section) or {}, dict):
            data[section] = merged(data.get(section) or {}, values)
    guidance = JUDGES.expand(data.get("guidance") or {"method": METHOD})
    if isinstance(data.get("guidance"), dict) and not {"method", "terms"} & set(data["guidance"]):
        guidance = {**data["guidance"], "method": METHOD}
    data["guidance"] = guidance
    if not edit.get("file") or not edit.get("sha256"):
        _take(edit, str(data.get("runs", "runs")))
        seen = _seen(Path(edit["file"]).parent / "config.yaml")
        if isinstance(data.get("cameras") or {}, dict) and seen:
            data["cameras"] = {**seen, **(data.get("cameras") or {})}
    drawn = data.get("representation") or {}
    if data.get("export") is None or (isinstance(drawn, dict) and REPRESENTATIONS.key not in drawn):
        sort = _sort(edit["file"])
        data["export"] = data.get("export") or [sort.kind]
        if isinstance(drawn, dict):
            data["representation"] = {REPRESENTATIONS.key: REPRESENTATION[sort.form], **drawn}


def _take(edit: dict[str, Any], runs: str) -> None:
    """Note which file is meant, and its hash."""
    try:
        edit.setdefault("file", str(found(edit["source"], runs)))
        edit.setdefault("sha256", source_of(edit["file"]).sha256)
        stance = _stance(Path(edit["file"]).parent / "config.yaml")
        if edit.get("up") is not None:
            stance.pop("placed", None)
        for key, value in stance.items():
            edit.setdefault(key, value)
    except ConfigError:
        raise
    except Sds3dError as error:
        raise ConfigError(str(error), key="edit.source") from error


def _stance(config: Path) -> dict[str, Any]:
    """How the asset of a run stands: as the fit or edit that made it said, else upright; {} for a file of no run."""
    if not config.is_file():
        return {}
    before, capture = (_section(config, name) for name in ("edit", "capture"))
    if capture and capture.get("frame"):
        return {"placed": capture["frame"]}
    if not before:
        return {"up": "+y"}
    return {key: before[key] for key in ("up", "front_deg", "fit", "placed") if key in before}


def _seen(config: Path) -> dict[str, Any]:
    """From where an edit of an asset that goes back to a capture looks: from where the photographs were taken."""
    if not config.is_file():
        return {}
    edit = _section(config, "edit")
    told = _section(config, "cameras" if edit.get("placed") else "capture")
    return {key: told[key] for key in ("azimuth_deg", "elevation_deg") if told.get(key)}


def _section(config: Path, name: str) -> dict[str, Any]:
    """A section of a run's config; {} where there is none."""
    data = source.read(config).data
    found = data.get(name) if isinstance(data, dict) else None
    return found if isinstance(found, dict) else {}


def _sort(file: str) -> Sort:
    try:
        return sort_of(source_of(file))
    except Sds3dError as error:
        raise ConfigError(str(error), key="edit.source") from error


def found(word: str, runs: str = "runs") -> Path:
    """The absolute path of the file that a word means: a file, or the asset of a run, by folder or name under `runs`.

    Raises:
        ConfigError: there is none.
    """
    path = Path(word)
    folder = next((p for p in (path, Path(runs) / word) if (p / "config.yaml").is_file()), None)
    if path.is_file():
        return path.resolve()
    if folder is None and place_of(path) is not None:
        raise ConfigError(
            f"{word} is a capture, which is fitted before it is edited.",
            key="edit.source",
            hint=f"Fit it with: sds3d fit {word}, and name that run; `sds3d edit {word}` does both.",
        )
    if folder is None:
        raise ConfigError(
            f"there is no file and no run called {word!r}.",
            key="edit.source",
            hint=f"Give a mesh or splat file, or a run folder; paths are relative to the folder that you are in, "
            f"{Path.cwd()}.",
        )
    assets = [folder / f"asset{KINDS[kind]}" for kind in EDITABLE]
    there = next((p for p in assets if p.is_file()), None)
    if there is None:
        raise ConfigError(
            f"the run {folder} has no asset that can be edited.",
            key="edit.source",
            hint=f"Finish it with: sds3d resume {folder}; or write one: sds3d export {folder} --to glb",
        )
    return there.resolve()


def found_again(config: RunConfig, folder: Path) -> RunConfig:
    """The config of a run, where a folder of runs was moved: the run that it edits is looked for beside it.

    The file's hash is compared when it is opened, so that no other file takes its place.
    """
    if config.edit is None or config.edit.file is None or Path(config.edit.file).is_file():
        return config
    known = Path(config.edit.file)
    beside = folder.resolve().parent / known.parent.name / known.name
    if not beside.is_file():
        return config
    return config.model_copy(update={"edit": config.edit.model_copy(update={"file": str(beside)})})


def check_edit(config: RunConfig) -> None:
    """Refuse an edit of which something is missing, and a representation that edits nothing.

    Raises:
        ConfigError: says what, and what to write instead.
    """
    edit, kind = config.edit, str(config.representation.kind)  # type: ignore[attr-defined]
    if (edit is not None) != (kind in REPRESENTATION.values()):
        raise ConfigError(
            f"{kind} edits nothing." if edit else f"{kind} edits a file, and the config names none.",
            key="representation.kind",
            hint="Leave it out: it follows from the file." if edit else "Name the file under edit.source.",
        )
    if edit is None:
        return
    for one in config.apart():
        if preset(one.guidance.method)(one.guidance).needs.edits and not edit.prompt.strip():
            raise ConfigError(
                f"{one.guidance.method} compares with the original and has to know in words what it shows.",
                key="edit.prompt",
                hint='Say it: --from "a red car", or edit.prompt.',
            )


def check_settled(config: RunConfig) -> None:
    """Refuse to run an edit whose region was not looked for.

    Raises:
        ConfigError: names what is open.
    """
    if config.edit is None:
        return
    open_ = [atom for atom in config.edit.open_questions() if not atom.startswith("mask:")]
    if open_:
        raise ConfigError(
            f"{open_[0]} was not looked for yet.",
            key="edit.region",
            hint="Begin anew with: sds3d run or sds3d edit.",
        )


def tempered(guidance: GuidanceOptions, edit: EditOptions | None) -> GuidanceOptions:
    """The guidance at an edit's strength: the noisiest time falls to the least noisy one as strength goes to 0."""
    if edit is None or edit.strength == 1.0:
        return guidance
    times = guidance.times
    high = between(times.low, times.high, edit.strength)
    return guidance.model_copy(update={"times": times.model_copy(update={"high": high})})


def between(low: schedules.Schedule, high: schedules.Schedule, share: float) -> schedules.Schedule:
    """low + share (high - low), point by point over the run."""
    points = 20
    knots = [
        (k / points, low(k / points) + share * (high(k / points) - low(k / points)))
        for k in range(points + 1)
    ]
    return schedules.parse({"piecewise": [list(knot) for knot in knots]})


def fidelity_of(edit: EditOptions) -> schedules.Schedule:
    """The weight of the pull to the original's pictures, with what the strength adds."""
    return schedules.constant(edit.fidelity + PULL * (1.0 - edit.strength))


def slowed(optimize: OptimizeOptions, edit: EditOptions | None) -> OptimizeOptions:
    """The loop at an edit's strength: learning rates are multiplied by it, so that at 0 nothing moves."""
    if edit is None or edit.strength == 1.0:
        return optimize
    lr = between(schedules.constant(0.0), optimize.lr, edit.strength)
    return optimize.model_copy(update={"lr": lr})
