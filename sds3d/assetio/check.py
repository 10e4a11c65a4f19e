"""Assets are checked once, on their way into and out of files: what passes here can be rendered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..core.assets import Asset, Material, Mesh, Picture, PointCloud, Sound, Splats
from ..core.errors import AssetError


def check_asset(asset: Asset, path: Path) -> None:
    """Raise AssetError, naming `path` and the first culprit, unless shapes, ranges and numbers are right."""
    if isinstance(asset, Mesh):
        _check_mesh(asset, path)
    elif isinstance(asset, Splats):
        _check_splats(asset, path)
    elif isinstance(asset, PointCloud):
        _shape(asset.points, (None, 3), "points", path)
        _finite(asset.points, "points", path)
        _rows_like(asset.colors, 3, len(asset.points), "colors", path)
    elif isinstance(asset, Picture):
        _shape(asset.pixels, (3, None, None), "pixels", path)
        _finite(asset.pixels.flatten(1), "pixels", path)
    elif isinstance(asset, Sound):
        _check_sound(asset, path)
    else:
        raise AssetError(
            f"{path}: {type(asset).__name__} is not an asset; give a Mesh, Splats, PointCloud, Picture or Sound."
        )


def _check_sound(sound: Sound, path: Path) -> None:
    _shape(sound.samples, (None, None), "samples", path)
    channels, count = sound.samples.shape
    if channels not in (1, 2):
        raise AssetError(f"{path}: has {channels} channels; sds3d works with mono and stereo.")
    if count == 0 or sound.rate < 1:
        raise AssetError(f"{path}: lasts no time: {count} samples at {sound.rate} a second.")
    _finite(sound.samples, "samples", path)


def _check_mesh(mesh: Mesh, path: Path) -> None:
    count = len(mesh.vertices)
    _shape(mesh.vertices, (None, 3), "vertices", path)
    _shape(mesh.faces, (None, 3), "faces", path)
    if count == 0 or len(mesh.faces) == 0:
        raise AssetError(
            f"{path}: the mesh has no {'vertices' if count == 0 else 'faces'}, so nothing to show."
        )
    _finite(mesh.vertices, "vertices", path)
    outside = (mesh.faces < 0) | (mesh.faces >= count)
    if bool(outside.any()):
        face = int(outside.any(1).nonzero()[0, 0])
        raise AssetError(
            f"{path}: face {face} refers to vertices {mesh.faces[face].tolist()}, but the mesh has {count}, "
            f"numbered 0 to {count - 1}."
        )
    _rows_like(mesh.colors, 3, count, "colors", path)
    _rows_like(mesh.normals, 3, count, "normals", path)
    _rows_like(mesh.uv, 2, count, "uv", path)
    if mesh.texture is not None:
        _shape(mesh.texture, (3, None, None), "texture", path)
        _finite(mesh.texture.flatten(1), "texture", path)
        if mesh.uv is None:
            raise AssetError(f"{path}: the mesh has a texture but no uv coordinates to place it.")
    if mesh.material is not None:
        _check_material(mesh.material, mesh.uv is not None, path)


def _check_material(material: Material, placed: bool, path: Path) -> None:
    for name in ("metallic", "roughness"):
        value = getattr(material, name)
        if not 0.0 <= value <= 1.0:
            raise AssetError(f"{path}: the material's {name} is {value:g}; it must lie in [0, 1].")
    for name, channels in (("metallic_roughness", 2), ("normal", 3)):
        picture = getattr(material, name)
        if picture is None:
            continue
        _shape(picture, (channels, None, None), name, path)
        _finite(picture.flatten(1), name, path)
        if not placed:
            raise AssetError(
                f"{path}: the material has a texture but the mesh no uv coordinates to place it."
            )


def _check_splats(splats: Splats, path: Path) -> None:
    count = len(splats.means)
    _shape(splats.means, (None, 3), "means", path)
    for name, width in (("scales", 3), ("rotations", 4)):
        _rows_like(getattr(splats, name), width, count, name, path)
    _shape(splats.opacities, (count,), "opacities", path)
    if splats.sh.ndim != 3 or splats.sh.shape[1] not in (1, 4, 9, 16):
        raise AssetError(
            f"{path}: sh has the shape {tuple(splats.sh.shape)}; expected ({count}, K, 3) with K = 1, 4, 9 or 16 "
            "coefficients (degree 0 to 3)."
        )
    _shape(splats.sh, (count, None, 3), "sh", path)
    for name in ("means", "opacities", "sh"):
        _finite(getattr(splats, name), name, path)
    if bool((splats.scales <= 0).any()):
        row = int((splats.scales <= 0).any(1).nonzero()[0, 0])
        raise AssetError(
            f"{path}: splat {row} has scales {splats.scales[row].tolist()}; they must be above 0."
        )
    outside = (splats.opacities < 0) | (splats.opacities > 1)
    if bool(outside.any()):
        row = int(outside.nonzero()[0, 0])
        raise AssetError(f"{path}: splat {row} has opacity {float(splats.opacities[row]):g}, outside [0, 1].")
    if bool((splats.rotations.norm(dim=1) < 1e-12).any()):
        row = int((splats.rotations.norm(dim=1) < 1e-12).nonzero()[0, 0])
        raise AssetError(f"{path}: splat {row} has the rotation (0, 0, 0, 0), which is no quaternion.")


def _rows_like(value: Tensor | None, width: int, count: int, name: str, path: Path) -> None:
    if value is not None:
        _shape(value, (count, width), name, path)
        _finite(value, name, path)


def _shape(value: Tensor, expected: tuple[int | None, ...], name: str, path: Path) -> None:
    fits = value.ndim == len(expected) and all(
        e is None or e == s for e, s in zip(expected, value.shape, strict=False)
    )
    if not fits:
        want = ", ".join("any" if e is None else str(e) for e in expected)
        raise AssetError(f"{path}: {name} has the shape {tuple(value.shape)}; expected ({want}).")


def _finite(value: Tensor, name: str, path: Path) -> None:
    if value.numel() == 0 or all(
        bool(torch.isfinite(end)) for end in value.aminmax()
    ):  # one pass over textures
        return
    bad = ~torch.isfinite(value)
    row = int(bad.nonzero()[0, 0])
    numbers = value[row].flatten()[:8].tolist()
    raise AssetError(f"{path}: {name} row {row} holds {numbers}; every number must be finite.")


def as_numpy(value: Tensor, dtype: type = np.float32) -> np.ndarray:
    """A contiguous array on the CPU, little-endian."""
    return np.ascontiguousarray(value.detach().cpu().numpy(), dtype=np.dtype(dtype).newbyteorder("<"))


def as_tensor(value: np.ndarray, dtype: torch.dtype = torch.float32) -> Tensor:
    """A torch tensor of its own memory (never a view of a file buffer)."""
    native = np.array(value, dtype=value.dtype.newbyteorder("="))
    return torch.from_numpy(native).to(dtype)
