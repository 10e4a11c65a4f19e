"""Light on a surface: glTF's metallic-roughness model under a key light and an environment, and normal maps.

The formulas are those of appendix B of the glTF 2.0 specification (Khronos, 2021): with α = roughness², base colour c,
f0 = 0.04 (1 - metallic) + c metallic and c_diff = c (1 - metallic), light from direction l is sent to the eye v as

    F = f0 + (1 - f0) (1 - v·h)^5                     h = (l + v) / |l + v|          (Schlick 1994)
    (1 - F) c_diff / π + F D V
    D = α² / (π ((n·h)² (α² - 1) + 1)²)                                              (GGX: Walter et al. 2007)
    V = 1 / (2 (n·l sqrt((n·v)² (1 - α²) + α²) + n·v sqrt((n·l)² (1 - α²) + α²)))    (height-correlated: Heitz 2014)

An environment is split into the light that a rough mirror gathers and how much of it is sent on, f0 A + B (split sum:
Karis, "Real Shading in Unreal Engine 4", 2013); what is not sent on lights the diffuse part.
"""

from __future__ import annotations

import math
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from sds3d.core.lights import Lights

STEEPEST = 0.05
"""Least cosine between a surface's normal and a bent one."""
MIRROR = 0.05
"""Least roughness: below it a highlight is smaller than a pixel."""


def sent_on(
    f0: Float[Tensor, "n 3"], roughness: Float[Tensor, " n"], cosine: Float[Tensor, " n"]
) -> Float[Tensor, "n 3"]:
    """f0 A + B, the share of an even environment that a rough mirror sends to the eye.

    Args:
        cosine: of the angle between the normal and the eye, in [0, 1].
    """
    place = torch.stack([2 * cosine - 1, 2 * roughness - 1], dim=1)[None, None]
    table = _split_sum().to(f0)[None]
    found = F.grid_sample(table, place, padding_mode="border", align_corners=False)[0, :, 0]
    return f0 * found[0, :, None] + found[1, :, None]


@cache
def _split_sum(size: int = 32, count: int = 1024) -> Float[Tensor, "2 s s"]:
    """A and B at (roughness, cosine), the centres of size x size cells of the unit square: F D V (n·l) integrated
    over the lights' directions, with half vectors drawn like D (Karis 2013)."""
    k = torch.arange(count, dtype=torch.float64)
    bits = (k.long()[:, None] >> torch.arange(32)) & 1
    u, angle = (
        (k + 0.5) / count,
        2 * math.pi * (bits * 0.5 ** torch.arange(1, 33, dtype=torch.float64)).sum(1),
    )
    centre = (torch.arange(size, dtype=torch.float64) + 0.5) / size
    nv, squared = centre[None, :, None], (centre**4)[:, None, None].clamp_min(MIRROR**4)
    nh = ((1 - u) / (1 + (squared - 1) * u)).sqrt()
    vh = (nv * nh + (1 - nv * nv).sqrt() * (1 - nh * nh).clamp_min(0).sqrt() * angle.cos()).clamp_min(0)
    nl = (2 * vh * nh - nv).clamp_min(0)
    seen = nl * (nv * nv * (1 - squared) + squared).sqrt() + nv * (nl * nl * (1 - squared) + squared).sqrt()
    weight = 4 * vh * nl / (nh * 2 * seen)
    grazing = (1 - vh) ** 5
    return torch.stack([(weight * (1 - grazing)).mean(2), (weight * grazing).mean(2)]).float()


def highlight(
    f0: Float[Tensor, "n 3"],
    roughness: Float[Tensor, " n"],
    normal: Float[Tensor, "n 3"],
    eye: Float[Tensor, "n 3"],
    light: Float[Tensor, "n 3"],
) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 3"]]:
    """F and F D V of the module's formulas, for unit vectors to the eye and to the light."""
    half = F.normalize(eye + light, dim=1, eps=1e-6)
    nl, nv, nh, vh = (
        (a * b).sum(1).clamp(0, 1) for a, b in ((normal, light), (normal, eye), (normal, half), (eye, half))
    )
    alpha = roughness.clamp_min(MIRROR) ** 2
    squared = alpha * alpha
    lobe = squared / (math.pi * (nh * nh * (squared - 1) + 1) ** 2)
    seen = nl * (nv * nv * (1 - squared) + squared).sqrt() + nv * (nl * nl * (1 - squared) + squared).sqrt()
    fresnel = f0 + (1 - f0) * ((1 - vh) ** 5)[:, None]
    return fresnel, fresnel * (lobe / (2 * seen.clamp_min(1e-6)))[:, None]


def shade(
    base: Float[Tensor, "n 3"],
    metallic: Float[Tensor, " n"],
    roughness: Float[Tensor, " n"],
    normal: Float[Tensor, "n 3"],
    eye: Float[Tensor, "n 3"],
    lights: Lights,
    view: Int[Tensor, " n"],
) -> Float[Tensor, "n 3"]:
    """Linear radiance towards the eye, at least 0, of points that are seen.

    Args:
        base: linear RGB in [0, 1]. metallic, roughness: in [0, 1]. normal, eye: unit vectors, `eye` to the camera,
            `normal` on the side that is seen (see `turned`); bent beyond the horizon, it is as bright as there.
        lights: of B views. view: which of them each point is seen in.
    """
    metal = metallic[:, None]
    f0, diffuse = 0.04 * (1 - metal) + base * metal, base * (1 - metal)
    light = lights.direction[view]
    fresnel, glint = highlight(f0, roughness, normal, eye, light)
    # lights.key is the light of a white matte surface: π times the f of the module's formulas
    lit = (normal * light).sum(1, keepdim=True).clamp_min(0) * lights.key[view]
    direct = lit * ((1 - fresnel) * diffuse + math.pi * glint)
    cosine = (normal * eye).sum(1).clamp(0, 1)
    share = sent_on(f0, roughness, cosine)
    mirrored = F.normalize(2 * cosine[:, None] * normal - eye, dim=1, eps=1e-6)
    around = (1 - share) * diffuse * lights.around(normal, view)
    return direct + around + share * lights.reflected(mirrored, roughness, view)


def turned(
    normal: Float[Tensor, "n 3"], flat: Float[Tensor, "n 3"], eye: Float[Tensor, "n 3"]
) -> Float[Tensor, "n 3"]:
    """Normals of the side that is seen: a back side is lit like a front.

    What is seen is for the triangle to say: a normal that is smoothed or bent may look away from an eye that stands
    low over a front, and turned round it would be lit from below.

    Args:
        normal: unit vectors. flat: of the triangle, on the side of the surface's normals, of any length.
    """
    return torch.where((flat * eye).sum(1, keepdim=True) < 0, -normal, normal)


def frame(
    normal: Float[Tensor, "*n 3"], tangent: Float[Tensor, "*n 4"]
) -> tuple[Float[Tensor, "*n 3"], Float[Tensor, "*n 3"]]:
    """Unit tangent and bitangent at right angles to a unit normal, from an interpolated tangent with its sign."""
    along = tangent[..., :3]
    along = F.normalize(along - (along * normal).sum(-1, keepdim=True) * normal, dim=-1, eps=1e-12)
    return along, torch.where(tangent[..., 3:] < 0, -1.0, 1.0) * torch.linalg.cross(normal, along)


def bend(
    normal: Float[Tensor, "*n 3"], tangent: Float[Tensor, "*n 4"], slopes: Float[Tensor, "*n 2"]
) -> Float[Tensor, "*n 3"]:
    """The unit normal that a normal map makes of a surface's: slopes are its x / z and y / z."""
    along, across = frame(normal, tangent)
    return F.normalize(normal + slopes[..., :1] * along + slopes[..., 1:] * across, dim=-1, eps=1e-12)


def slopes_of(normal: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 2"]:
    """x / z and y / z of tangent-space normals."""
    return normal[..., :2] / normal[..., 2:].clamp_min(STEEPEST)


def normals_of(slopes: Float[Tensor, "*n 2"]) -> Float[Tensor, "*n 3"]:
    """Unit tangent-space normals of slopes."""
    return F.normalize(torch.cat([slopes, torch.ones_like(slopes[..., :1])], dim=-1), dim=-1)
