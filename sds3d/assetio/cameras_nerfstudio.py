"""transforms.json of nerfstudio and instant-ngp.

Camera-to-world matrices with OpenGL axes, as sds3d's. Their world has +Z up: sds3d's (x, y, z) is written as
(x, -z, y) and read back the other way. Views of an asset in its own space are written as they stand; the file does not
tell, so that a reader finds them turned.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ..core.errors import AssetError
from .cameras import MAX_VIEWS, Shots, shots_of
from .check import as_numpy
from .files import read_bytes
from .provenance import NOTHING, Provenance

_UPRIGHT = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
FILE = "transforms.json"


def encode_nerfstudio(shots: Shots, provenance: Provenance = NOTHING, turned: bool = True) -> bytes:
    """The file; a focal length for each picture, so that they may differ.

    Args:
        turned: from our +Y up to +Z up; False where the cameras stand in the space of somebody else's asset.
    """
    shots.check(Path(FILE))
    height, width = shots.size
    focal = as_numpy(shots.cameras.focal(height), np.float64)
    c2w = as_numpy(shots.cameras.c2w, np.float64)
    matrices = _UPRIGHT @ c2w if turned else c2w
    frames = [
        {"file_path": name, "fl_x": float(f), "fl_y": float(f), "transform_matrix": m.tolist()}
        for name, f, m in zip(shots.names, focal, matrices, strict=True)
    ]
    head = {"camera_model": "OPENCV", "w": width, "h": height, "cx": width / 2, "cy": height / 2}
    origin = {"sds3d": dict(sorted(provenance.items()))} if provenance else {}
    return json.dumps({**head, **origin, "frames": frames}, indent=1).encode()


def read_nerfstudio(path: str | Path) -> Shots:
    """The cameras of a transforms.json.

    Raises:
        AssetError: it is no such file, the pictures differ in size, or a number is missing or none.
    """
    path = Path(path)
    try:
        document = json.loads(read_bytes(path).decode("utf-8-sig"))
        frames = document["frames"][: MAX_VIEWS + 1]
        if len(frames) > MAX_VIEWS:
            raise AssetError(f"{path}: has more than {MAX_VIEWS} frames.")
        sizes = {(int(f.get("h", document.get("h"))), int(f.get("w", document.get("w")))) for f in frames}
        if len(sizes) != 1:
            raise AssetError(f"{path}: its pictures have {len(sizes)} sizes; sds3d reads one.")
        size = sizes.pop()
        focal = [_focal(document | frame, size) for frame in frames]
        matrices = np.array([frame["transform_matrix"] for frame in frames], dtype=np.float64)
        names = [str(frame["file_path"]) for frame in frames]
        c2w = _UPRIGHT.T @ matrices.reshape(len(frames), 4, 4)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise AssetError(
            f"{path}: is no transforms.json that sds3d understands: {str(error)[:100]}."
        ) from error
    return shots_of(c2w, np.array(focal), size, names, path)


def _focal(values: dict, size: tuple[int, int]) -> float:
    """Vertical focal length in pixels, from itself or the angle of view of either side."""
    if "fl_y" in values or "fl_x" in values:
        return float(values["fl_y"] if "fl_y" in values else values["fl_x"])
    side, angle = ("h", "camera_angle_y") if "camera_angle_y" in values else ("w", "camera_angle_x")
    return 0.5 * size[0 if side == "h" else 1] / float(np.tan(0.5 * float(values[angle])))
