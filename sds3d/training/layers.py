"""A picture before its colours: layers of shade that a caption's colours are poured into.

One render serves every colour: shade of the main, second and third paint, the fixed colours already shaded,
the highlight and the coverage. Colour, gloss and background are chosen when a batch is drawn.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..core.cameras import orbit
from ..core.streams import Streams
from ..objects.colours import FIXED
from ..objects.kind import MAIN, SECOND
from ..objects.patterns import PATTERNS
from ..objects.scenes import THIRD, scene_of_three, scene_of_two
from ..objects.shape import Shape, build
from ..representations.raster.triangles import interpolate, rasterize
from .plan import Picture

LAYERS = 8
"""main, second, third shade; fixed red, green, blue; highlight; coverage."""
SHADE_LIMIT = 1.06
"""The brightest shade; layers are stored as bytes of their share of it."""
KEY_LIGHT = (0.55, 0.70, 0.45)
"""Where the key light comes from, in the world: from above, in front and at the right."""
_PAINTS = (MAIN, SECOND, THIRD)
_SUPERSAMPLE = 2


def shape_of(picture: Picture, streams: Streams) -> Shape:
    """The geometry of a picture's subject."""
    subject, kinds = picture.subject, picture.subject.kinds
    if len(kinds) == 1:
        return build(kinds[0], streams, picture.build)
    if len(kinds) == 2:
        return scene_of_two(kinds[0], str(subject.relation), kinds[1], streams, picture.build)
    return scene_of_three((kinds[0], kinds[1], kinds[2]), streams, picture.build)


def shade(normal: Tensor, to_camera: Tensor) -> tuple[Tensor, Tensor]:
    """Diffuse shade in [0, SHADE_LIMIT] and highlight in [0, 1] of points (N, 3) seen along unit `to_camera`.

    A key light, a sky that is brighter than the ground, and a little light from the camera; the highlight is
    Blinn's (1977), exponent 40.
    """
    normal = torch.where((normal * to_camera).sum(-1, keepdim=True) < 0, -normal, normal)
    key = torch.nn.functional.normalize(normal.new_tensor(KEY_LIGHT), dim=0)
    facing = (normal * to_camera).sum(-1)
    diffuse = 0.38 + 0.22 * (0.5 + 0.5 * normal[:, 1]) + 0.32 * (normal @ key).clamp(min=0) + 0.13 * facing
    half = torch.nn.functional.normalize(key + to_camera, dim=-1)
    return diffuse, 0.7 * (normal * half).sum(-1).clamp(min=0) ** 40


def render_layers(
    shape: Shape, azimuth_deg: float, elevation_deg: float, size: int, pattern: str | None = None
) -> Float[Tensor, "s s 8"]:
    """The layers of one view in [0, 1], (size, size, LAYERS)."""
    cameras = orbit([azimuth_deg], [elevation_deg])
    side = size * _SUPERSAMPLE
    vertices = torch.from_numpy(np.ascontiguousarray(shape.triangles.reshape(-1, 3))).float()
    faces = torch.arange(len(vertices), dtype=torch.int32).reshape(-1, 3)
    fragments = rasterize(vertices, faces, cameras, (side, side))
    corner = torch.from_numpy(np.concatenate([shape.normals, shape.triangles], axis=-1)).float()
    seen = fragments.face[0] >= 0
    values = interpolate(corner, fragments, faces)[0][seen]
    normal = torch.nn.functional.normalize(values[:, :3], dim=-1)
    point = values[:, 3:]
    to_camera = torch.nn.functional.normalize(cameras.c2w[0, :3, 3] - point, dim=-1)
    diffuse, highlight = shade(normal, to_camera)
    table = torch.from_numpy(_paint_rows(shape))[torch.from_numpy(shape.paint)]
    layers = table[fragments.face[0][seen].long()] * (diffuse / SHADE_LIMIT)[:, None]
    if pattern:
        other = torch.from_numpy(PATTERNS[pattern](point.numpy()))
        layers[:, 2] = torch.where(other, layers[:, 0], layers[:, 2])
        layers[:, 0] = torch.where(other, 0.0, layers[:, 0])
    out = torch.zeros(side, side, LAYERS)
    out[seen] = torch.cat([layers, highlight[:, None], torch.ones(len(layers), 1)], dim=1)
    return out.reshape(size, _SUPERSAMPLE, size, _SUPERSAMPLE, LAYERS).mean((1, 3))


def _paint_rows(shape: Shape) -> np.ndarray:
    """(P, 6): what each paint adds to the first six layers at full shade."""
    rows = np.zeros((len(shape.paints), 6), dtype=np.float32)
    for row, paint in zip(rows, shape.paints, strict=True):
        if paint in _PAINTS:
            row[_PAINTS.index(paint)] = 1.0
        else:
            row[3:] = FIXED[paint]
    return rows


def compose(
    layers: Float[Tensor, "b s s 8"],
    colours: Float[Tensor, "b 3 3"],
    gloss: Float[Tensor, " b"],
    background: Float[Tensor, "b 3"],
) -> Float[Tensor, "b 3 s s"]:
    """Pour colours into layers.

    Args:
        layers: in [0, 1]. colours: sRGB of the three paints. gloss: strength of the highlight. background: sRGB.

    Returns:
        (B, 3, S, S) pictures in [0, 1].
    """
    paints = torch.einsum("bhwp,bpc->bchw", layers[..., :3], colours)
    fixed = layers[..., 3:6].permute(0, 3, 1, 2)
    highlight, cover = layers[..., 6:7].permute(0, 3, 1, 2), layers[..., 7:8].permute(0, 3, 1, 2)
    lit = (paints + fixed) * SHADE_LIMIT + highlight * gloss[:, None, None, None]
    return (lit + (1 - cover) * background[:, :, None, None]).clamp(0, 1)
