"""glTF materials: what colours a primitive, and the metallic-roughness model behind it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ..core.assets import Material
from .check import as_numpy, as_tensor
from .color import linear_to_srgb, srgb_to_linear
from .gltf_container import Document
from .sample import sample_texture

_WRAPS = {10497: "repeat", 33071: "clamp", 33648: "mirror"}


@dataclass(frozen=True)
class Skin:
    """What a primitive is made of, comparable; image numbers of the document, each None where there is none.

    `base` is set only where one texture, times `factor` (linear RGB), is all that colours the primitive. `lit` is
    False for KHR_materials_unlit, and where there is no material.
    """

    base: int | None
    factor: tuple[float, float, float]
    lit: bool
    metallic: float
    roughness: float
    metallic_roughness: int | None
    normal: int | None
    normal_scale: float


@dataclass(frozen=True)
class Surface:
    """Vertex colours (n, 3) sRGB or None, texture coordinates (n, 2) or None, and the material."""

    colors: np.ndarray | None
    uv: np.ndarray | None
    skin: Skin


def attribute(
    document: Document, attributes: dict, name: str, width: int, count: int | None
) -> np.ndarray | None:
    """The first `width` columns of a vertex attribute; None where it is absent.

    Raises:
        AssetError: it is narrower, or not of `count` rows.
    """
    if name not in attributes:
        return None
    values = document.accessor(attributes[name])
    if values.shape[1] < width or (count is not None and len(values) != count):
        raise document.error(f"attribute {name} has the shape {values.shape}, which does not fit its mesh")
    return values[:, :width]


def surface_of(
    document: Document, primitive: dict, attributes: dict, count: int, notes: list[str]
) -> Surface:
    """What a primitive of `count` vertices looks like: base colour × COLOR_0 in linear light, as glTF defines."""
    material = document.item("materials", primitive["material"]) if "material" in primitive else {}
    model = document.take(material, "pbrMetallicRoughness", dict, {})
    factor = document.numbers(model, "baseColorFactor", [1.0, 1.0, 1.0, 1.0])[:3]
    painted = attribute(document, attributes, "COLOR_0", 3, count)
    if material.get("alphaMode", "OPAQUE") != "OPAQUE":
        notes.append("transparency was left out")
    linear = np.broadcast_to(factor, (count, 3))
    if painted is not None:
        linear = linear * painted
    references = {
        "base": document.take(model, "baseColorTexture", dict, {}),
        "metallic_roughness": document.take(model, "metallicRoughnessTexture", dict, {}),
        "normal": document.take(material, "normalTexture", dict, {}),
    }
    placed = {k: _placement(document, r) for k, r in references.items() if r}
    images = {k: _image(document, r) for k, r in references.items() if r}
    first = next(iter(placed), None)
    if first is None:
        uv = attribute(document, attributes, "TEXCOORD_0", 2, count)
    else:
        uv = _texture_uv(document, placed[first], attributes, count)
    for name in [k for k in placed if first is not None and placed[k] != placed[first]]:
        notes.append(f"a {name.replace('_', '-')} texture with coordinates of its own was left out")
        del images[name]
    skin = Skin(
        base=images.get("base") if painted is None else None,
        factor=(float(factor[0]), float(factor[1]), float(factor[2])),
        lit=bool(material) and "KHR_materials_unlit" not in document.take(material, "extensions", dict, {}),
        metallic=_unit(document, model, "metallicFactor"),
        roughness=_unit(document, model, "roughnessFactor"),
        metallic_roughness=images.get("metallic_roughness"),
        normal=images.get("normal"),
        normal_scale=float(document.numbers_or(references["normal"], "scale", 1.0)),
    )
    if "base" not in images or uv is None:
        plain = painted is None and "baseColorFactor" not in model
        return Surface(None if plain else _display(linear), uv, skin)
    texels = as_numpy(document.image(images["base"])).transpose(1, 2, 0)
    sampled = sample_texture(texels, uv, _wrap(document, references["base"]))
    return Surface(_display(linear * srgb_to_linear(sampled)), uv, skin)


def base_texture(document: Document, skin: Skin) -> Tensor | None:
    """(3, H, W) sRGB base colour texture with the factor multiplied in; None where the skin has none."""
    if skin.base is None:
        return None
    image = document.image(skin.base)
    if skin.factor == (1.0, 1.0, 1.0):
        return image
    linear = srgb_to_linear(as_numpy(image)) * np.array(skin.factor, dtype=np.float32)[:, None, None]
    return as_tensor(linear_to_srgb(linear.clip(0.0, 1.0)))


def material_of(document: Document, skin: Skin) -> Material | None:
    """The material; None of an unlit one. Factors are multiplied into the textures."""
    if not skin.lit:
        return None
    both = normal = None
    if skin.metallic_roughness is not None:
        image = document.image(skin.metallic_roughness)
        both = as_tensor(
            np.stack([as_numpy(image[2]) * skin.metallic, as_numpy(image[1]) * skin.roughness]).clip(0.0, 1.0)
        )
    if skin.normal is not None:
        normal = document.image(skin.normal)
        if skin.normal_scale != 1.0:
            direction = (2 * as_numpy(normal) - 1) * np.array([skin.normal_scale] * 2 + [1.0])[:, None, None]
            length = np.linalg.norm(direction, axis=0, keepdims=True)
            normal = as_tensor(0.5 + 0.5 * direction / np.where(length > 0, length, 1.0))
    return Material(skin.metallic, skin.roughness, both, normal)


def _unit(document: Document, owner: dict, key: str) -> float:
    """A factor of the metallic-roughness model, 1 where absent."""
    return float(np.clip(document.numbers_or(owner, key, 1.0), 0.0, 1.0))


def _display(linear: np.ndarray) -> np.ndarray:
    return linear_to_srgb(np.asarray(linear, dtype=np.float64).clip(0.0, 1.0)).astype(np.float32)


def _texture(document: Document, reference: dict) -> dict:
    return document.item("textures", reference.get("index"))


def _image(document: Document, reference: dict) -> int:
    return document.take(_texture(document, reference), "source", int)


def _wrap(document: Document, reference: dict) -> tuple[str, str]:
    texture = _texture(document, reference)
    sampler = document.item("samplers", texture["sampler"]) if "sampler" in texture else {}
    u, v = (_WRAPS.get(document.take(sampler, key, int, 10497), "repeat") for key in ("wrapS", "wrapT"))
    return u, v


_Placement = tuple[int, tuple[float, ...], float, tuple[float, ...]]
"""Set of texture coordinates; KHR_texture_transform's scale, rotation in radians, offset."""


def _placement(document: Document, reference: dict) -> _Placement:
    extension = document.take(
        document.take(reference, "extensions", dict, {}), "KHR_texture_transform", dict, {}
    )
    channel = document.take(extension, "texCoord", int, document.take(reference, "texCoord", int, 0))
    return (
        channel,
        tuple(document.numbers(extension, "scale", [1.0, 1.0])),
        float(document.numbers_or(extension, "rotation", 0.0)),
        tuple(document.numbers(extension, "offset", [0.0, 0.0])),
    )


def _texture_uv(document: Document, placement: _Placement, attributes: dict, count: int) -> np.ndarray:
    """(count, 2) coordinates, with the texture's own transform applied."""
    channel, scale, angle, offset = placement
    values = attribute(document, attributes, f"TEXCOORD_{channel}", 2, count)
    if values is None:
        raise document.error(f"a texture wants TEXCOORD_{channel}, which its mesh lacks")
    if (scale, angle, offset) == ((1.0, 1.0), 0.0, (0.0, 0.0)):
        return values.astype(np.float32)
    cosine, sine = np.cos(angle), np.sin(angle)
    turned = values.astype(np.float64) * scale @ np.array([[cosine, -sine], [sine, cosine]])
    return (turned + offset).astype(np.float32)
