"""Fits: what a config leaves out about the capture that is fitted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sds3d.representations.placed import Placed

from ..assetio.capture import Capture, Photo, place_of, read_capture
from ..assetio.capture_photos import common_size, load_photos
from ..config.source import Document
from ..core.cameras import Cameras
from ..core.errors import AssetError, ConfigError, Sds3dError
from ..core.frame import Frame, upright, upright_along
from ..core.photographed import common_up, coverage, frame_seen, looked_at
from .capture_options import CaptureOptions
from .recommend import merged

RECOMMENDED: dict[str, Any] = {
    "optimize": {
        "steps": 1000,
        "views": 2,
        "jitter": False,
        "checkpoint_steps": 250,
        "preview_steps": 250,
    },
    "pictures": {"turntable_frames": 24},
    "export": ["3dgs"],
}
"""What a fit takes where its config says nothing."""
NO_SAY = frozenset({"prior", "guidance"})
"""Sections of a config that a fit does not ask."""
SURROUNDINGS = {"half_extent": 30.0}
"""What it takes beside where the surroundings belong to the scene."""
LOOKED_AT = 8
"""Photographs whose borders tell what is behind the scene."""
EVEN, PLAIN = 0.02, 0.9
"""sRGB within which a border's pixels are of one colour, and the share of them that has to be."""


def complete(document: Document) -> None:
    """Write into a document that fits photographs what follows from them, in place, where it says nothing.

    The capture is looked at only where something is missing, so that the config of a run can be read without it. A
    document that is malformed where this would look is left as it is: validation reports it.

    Raises:
        ConfigError: there is no such capture, or it cannot be used; the text says why.
    """
    data = document.data
    asked = data.get("capture") if isinstance(data, dict) else None
    if not isinstance(asked, dict) or not isinstance(asked.get("source"), str) or not asked["source"]:
        return
    for section, values in RECOMMENDED.items():
        if not isinstance(values, dict):
            data.setdefault(section, list(values))
        elif isinstance(data.get(section) or {}, dict):
            data[section] = merged(data.get(section) or {}, values)
    name = named(asked["source"])
    data.setdefault("prompt", f"photographs of {name}")
    data.setdefault("name", f"fit-{name}")
    try:
        CaptureOptions.model_validate(asked)
    except ValueError:
        return  # told by validation
    if any(asked.get(key) is None for key in ("file", "sha256", "frame")) or "azimuth_deg" not in asked:
        try:
            _take(asked)
        except ConfigError:
            raise
        except Sds3dError as error:
            raise ConfigError(str(error), key="capture.source") from error
    drawn = data.get("representation") or {}
    if isinstance(drawn, dict):
        more = SURROUNDINGS if asked["frame"].get("whole") else {}
        data["representation"] = merged({"kind": "captured", **drawn}, more)


def is_capture(word: str) -> bool:
    """Whether a word means photographs, and no run."""
    return not (Path(word) / "config.yaml").is_file() and place_of(word) is not None


def named(source: str) -> str:
    """What a capture is called: the folder of its cameras, or the one above a COLMAP model."""
    path = Path(source).absolute()
    parts = [path.stem if path.is_file() else path.name, *(p.name for p in path.parents)]
    if path.is_file():
        parts = parts[1:]
    return next((p for p in parts if p and p not in ("0", "sparse", "colmap")), "capture")


def _take(asked: dict[str, Any]) -> None:
    """Note which capture is meant, its fingerprint, and where our world lies in it."""
    capture = read_capture(asked["source"], asked.get("images"))
    asked.setdefault("file", str(capture.path.resolve()))
    if capture.kind == "colmap":
        asked.setdefault("images", str(_folder_of(capture).resolve()))
    asked.setdefault("sha256", capture.fingerprint())
    if asked.get("background", "auto") == "auto":
        asked["background"], whole = background_of(capture)
    else:
        whole = False
    if asked.get("frame") is None:
        asked["frame"] = Placed.of(frame_of(capture, asked), whole).model_dump(mode="json")
    frame = Placed.model_validate(asked["frame"]).frame()
    seen = coverage(cameras_of(capture.photos, frame, torch.full((len(capture.photos),), 45.0)))
    asked.setdefault("azimuth_deg", list(seen.azimuth_deg))
    asked.setdefault("elevation_deg", list(seen.elevation_deg))


def _folder_of(capture: Capture) -> Path:
    """The folder that a COLMAP capture's names are relative to."""
    photo = capture.photos[0]
    return photo.file.parents[len(Path(photo.name).parts) - 1]


def frame_of(capture: Capture, asked: dict[str, Any]) -> Frame:
    """Where our world lies in a capture.

    Args:
        asked: the options up, front_deg, centre and radius, where they say something.

    Raises:
        AssetError: the cameras do not tell, and the options do not either.
    """
    c2w, front = capture.c2w(), float(asked.get("front_deg") or 0.0)
    up: Any = asked.get("up") or "auto"
    if up != "auto":
        turn = upright(up, front)
    elif bool((above := common_up(c2w)).any()):
        turn = upright_along(above, front)
    else:
        raise AssetError(
            f"{capture.path}: its pictures do not agree on what is up. Say it with capture.up=+y."
        )
    if asked.get("centre") is not None:
        centre = torch.tensor(asked["centre"], dtype=torch.float64)
    else:
        found = looked_at(c2w)
        if found is None:
            raise AssetError(
                f"{capture.path}: its cameras look at no one place, so that nobody knows what to centre on. Name a "
                "point in its own units: capture.centre=[x,y,z], and with it capture.radius."
            )
        centre = found
    half = [math.atan(0.5 * min(p.lens.width / p.lens.fx, p.lens.height / p.lens.fy)) for p in capture.photos]
    try:
        return frame_seen(c2w, torch.rad2deg(torch.tensor(half)), turn, centre, asked.get("radius"))
    except ValueError as error:
        raise AssetError(f"{capture.path}: cannot be looked at: {error}.") from error


def cameras_of(photos: Sequence[Photo], frame: Frame, fov_y_deg: Float[Tensor, " n"]) -> Cameras:
    """The cameras of photographs, in our world."""
    c2w = frame.poses_in_world(torch.stack([photo.c2w for photo in photos]))
    position = c2w[:, :3, 3]
    distance = position.norm(dim=1)
    level = position[:, [0, 2]].norm(dim=1)
    return Cameras(
        c2w=c2w.float(),
        fov_y_deg=fov_y_deg.float(),
        azimuth_deg=torch.rad2deg(torch.atan2(position[:, 0], position[:, 2])).float(),
        elevation_deg=torch.rad2deg(torch.atan2(position[:, 1], level)).float(),
        distance=distance.float(),
        group=torch.zeros(len(photos), dtype=torch.int64),
        ids=torch.arange(len(photos)),
    )


def background_of(capture: Capture) -> tuple[str | list[float], bool]:
    """(what is behind the scene, whether the surroundings belong to it): see SceneCapture.background."""
    step = max(1, len(capture.photos) // LOOKED_AT)
    some = capture.photos[::step][:LOOKED_AT]
    seen = load_photos(some, common_size([photo.lens for photo in some], 64))
    if seen.transparent:
        return "none", False
    border = torch.ones(seen.size, dtype=torch.bool)
    border[1:-1, 1:-1] = False
    counts = (seen.weight[:, 0] > 0) & border
    colours = seen.rgb.permute(0, 2, 3, 1)[counts].float() / 255
    if len(colours):
        middle = colours.median(dim=0).values
        if float(((colours - middle).abs().amax(1) <= EVEN).float().mean()) >= PLAIN:
            return [round(float(v), 4) for v in middle], False
    return [0.0, 0.0, 0.0], True
