"""Materials of USD: a UsdPreviewSurface and the textures that feed it."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..core.assets import Material
from ..core.errors import AssetError
from .files import read_bytes, shown, sibling
from .image_bytes import MAX_PIXELS, decode_image
from .usd_geometry import numbers
from .usda import Prim

_INPUTS = ("diffuseColor", "emissiveColor", "metallic", "roughness", "normal")


@dataclass(frozen=True)
class Look:
    """What a mesh is made of.

    Args:
        key: where the material stands; equal keys are equal looks. glows: its colour is emitted, not lit.
        texture: (3, H, W) sRGB or None. color: linear RGB where there is neither texture nor vertex colour.
        metallic, roughness: numbers. planes: pictures of "metallic", "roughness" (H, W) and "normal" (3, H, W).
        uv_name: the primitive variable that places the pictures.
    """

    key: str = ""
    glows: bool = True
    texture: Tensor | None = None
    color: tuple[float, float, float] | None = None
    metallic: float = 0.0
    roughness: float = 0.5
    planes: tuple[tuple[str, Tensor], ...] = ()
    uv_name: str = "st"

    def material(self, placed: bool) -> Material | None:
        """The PBR material; None of what glows. Pictures need uv (`placed`)."""
        if self.glows:
            return None
        planes = dict(self.planes) if placed else {}
        both = None
        if "metallic" in planes or "roughness" in planes:
            pair = (
                planes.get("metallic", torch.tensor(self.metallic)),
                planes.get("roughness", torch.tensor(self.roughness)),
            )
            if pair[0].ndim == pair[1].ndim == 2 and pair[0].shape != pair[1].shape:
                raise AssetError(f"{self.key}: its metallic and roughness pictures differ in size.")
            both = torch.stack(torch.broadcast_tensors(*pair))
        return Material(self.metallic, self.roughness, both, planes.get("normal"))


def look_of(
    material: Prim | None, key: str, prims: dict[str, Prim], folder: str, files: dict[str, bytes], path: Path
) -> Look:
    """The look of a bound material prim; a plain one where it is None or has no preview surface.

    Args:
        key: the material's path. prims: every prim by path. folder: of the layer in the package. files: of the
            package; a layer that stands alone looks beside itself.

    Raises:
        AssetError: a picture is missing or broken, or a number is none.
    """
    surface = _fed(material, "outputs:surface", prims)
    if surface is None or _identity(surface) != "UsdPreviewSurface":
        return Look(uv_name="st")
    shaders = {name: _fed(surface, f"inputs:{name}", prims) for name in _INPUTS}
    glows = "inputs:emissiveColor" in surface.values and (
        shaders["emissiveColor"] is not None and shaders["diffuseColor"] is None
    )
    base = shaders["emissiveColor" if glows else "diffuseColor"]
    pictures = {
        name: _picture(shader, folder, files, path)
        for name, shader in (("base", base), *((n, shaders[n]) for n in ("metallic", "roughness", "normal")))
        if shader is not None and _identity(shader) == "UsdUVTexture"
    }
    placing = next(
        (_fed(s, "inputs:st", prims) for s in shaders.values() if s and _identity(s) == "UsdUVTexture"), None
    )
    name = placing.values["inputs:varname"].value if placing and "inputs:varname" in placing.values else "st"
    color = numbers(_plain(surface, "diffuseColor", (0.18, 0.18, 0.18)), 3, path, "diffuseColor")
    return Look(
        key=key,
        glows=glows,
        texture=pictures.get("base"),
        color=None if base is not None or glows or not len(color) else tuple(color[0].clip(0.0, 1.0)),
        metallic=_number(surface, "metallic", 0.0, path),
        roughness=_number(surface, "roughness", 0.5, path),
        planes=tuple((n, p if n == "normal" else p[0]) for n, p in pictures.items() if n != "base"),
        uv_name=str(name),
    )


def _fed(prim: Prim | None, name: str, prims: dict[str, Prim]) -> Prim | None:
    """The prim whose output feeds an attribute."""
    held = prim.values.get(name) if prim is not None else None
    return prims.get(held.source.partition(".")[0]) if held is not None and held.source else None


def _identity(shader: Prim) -> str:
    held = shader.values.get("info:id")
    return "" if held is None else str(held.value)


def _plain(surface: Prim, name: str, default: object) -> object:
    held = surface.values.get(f"inputs:{name}")
    return default if held is None or held.value is None else held.value


def _number(surface: Prim, name: str, default: float, path: Path) -> float:
    rows = numbers(_plain(surface, name, default), 1, path, name)
    return float(rows[0, 0].clip(0.0, 1.0)) if len(rows) else default


def _picture(shader: Prim, folder: str, files: dict[str, bytes], path: Path) -> Tensor:
    held = shader.values.get("inputs:file")
    name = str(held.value) if held is not None else ""
    inside = posixpath.normpath(posixpath.join(folder, name))
    if inside in files:
        data = files[inside]
    elif len(files) == 1:
        data = read_bytes(sibling(path, name))
    else:
        raise AssetError(f"{path}: its picture '{shown(name, 100)}' is not in the package.")
    return decode_image(data, name[:100], path, MAX_PIXELS // 4)
