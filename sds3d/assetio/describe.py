"""What `sds3d info FILE` prints."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from ..core.assets import Material, Mesh, Picture, PointCloud, Sound, Splats
from .cameras import Shots
from .cameras_colmap import read_colmap
from .cameras_nerfstudio import FILE as NERFSTUDIO_FILE
from .cameras_nerfstudio import read_nerfstudio
from .check import as_numpy
from .files import read_bytes
from .kinds import read
from .original import source_of
from .original_mesh import open_mesh
from .pictures import read_film
from .topology import is_watertight, merge_equal


def describe(path: str | Path) -> dict[str, object]:
    """Facts about an asset file, ready for JSON.

    Returns:
        file, bytes, sha256, notes, provenance, and for what the file holds "mesh" (vertices, faces, low, high,
        watertight, colors, normals, texture, material), "splats" (count, sh_degree, low, high, mean_opacity),
        "points" (count, …), "picture" (width, height, mean_rgb) or "sound" (seconds, rate, channels, peak, rms). Of a
        glTF: "parts", their names and materials. Of an MP4 or GIF: "film" (frames, width, height, fps); of a
        transforms.json: "cameras" (count, width, height, fov_y_deg, first).

    Raises:
        AssetError: as `read`.
    """
    path = Path(path)
    if path.suffix.lower() in (".mp4", ".gif"):
        return {**_file(path), "film": _film(path)}
    if path.name == NERFSTUDIO_FILE:
        return {**_file(path), "cameras": _cameras(read_nerfstudio(path))}
    scene = read(path)
    out = _file(path)
    if scene.mesh is not None:
        out["mesh"] = _mesh(scene.mesh)
        if path.suffix.lower() in (".glb", ".gltf"):
            parts = open_mesh(source_of(path)).parts
            out["parts"] = list(dict.fromkeys(f"{p.name} ({p.material or 'no material'})" for p in parts))
    if scene.splats is not None:
        out["splats"] = _splats(scene.splats)
    if scene.points is not None:
        out["points"] = _points(scene.points)
    if scene.picture is not None:
        out["picture"] = _picture(scene.picture)
    if scene.sound is not None:
        out["sound"] = _sound(scene.sound)
    out["notes"] = list(scene.notes)
    out["provenance"] = dict(scene.provenance)
    return out


def describe_colmap(folder: str | Path) -> dict[str, object]:
    """Facts about a COLMAP model, ready for JSON: "cameras" and the number of "points".

    Raises:
        AssetError: as `read_colmap`.
    """
    shots, points = read_colmap(folder)
    return {
        "folder": str(folder),
        "cameras": _cameras(shots),
        "points": 0 if points is None else len(points.points),
    }


def _file(path: Path) -> dict[str, object]:
    data = read_bytes(path)
    return {"file": str(path), "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _sound(sound: Sound) -> dict[str, object]:
    return {
        "seconds": round(sound.seconds, 4),
        "rate": sound.rate,
        "channels": len(sound.samples),
        "peak": round(float(sound.samples.abs().max()), 4),
        "rms": round(float(sound.samples.square().mean().sqrt()), 5),
    }


def _film(path: Path) -> dict[str, object]:
    frames, rate = read_film(path)
    _, height, width = frames[0].shape
    return {"frames": len(frames), "width": width, "height": height, "fps": round(rate, 3)}


def _cameras(shots: Shots) -> dict[str, object]:
    height, width = shots.size
    angles = shots.cameras.fov_y_deg
    return {
        "count": len(shots.names),
        "width": width,
        "height": height,
        "fov_y_deg": [round(float(angles.min()), 3), round(float(angles.max()), 3)],
        "first": shots.names[0],
    }


def _mesh(mesh: Mesh) -> dict[str, object]:
    return {
        "vertices": len(mesh.vertices),
        "faces": len(mesh.faces),
        **_extent(as_numpy(mesh.vertices)),
        "watertight": is_watertight(merge_equal(as_numpy(mesh.vertices), as_numpy(mesh.faces, np.int64))),
        "colors": mesh.colors is not None,
        "normals": mesh.normals is not None,
        "texture": None if mesh.texture is None else [mesh.texture.shape[2], mesh.texture.shape[1]],
        "material": None if mesh.material is None else _material(mesh.material),
    }


def _material(material: Material) -> dict[str, object]:
    both, normal = material.metallic_roughness, material.normal
    return {
        "metallic": round(material.metallic, 4),
        "roughness": round(material.roughness, 4),
        "metallic_roughness": None if both is None else [both.shape[2], both.shape[1]],
        "normal": None if normal is None else [normal.shape[2], normal.shape[1]],
    }


def _splats(splats: Splats) -> dict[str, object]:
    return {
        "count": len(splats.means),
        "sh_degree": splats.sh_degree,
        **_extent(as_numpy(splats.means)),
        "mean_opacity": round(float(splats.opacities.mean()), 4) if len(splats.means) else None,
    }


def _points(points: PointCloud) -> dict[str, object]:
    return {
        "count": len(points.points),
        **_extent(as_numpy(points.points)),
        "colors": points.colors is not None,
    }


def _picture(picture: Picture) -> dict[str, object]:
    _, height, width = picture.pixels.shape
    mean = [round(float(v), 4) for v in picture.pixels.mean(dim=(1, 2))]
    return {"width": width, "height": height, "mean_rgb": mean}


def _extent(rows: np.ndarray) -> dict[str, object]:
    if not len(rows):
        return {"low": None, "high": None}
    return {"low": rows.min(0).tolist(), "high": rows.max(0).tolist()}
