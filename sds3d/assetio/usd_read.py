"""USD reader: the meshes of a USDZ package or a layer as one mesh in world space.

Text layers are read here. Binary ones (USDC) are turned into text by OpenUSD's own library in a process of its own,
so that a broken file takes nothing down.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..core.assets import Mesh, Scene
from ..core.errors import AssetError, MissingPackageError
from .check import as_numpy, as_tensor
from .color import linear_to_srgb
from .files import shown
from .polygons import fan
from .provenance import foreign
from .sample import sample_texture
from .usd_geometry import Z_UP, Variable, local_transform, numbers, variable
from .usd_look import Look, look_of
from .usda import Prim, parse_usda
from .usdz import unpack

MAX_ELEMENTS = 40_000_000
_TO_TEXT = """
import sys
from pxr import Sdf
if sys.platform != "win32":
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
sys.stdout.write(Sdf.Layer.OpenAsAnonymous(sys.argv[1]).ExportToString())
"""
_SECONDS = 120


@dataclass(frozen=True)
class _Part:
    """One mesh prim in world space, a vertex a distinct corner."""

    positions: np.ndarray
    triangles: np.ndarray
    normals: np.ndarray | None
    uv: np.ndarray | None
    colors: np.ndarray | None
    look: Look


def decode_usd(data: bytes, path: Path) -> Scene:
    """The scene of a USDZ, USDA or USDC file.

    Raises:
        AssetError: it is broken, its text cannot be understood, or it shows no mesh.
        MissingPackageError: it is binary and usd-core is absent.
    """
    files = unpack(data, path) if data.startswith(b"PK") else {path.name: data}
    name = next((n for n in files if n.lower().endswith((".usda", ".usdc", ".usd"))), None)
    if name is None:
        raise AssetError(f"{path}: holds no USD layer.")
    root = parse_usda(_text(files[name], path), path)
    notes: list[str] = []
    parts = _parts(root, Path(name).parent.as_posix(), files, path, notes)
    if not parts:
        raise AssetError(f"{path}: shows no mesh, so there is nothing to read.")
    custom = root.metadata.get("customLayerData")
    origin = foreign(custom.get("sds3d") if isinstance(custom, dict) else None)
    mesh = _merge(parts, path.stem, notes)
    return Scene(mesh=mesh, notes=tuple(dict.fromkeys(notes)), provenance=origin)


def _text(layer: bytes, path: Path) -> str:
    if not layer.startswith(b"PXR-USDC"):
        return layer.decode("utf-8", errors="replace")
    if importlib.util.find_spec("pxr") is None:
        raise MissingPackageError("usd-core", f"{path}: reading binary USD", "pip install usd-core")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "layer.usdc"
        copy.write_bytes(layer)
        try:
            command = [sys.executable, "-c", _TO_TEXT, str(copy)]
            done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise AssetError(f"{path}: OpenUSD did not read it within {_SECONDS} s.") from error
    if done.returncode:
        raise AssetError(f"{path}: OpenUSD cannot read it; it is broken or cut off.")
    return done.stdout.decode("utf-8", errors="replace")


def _parts(root: Prim, folder: str, files: dict[str, bytes], path: Path, notes: list[str]) -> list[_Part]:
    prims = dict(root.walk())
    unit = numbers(root.metadata.get("metersPerUnit", 0.01), 1, path, "metersPerUnit")[0, 0]
    world = np.diag([unit] * 3 + [1.0]) @ (Z_UP if root.metadata.get("upAxis") == "Z" else np.eye(4))
    transforms = {"": world}
    parts: list[_Part] = []
    total = 0
    for where, prim in prims.items():
        above = where.rpartition("/")[0]
        transforms[where] = transforms[above] @ local_transform(prim, path)
        for key in ("references", "payload", "variants", "instanceable"):
            if key in prim.metadata:
                notes.append(f"{key} were left out")
        if prim.type == "Mesh":
            binding = prim.values.get("material:binding")
            target = prims.get(str(binding.source)) if binding is not None and binding.source else None
            look = look_of(target, str(binding.source) if binding else "", prims, folder, files, path)
            part = _part(prim, transforms[where], look, path)
            total += len(part.positions) + len(part.triangles)
            if total > MAX_ELEMENTS:
                raise AssetError(f"{path}: shows more than {MAX_ELEMENTS} vertices and triangles.")
            parts.append(part)
        elif prim.type in ("Cube", "Sphere", "Cylinder", "Cone", "Capsule", "Points", "BasisCurves"):
            notes.append(f"{prim.type} prims were left out")
    return parts


def _part(prim: Prim, transform: np.ndarray, look: Look, path: Path) -> _Part:
    """A mesh prim; its vertices are kept as they stand where no attribute differs between the faces of one."""
    points = numbers(_value(prim, "points"), 3, path, "points")
    lengths = numbers(_value(prim, "faceVertexCounts"), 1, path, "faceVertexCounts")[:, 0].astype(np.int64)
    corners = numbers(_value(prim, "faceVertexIndices"), 1, path, "faceVertexIndices")[:, 0].astype(np.int64)
    name = shown(prim.name, 60)
    if (lengths < 0).any() or lengths.sum() != len(corners):
        raise AssetError(f"{path}: mesh '{name}' has faces of {lengths.sum()} corners and {len(corners)}.")
    if len(corners) and not 0 <= corners.min() <= corners.max() < len(points):
        raise AssetError(f"{path}: mesh '{name}' names vertex {corners.max()} of {len(points)}.")
    keys = {
        "normals": ("normals", 3),
        "uv": (f"primvars:{look.uv_name}", 2),
        "colors": ("primvars:displayColor", 3),
    }
    found = {
        k: variable(prim, key, width, corners, lengths, len(points), path) for k, (key, width) in keys.items()
    }
    owner, index, values = _vertices(corners, len(points), {k: v for k, v in found.items() if v is not None})
    triangles = fan(lengths, index)
    linear = transform[:3, :3]
    if (np.linalg.det(linear) < 0) != (_value(prim, "orientation") == "leftHanded"):
        triangles = triangles[:, ::-1]
    normals, uv, colors = (values.get(k) for k in keys)
    if normals is not None and np.linalg.det(linear) != 0:
        normals = normals @ np.linalg.inv(linear)
        length = np.linalg.norm(normals, axis=1, keepdims=True)
        normals = normals / np.where(length > 0, length, 1.0)
    uv = None if uv is None else uv * [1, -1] + [0, 1]
    painted = None if colors is None else linear_to_srgb(colors.clip(0.0, 1.0))
    return _Part(points[owner] @ linear.T + transform[:3, 3], triangles, normals, uv, painted, look)


def _vertices(
    corners: np.ndarray, count: int, found: dict[str, Variable]
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """(n,) the point of each vertex, (C,) the vertex of each corner, and the variables' values at the vertices.

    A point becomes several vertices where its corners differ in a variable.
    """
    values = {}
    if all(v.of_vertex is not None for v in found.values()):
        for name, v in found.items():
            values[name] = v.rows[v.of_vertex]
        return np.arange(count), corners, values
    labels = [
        np.unique(v.rows, axis=0, return_inverse=True)[1].reshape(-1)[v.of_corner] for v in found.values()
    ]
    keys = np.column_stack([corners, *labels])
    picks, first, index = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    for name, v in found.items():
        values[name] = v.rows[v.of_corner[first]]
    return picks[:, 0], index.reshape(-1), values


def _value(prim: Prim, name: str) -> object:
    held = prim.values.get(name)
    return None if held is None else held.value


def _merge(parts: list[_Part], name: str, notes: list[str]) -> Mesh:
    """One mesh of all parts; texture and material are kept where every part has the same."""
    looks = {part.look.key for part in parts}
    uv = texture = material = None
    if len(looks) == 1 and all(part.uv is not None for part in parts):
        uv = np.concatenate([part.uv for part in parts if part.uv is not None])
        texture = parts[0].look.texture
    if len(looks) == 1:
        material = parts[0].look.material(uv is not None)
    elif any(not part.look.glows for part in parts):
        notes.append("the parts have several materials: their colours were kept at the vertices alone")
    painted = [_painted(part) for part in parts]
    colors = None
    if any(c is not None for c in painted):
        rows = zip(painted, parts, strict=True)
        colors = np.concatenate([np.ones_like(p.positions) if c is None else c for c, p in rows])
    starts = np.cumsum([0] + [len(part.positions) for part in parts])
    complete = [part.normals for part in parts if part.normals is not None]
    return Mesh(
        vertices=as_tensor(np.concatenate([part.positions for part in parts])),
        faces=as_tensor(
            np.concatenate([p.triangles + s for p, s in zip(parts, starts, strict=False)]), torch.int64
        ),
        colors=None if colors is None else as_tensor(colors),
        normals=as_tensor(np.concatenate(complete)) if len(complete) == len(parts) else None,
        uv=None if uv is None else as_tensor(uv),
        texture=texture,
        name=name,
        material=material,
    )


def _painted(part: _Part) -> np.ndarray | None:
    """(n, 3) sRGB colours at the vertices: the texture there, else the mesh's own, else the material's one colour."""
    if part.look.texture is not None and part.uv is not None:
        return sample_texture(as_numpy(part.look.texture).transpose(1, 2, 0), part.uv.astype(np.float32))
    if part.colors is not None or part.look.color is None:
        return part.colors
    return np.broadcast_to(linear_to_srgb(np.array(part.look.color)), part.positions.shape)
