"""MTL material files: diffuse colour and texture, and the metallic-roughness extension that Blender reads and writes
(Pm, Pr, map_Pm, map_Pr, norm)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ..core.assets import Material, Mesh
from ..core.errors import AssetError
from .files import shown
from .image_bytes import encode_png

_PICTURES = {
    "map_Kd": "picture",
    "map_Pm": "metallic_picture",
    "map_Pr": "roughness_picture",
    "norm": "normal_picture",
}


@dataclass(frozen=True)
class MtlMaterial:
    """Kd in [0, 1], shown as sRGB; Pm and Pr in [0, 1] or None; files of map_Kd, map_Pm, map_Pr and norm or None."""

    color: tuple[float, float, float] = (1.0, 1.0, 1.0)
    metallic: float | None = None
    roughness: float | None = None
    picture: str | None = None
    metallic_picture: str | None = None
    roughness_picture: str | None = None
    normal_picture: str | None = None


def encode_mtl(mesh: Mesh, path: Path) -> dict[Path, bytes]:
    """The files of a textured mesh's material at `path` (x.mtl), which is the last: x.png and those of the PBR maps.

    Empty where the mesh has neither texture nor material.
    """
    look = mesh.material
    if look is None and (mesh.texture is None or mesh.uv is None):
        return {}
    lines = ["newmtl material", "Ka 0 0 0", "Kd 1 1 1", "Ks 0 0 0", f"illum {0 if look is None else 2}"]
    pictures: dict[str, Tensor] = {}
    if mesh.texture is not None:
        pictures["map_Kd"] = mesh.texture
    if look is not None:
        lines += [f"Pm {look.metallic:.9g}", f"Pr {look.roughness:.9g}"]
        if look.metallic_roughness is not None:
            pictures["map_Pm"], pictures["map_Pr"] = (
                plane.expand(3, *plane.shape) for plane in look.metallic_roughness
            )
        if look.normal is not None:
            pictures["norm"] = look.normal
    files: dict[Path, bytes] = {}
    for keyword, picture in pictures.items():
        word = {"map_Kd": "", "map_Pm": "_metallic", "map_Pr": "_roughness", "norm": "_normal"}[keyword]
        file = path.with_name(f"{path.stem}{word}.png")
        files[file] = encode_png(picture)
        lines.append(f"{keyword} {file.name}")
    files[path] = ("\n".join(["# sds3d", *lines]) + "\n").encode()
    return files


def parse_mtl(data: bytes, file: Path, path: Path) -> dict[str, MtlMaterial]:
    """The materials of a file by name.

    Args:
        file: the MTL file, path: the OBJ that names it; both for error texts.

    Raises:
        AssetError: a number is none.
    """
    out: dict[str, MtlMaterial] = {}
    name = None
    for line in data.decode("utf-8", errors="replace").splitlines():
        words = line.split("#", 1)[0].split()
        if len(words) < 2:
            continue
        keyword = words[0]
        try:
            if keyword == "newmtl":
                name = " ".join(words[1:])
                out[name] = MtlMaterial()
            elif name is None:
                continue
            elif keyword == "Kd":
                red, green, blue = (_unit(x) for x in words[1:4])
                out[name] = replace(out[name], color=(red, green, blue))
            elif keyword in ("Pm", "Pr"):
                share = _unit(words[1])
                both = {"metallic": share} if keyword == "Pm" else {"roughness": share}
                out[name] = MtlMaterial(**{**vars(out[name]), **both})
            elif keyword in _PICTURES:
                # Options such as "-s 1 1 1" stand before the name; a name may hold spaces.
                rest = line.split(None, 1)[1].strip()
                target = words[-1] if rest.startswith("-") else rest
                out[name] = MtlMaterial(**{**vars(out[name]), _PICTURES[keyword]: target})
        except ValueError as error:
            raise AssetError(
                f"{path}: its material file {file.name} has the line '{shown(line, 80)}'."
            ) from error
    return out


def material_of(mtl: MtlMaterial, load: Callable[[str], Tensor], placed: bool) -> Material | None:
    """The PBR material; None where the MTL tells none.

    Args:
        load: file name to (3, H, W). placed: whether the mesh has uv; without, pictures are left out.
    """
    metallic, roughness = mtl.metallic or 0.0, 1.0 if mtl.roughness is None else mtl.roughness
    both = normal = None
    if placed and (mtl.metallic_picture or mtl.roughness_picture):
        planes = [
            load(name)[0] if name else torch.tensor(value)
            for name, value in ((mtl.metallic_picture, metallic), (mtl.roughness_picture, roughness))
        ]
        if planes[0].ndim == planes[1].ndim == 2 and planes[0].shape != planes[1].shape:
            raise AssetError("the metallic and the roughness picture of a material differ in size.")
        both = torch.stack(torch.broadcast_tensors(*planes))
    if placed and mtl.normal_picture:
        normal = load(mtl.normal_picture)
    if mtl.metallic is None and mtl.roughness is None and both is None and normal is None:
        return None
    return Material(metallic, roughness, both, normal)


def _unit(word: str) -> float:
    return min(max(float(word), 0.0), 1.0)
