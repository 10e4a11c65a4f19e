"""The formats by name, and the three things done with them: read, write, describe."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..core.assets import Asset, Mesh, Picture, PointCloud, Scene, Splats
from ..core.errors import AssetError
from .check import check_asset
from .files import read_bytes, refuse_existing, write_atomic
from .gltf_read import decode_gltf
from .gltf_write import encode_glb
from .image_bytes import decode_image, encode_jpeg, encode_png
from .obj_read import decode_obj
from .obj_write import encode_obj
from .ply import decode_ply, encode_ply
from .splats import encode_splats

KINDS: dict[str, str] = {
    "glb": ".glb",
    "obj": ".obj",
    "ply": ".ply",
    "3dgs": ".3dgs.ply",
    "png": ".png",
    "jpg": ".jpg",
}
"""Kind -> the suffix of its files. glb and obj hold meshes, ply meshes and point clouds, 3dgs splats, png and jpg
pictures."""

_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
"""How PNG and JPEG files begin."""

_HOLDS: dict[str, tuple[type, ...]] = {
    "glb": (Mesh,),
    "obj": (Mesh,),
    "ply": (Mesh, PointCloud),
    "3dgs": (Splats,),
    "png": (Picture,),
    "jpg": (Picture,),
}


def read(path: str | Path) -> Scene:
    """What a GLB, glTF, OBJ, PLY, PNG or JPEG file holds (recognised by its content), checked.

    Raises:
        AssetError: the file is missing, cut off, malformed, of another format, or holds numbers that no
            renderer can use; one paragraph that names the file and the reason.
    """
    path = Path(path)
    data = read_bytes(path)
    head = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    if data.startswith(b"glTF") or head.startswith(b"{"):
        decode = decode_gltf
    elif data.startswith(b"ply"):
        decode = decode_ply
    elif data.startswith(_PICTURES):
        decode = _decode_picture
    elif path.suffix.lower() == ".obj":
        decode = decode_obj
    else:
        raise AssetError(
            f"{path}: is not a 3D file or picture that sds3d reads: its first bytes are {data[:8]!r}. It reads GLB, glTF, "
            "OBJ (name ending in .obj), PLY meshes, points and splats, PNG and JPEG."
        )
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is named by check_asset
        scene = decode(data, path)
    for asset in (scene.mesh, scene.splats, scene.points, scene.picture):
        if asset is not None:
            check_asset(asset, path)
    return scene


def write(asset: Asset, path: str | Path, kind: str | None = None, overwrite: bool = False) -> list[Path]:
    """Write an asset in one step: a reader never sees half a file.

    Args:
        kind: one of KINDS; None takes it from the file name ("x.3dgs.ply" is 3dgs).
        overwrite: replace a file that exists; otherwise it is left alone and AssetError says so.

    Returns:
        The files written, the main one last (an OBJ with a texture has three).

    Raises:
        AssetError: unknown kind, an asset that the kind cannot hold or that is broken, an existing file, or a
            disk that refuses.
    """
    path = Path(path)
    kind = kind or kind_of(path)
    if kind not in KINDS:
        raise AssetError(f"{path}: unknown format '{kind}'; sds3d writes {', '.join(KINDS)}.")
    if not isinstance(asset, _HOLDS[kind]):
        fits = [name for name, types in _HOLDS.items() if isinstance(asset, types)]
        raise AssetError(
            f"{path}: {kind} cannot hold {type(asset).__name__}; write it as {' or '.join(fits) or 'nothing'}."
        )
    check_asset(asset, path)
    files = _encode(asset, path, kind)
    refuse_existing(list(files), overwrite)
    for file, data in files.items():
        write_atomic(file, data, overwrite)
    return list(files)


def kind_of(path: str | Path) -> str:
    """The kind that a file name asks for.

    Raises:
        AssetError: the name ends in none of KINDS' suffixes.
    """
    name = Path(path).name.lower()
    for kind in sorted(KINDS, key=lambda k: -len(KINDS[k])):
        if name.endswith(KINDS[kind]):
            return kind
    raise AssetError(
        f"{path}: the name ends in none of {', '.join(KINDS.values())}; add one or name the format."
    )


def _decode_picture(data: bytes, path: Path) -> Scene:
    return Scene(picture=Picture(decode_image(data, path.name, path), path.stem))


def _encode(asset: Asset, path: Path, kind: str) -> dict[Path, bytes]:
    if isinstance(asset, Picture):
        return {path: encode_png(asset.pixels) if kind == "png" else encode_jpeg(asset.pixels)}
    if isinstance(asset, Splats):
        return {path: encode_splats(asset)}
    if isinstance(asset, Mesh) and kind == "glb":
        return {path: encode_glb(asset)}
    if isinstance(asset, Mesh) and kind == "obj":
        return encode_obj(asset, path)
    return {path: encode_ply(asset)}
