"""Files that are edited: read with every byte kept, and written again with nothing changed but what was edited."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..core.errors import AssetError
from .files import read_bytes
from .ply_format import parse_header

COLOUR_NAMES = (("red", "green", "blue"), ("r", "g", "b"), ("diffuse_red", "diffuse_green", "diffuse_blue"))
"""How PLY files call their colours."""

USD = (b"PK\3\4", b"#usda", b"PXR-USDC")
"""How USD files begin."""


@dataclass(frozen=True)
class Sort:
    """What a file shows, "splats" or "mesh", and the kind of file, of assetio.kinds, that its edit is written as."""

    form: Literal["splats", "mesh"]
    kind: str


@dataclass(frozen=True)
class Source:
    """A file to edit, as it lies on the disk.

    Args:
        path: where it lies; nothing is ever written there. data: its bytes. sha256: of these bytes, hexadecimal.
    """

    path: Path
    data: bytes
    sha256: str


def source_of(path: str | Path, sha256: str | None = None) -> Source:
    """The bytes of a file.

    Args:
        sha256: what they have to be, where that is known.

    Raises:
        AssetError: it is missing, too large, or was changed since the edit began.
    """
    path = Path(path)
    data = read_bytes(path)
    found = hashlib.sha256(data).hexdigest()
    if sha256 is not None and found != sha256:
        raise AssetError(
            f"{path}: is not the file that this edit began with (its SHA-256 begins {found[:12]}, then it began "
            f"{sha256[:12]}). Put the old file back, or begin a new edit."
        )
    return Source(path, data, found)


def sort_of(source: Source) -> Sort:
    """What a file is, by its first bytes and its name; whether the rest is sound shows when it is opened.

    Raises:
        AssetError: it is nothing that can be edited; the text says what can.
    """
    data, suffix = source.data, source.path.suffix.lower()
    head = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    if data.startswith(b"ply"):
        found = _sort_of_ply(source)
        if found is not None:
            return found
    elif data.startswith(b"\x1f\x8b") or suffix == ".spz":
        return Sort("splats", "3dgs")
    elif suffix == ".splat":
        return Sort("splats", "splat")
    elif data.startswith((b"glTF", *USD)) or head.startswith(b"{") or suffix in (".obj", ".stl"):
        return Sort("mesh", "glb")
    raise AssetError(
        f"{source.path}: holds nothing to edit. sds3d edits meshes (GLB, glTF, OBJ, PLY, STL, USDZ) and splats (PLY of "
        "the 3D Gaussian splatting release, .splat, .spz)."
    )


def _sort_of_ply(source: Source) -> Sort | None:
    order, elements, _ = parse_header(source.data, source.path)
    vertex = next((e for e in elements if e.name == "vertex"), None)
    names = {p.name for p in vertex.properties} if vertex else set()
    if names & {"f_dc_0", "packed_position"}:
        return Sort("splats", "3dgs")
    if vertex is None or not any(e.name == "face" and e.count for e in elements):
        return None
    fixed = order and elements[0] is vertex and not any(p.length_type for p in vertex.properties)
    colored = any(set(one) <= names for one in COLOUR_NAMES)
    return Sort("mesh", "ply" if fixed and colored else "glb")
