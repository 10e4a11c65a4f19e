"""The formats by name, and the three things done with them: read, write, describe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..core.assets import Asset, Mesh, Picture, PointCloud, Scene, Sound, Splats
from ..core.errors import AssetError
from .check import check_asset
from .files import read_bytes, refuse_existing, write_atomic
from .gltf_read import decode_gltf
from .gltf_write import encode_glb
from .image_bytes import decode_image, encode_jpeg, encode_png, png_provenance
from .obj_read import decode_obj
from .obj_write import encode_obj
from .ply import decode_ply, encode_ply
from .ply_compressed import encode_compressed
from .provenance import NOTHING, Provenance, check_provenance
from .sounds import decode_flac, decode_wav, encode_flac, encode_wav
from .splat import decode_splat, encode_splat
from .splats import encode_splats
from .spz import decode_spz, encode_spz
from .stl import decode_stl, encode_stl
from .usd_read import decode_usd
from .usd_write import encode_usdz

KINDS: dict[str, str] = {
    "glb": ".glb",
    "obj": ".obj",
    "usdz": ".usdz",
    "stl": ".stl",
    "ply": ".ply",
    "3dgs": ".3dgs.ply",
    "compressed": ".compressed.ply",
    "splat": ".splat",
    "spz": ".spz",
    "png": ".png",
    "jpg": ".jpg",
    "wav": ".wav",
    "flac": ".flac",
}
"""Kind -> the suffix of its files. glb, obj, usdz and stl hold meshes, ply meshes and point clouds, 3dgs, compressed,
splat and spz splats, png and jpg pictures, wav and flac sounds."""

_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
"""How PNG and JPEG files begin."""

_HOLDS: dict[type, tuple[str, ...]] = {
    Mesh: ("glb", "obj", "usdz", "stl", "ply"),
    PointCloud: ("ply",),
    Splats: ("3dgs", "compressed", "splat", "spz"),
    Picture: ("png", "jpg"),
    Sound: ("wav", "flac"),
}


def read(path: str | Path) -> Scene:
    """What a 3D file, picture or sound holds, checked.

    GLB, glTF, PLY, USD, SPZ, PNG, JPEG, WAV and FLAC are recognised by their content, OBJ, STL and .splat by name.

    Raises:
        AssetError: the file is missing, cut off, malformed, of another format, or holds numbers that no
            renderer can use; one paragraph that names the file and the reason.
    """
    path = Path(path)
    data = read_bytes(path)
    decode = _decoder(data, path)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is named by check_asset
        scene = decode(data, path)
    for asset in (scene.mesh, scene.splats, scene.points, scene.picture, scene.sound):
        if asset is not None:
            check_asset(asset, path)
    return scene


def _decoder(data: bytes, path: Path) -> Callable[[bytes, Path], Scene]:
    head, suffix = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n"), path.suffix.lower()
    if data.startswith(b"glTF") or head.startswith(b"{"):
        return decode_gltf
    if data.startswith(b"ply"):
        return decode_ply
    if data.startswith(_PICTURES):
        return _decode_picture
    if data.startswith((b"RIFF", b"fLaC")):
        return decode_wav if data.startswith(b"RIFF") else decode_flac
    if data.startswith((b"PK\3\4", b"#usda", b"PXR-USDC")):
        return decode_usd
    if data.startswith(b"\x1f\x8b") or suffix == ".spz":
        return lambda data, path: Scene(splats=decode_spz(data, path))
    if suffix == ".splat":
        return lambda data, path: Scene(splats=decode_splat(data, path))
    named = {".obj": decode_obj, ".stl": decode_stl}
    if suffix in named:
        return named[suffix]
    raise AssetError(
        f"{path}: is not a 3D file, picture or sound that sds3d reads: its first bytes are {data[:8]!r}. It reads "
        "GLB, glTF, USDZ, PLY, SPZ, PNG, JPEG, WAV and FLAC, and files named .obj, .stl or .splat."
    )


def write(
    asset: Asset,
    path: str | Path,
    kind: str | None = None,
    overwrite: bool = False,
    provenance: Provenance = NOTHING,
) -> list[Path]:
    """Write an asset in one step: a reader never sees half a file.

    Args:
        kind: one of KINDS; None takes it from the file name ("x.3dgs.ply" is 3dgs).
        overwrite: replace a file that exists; otherwise it is left alone and AssetError says so.
        provenance: kept inside glb, obj, usdz, the three PLY and png; stl, splat, spz and jpg have no place for it.

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
    fits = kinds_for(asset)
    if kind not in fits:
        raise AssetError(
            f"{path}: {kind} cannot hold {type(asset).__name__}; write it as {' or '.join(fits) or 'nothing'}."
        )
    check_asset(asset, path)
    check_provenance(provenance)
    files = _encode(asset, path, kind, provenance)
    refuse_existing(list(files), overwrite)
    for file, data in files.items():
        write_atomic(file, data, overwrite)
    return list(files)


def kinds_for(asset: Asset) -> tuple[str, ...]:
    """The kinds that can hold an asset, the usual one first."""
    return _HOLDS.get(type(asset), ())


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
    picture = Picture(decode_image(data, path.name, path), path.stem)
    return Scene(picture=picture, provenance=png_provenance(data))


def _encode(asset: Asset, path: Path, kind: str, provenance: Provenance) -> dict[Path, bytes]:
    if isinstance(asset, Sound):
        return {path: encode_wav(asset) if kind == "wav" else encode_flac(asset)}
    if isinstance(asset, Picture):
        return {path: encode_png(asset.pixels, provenance) if kind == "png" else encode_jpeg(asset.pixels)}
    if isinstance(asset, Splats):
        plain: dict[str, Callable[[Splats], bytes]] = {"splat": encode_splat, "spz": encode_spz}
        if kind in plain:
            return {path: plain[kind](asset)}
        encode = encode_compressed if kind == "compressed" else encode_splats
        return {path: encode(asset, provenance)}
    if isinstance(asset, Mesh) and kind == "obj":
        return encode_obj(asset, path, provenance)
    if isinstance(asset, Mesh) and kind == "stl":
        return {path: encode_stl(asset)}
    if isinstance(asset, Mesh) and kind != "ply":
        return {
            path: encode_glb(asset, None, provenance) if kind == "glb" else encode_usdz(asset, provenance)
        }
    return {path: encode_ply(asset, provenance)}
