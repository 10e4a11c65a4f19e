"""Wavefront OBJ reader: polygons, vertex colours, materials' colours and one texture."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch import Tensor

from ..core.assets import Mesh, PointCloud, Scene
from ..core.errors import AssetError
from .check import as_numpy, as_tensor
from .files import read_bytes, shown, sibling
from .image_bytes import MAX_PIXELS, decode_image
from .mtl import MtlMaterial, material_of, parse_mtl
from .polygons import fan
from .provenance import from_comments
from .sample import sample_texture


@dataclass
class _Lines:
    """The statements of an OBJ file, as found."""

    v: list[list[float]] = field(default_factory=list)
    vt: list[list[float]] = field(default_factory=list)
    vn: list[list[float]] = field(default_factory=list)
    corners: list[tuple[int, int, int]] = field(default_factory=list)  # vertex, uv, normal; -1 = none
    lengths: list[int] = field(default_factory=list)
    materials: list[int] = field(default_factory=list)  # a polygon's entry of `names`, -1 = none
    names: dict[str, int] = field(default_factory=dict)  # material -> its number
    libraries: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)


MAX_TEXT = 1 << 29
"""Longer text is refused: as Python numbers it would take twenty times the memory."""


def decode_obj(data: bytes, path: Path) -> Scene:
    """The mesh of an OBJ file, or its points where it has no faces.

    Vertices are kept as they stand where no corner asks for a second uv, normal or material; otherwise they are
    split. `v x y z r g b` are sRGB colours; without them the materials' Kd or map_Kd colour the vertices.

    Raises:
        AssetError: a line cannot be understood, a face refers to a vertex that is not there, or a material or
            picture lies outside the folder.
    """
    if len(data) > MAX_TEXT:
        raise AssetError(f"{path}: {len(data)} bytes of text are too many; store it as GLB or binary PLY.")
    lines = _parse(data, path)
    if not lines.v:
        raise AssetError(f"{path}: holds no vertices ('v x y z' lines), so there is nothing to read.")
    width = len(lines.v[0])
    if any(len(row) != width for row in lines.v):
        raise AssetError(
            f"{path}: some vertices have {width} numbers and some others; colours must be on all or none."
        )
    rows = np.array(lines.v, dtype=np.float64)
    colors = rows[:, 3:6] if width == 6 else None
    if not lines.corners:
        cloud = PointCloud(as_tensor(rows[:, :3]), _tensor(colors), name=path.stem)
        return Scene(points=cloud, provenance=from_comments(lines.comments))
    materials, notes = _materials(lines, path)
    corners = np.array(lines.corners, dtype=np.int64)
    _check_corners(corners, lines, path)
    owner = np.repeat(np.array(lines.materials, dtype=np.int64), lines.lengths)
    used = {materials[i] if i >= 0 else MtlMaterial() for i in set(lines.materials)} if materials else set()
    if colors is not None or len(used) <= 1:
        owner = np.full_like(owner, owner[0])
    counts = len(lines.v), len(lines.vt), len(lines.vn)
    picks, index = _vertices(np.column_stack([corners, owner]), counts)
    uv = _gather(lines.vt, picks[:, 1])
    if uv is not None:
        uv = uv[:, :2] * [1, -1] + [0, 1]
    album = _Album(path)
    colors, texture = _paint(colors, picks, uv, materials, album)
    material = material_of(used.pop(), album.load, uv is not None) if len(used) == 1 else None
    mesh = Mesh(
        as_tensor(rows[picks[:, 0], :3]),
        as_tensor(fan(np.array(lines.lengths), index)).long(),
        colors=_tensor(colors),
        normals=_tensor(_gather(lines.vn, picks[:, 2])),
        uv=_tensor(uv),
        texture=texture,
        name=path.stem,
        material=material,
    )
    return Scene(mesh=mesh, notes=tuple(notes), provenance=from_comments(lines.comments))


def _parse(data: bytes, path: Path) -> _Lines:
    out = _Lines()
    material = -1
    text = data.decode("utf-8", errors="replace").replace("\\\r\n", " ").replace("\\\n", " ")
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split("#", 1)[0].split()
        if not words:
            if line.startswith("# sds3d."):
                out.comments.append(line[2:])
            continue
        keyword, values = words[0], words[1:]
        try:
            if keyword == "v":
                out.v.append(_position([float(x) for x in values]))
            elif keyword == "vt":
                u, v = (*values, "0")[:2] if values else ()
                out.vt.append([float(u), float(v)])
            elif keyword == "vn":
                x, y, z = values
                out.vn.append([float(x), float(y), float(z)])
            elif keyword == "f":
                out.corners += [_corner(word, out) for word in values]
                out.lengths.append(len(values))
                out.materials.append(material)
            elif keyword == "usemtl":
                material = out.names.setdefault(" ".join(values), len(out.names))
            elif keyword == "mtllib":
                out.libraries.append(line.split(None, 1)[1].strip())
        except (ValueError, IndexError) as error:
            raise AssetError(
                f"{path}: line {number} '{shown(line, 80)}' cannot be understood: {shown(error)}."
            ) from error
    return out


def _position(values: list[float]) -> list[float]:
    if len(values) not in (3, 4, 6, 7):
        raise ValueError(f"a vertex has 3 numbers, or 6 with a colour, not {len(values)}")
    return values[:3] + values[-3:] if len(values) > 4 else values[:3]


def _corner(word: str, lines: _Lines) -> tuple[int, int, int]:
    """Indices from 0 of `v`, `v/vt`, `v//vn` or `v/vt/vn`; negative ones count back from the newest."""
    out = [-1, -1, -1]
    for slot, (text, seen) in enumerate(zip(word.split("/"), (lines.v, lines.vt, lines.vn), strict=False)):
        if text:
            value = int(text)
            out[slot] = value - 1 if value > 0 else len(seen) + value
            if value == 0 or not 0 <= out[slot] < 1 << 40:
                raise ValueError(f"index {text[:20]} names nothing (OBJ counts from 1)")
        elif slot == 0:
            raise ValueError("a corner has no vertex")
    return out[0], out[1], out[2]


def _check_corners(corners: np.ndarray, lines: _Lines, path: Path) -> None:
    for slot, (name, have) in enumerate((("vertex", lines.v), ("uv", lines.vt), ("normal", lines.vn))):
        worst = int(corners[:, slot].max())
        if worst >= len(have):
            raise AssetError(f"{path}: a face refers to {name} {worst + 1}, but the file has {len(have)}.")


def _vertices(keys: np.ndarray, counts: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Distinct rows of keys (C, 4: vertex, uv, normal, material) and each corner's row; counts of v, vt, vn.

    Where every vertex is asked for with one uv, normal and material, the file's own numbering is kept, unused
    vertices included.
    """
    picks, index = np.unique(keys, axis=0, return_inverse=True)
    index = index.reshape(-1)
    if len(np.unique(picks[:, 0])) < len(picks):
        return picks, index
    # An unused vertex takes the uv and normal of its own number, as writers put them.
    table = np.repeat(picks[:1], counts[0], axis=0)
    table[:, 0] = np.arange(counts[0])
    for slot in (1, 2):
        if picks[0, slot] >= 0:
            table[:, slot] = np.minimum(table[:, 0], counts[slot] - 1)
    table[picks[:, 0]] = picks
    return table, keys[:, 0]


def _gather(rows: list[list[float]], picks: np.ndarray) -> np.ndarray | None:
    """The rows that vertices name; None where some vertex names none."""
    if not rows or (picks < 0).any():
        return None
    return np.array(rows, dtype=np.float64)[picks]


def _paint(
    colors: np.ndarray | None,
    picks: np.ndarray,
    uv: np.ndarray | None,
    materials: list[MtlMaterial],
    album: _Album,
) -> tuple[np.ndarray | None, Tensor | None]:
    """Vertex colours, and the texture where one alone covers the mesh."""
    if colors is not None:
        return colors[picks[:, 0]], None
    used = sorted({int(i) for i in picks[:, 3]})
    if not materials or used == [-1]:
        return None, None
    out = np.ones((len(picks), 3))
    pictures: dict[str, Tensor] = {}
    for index in used:
        material = materials[index] if index >= 0 else MtlMaterial()
        rows = picks[:, 3] == index
        out[rows] = material.color
        if material.picture is not None and uv is not None:
            pictures[material.picture] = album.load(material.picture)
            texels = as_numpy(pictures[material.picture]).transpose(1, 2, 0)
            out[rows] = sample_texture(texels, uv[rows].astype(np.float32))
    whole = len(pictures) == 1 and all(i >= 0 and materials[i].picture in pictures for i in used)
    return out, next(iter(pictures.values())) if whole else None


class _Album:
    """Pictures beside an OBJ file, each read once; together at most MAX_PIXELS."""

    def __init__(self, path: Path):
        self.path, self.pictures = path, dict[str, Tensor]()

    def load(self, name: str) -> Tensor:
        """(3, H, W) sRGB of a picture that a material names."""
        if name not in self.pictures:
            file = sibling(self.path, name)
            left = MAX_PIXELS - sum(p.shape[1] * p.shape[2] for p in self.pictures.values())
            self.pictures[name] = decode_image(read_bytes(file), file.name, self.path, left)
        return self.pictures[name]


def _materials(lines: _Lines, path: Path) -> tuple[list[MtlMaterial], list[str]]:
    """One material for each of `lines.names`, from the MTL files beside the OBJ; and notes on missing ones."""
    found: dict[str, MtlMaterial] = {}
    notes = []
    for library in dict.fromkeys(lines.libraries):
        file = sibling(path, library, must_exist=False)
        if file.exists():
            found |= parse_mtl(read_bytes(file), file, path)
        else:
            notes.append(f"the material file '{shown(library)}' is missing")
    notes += [
        f"the material '{shown(name)}' is nowhere defined"
        for name in lines.names
        if found and name not in found
    ]
    return ([found.get(name, MtlMaterial()) for name in lines.names] if found else []), notes


def _tensor(values: np.ndarray | None) -> Tensor | None:
    return None if values is None else as_tensor(values)
