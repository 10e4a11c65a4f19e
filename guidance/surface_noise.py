"""Noise that sticks to the object: white in every view, the same on the same piece of surface from everywhere.

Consistent flow distillation (Yan et al. 2025, arXiv 2501.05445) after integral noise (Chang et al. 2024): independent
normal numbers W_i belong to small pieces of the surface (texels), and a pixel that sees the set O of them shows

    eps(pixel) = |O|^(-1/2) sum_{i in O} W_i

A texel counts for one pixel of a view at most, so the pixels of a view are independent and exactly N(0, 1); two
pixels of two views have the covariance |A and B| / sqrt(|A| |B|). A plain mean or interpolated noise has neither.

Texels are addressed by shells of distance from the origin, and in each by an equal-area map of the sphere to a square:
no surface is stored, only where the depth of a view puts it. With jittered rays the depth is taken as the pixel
centre's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sds3d.core import schedules
from sds3d.core.cameras import Cameras, rays
from sds3d.core.errors import ConfigError
from sds3d.core.schedules import Schedule
from sds3d.core.streams import Streams
from sds3d.core.tree import Tree

from .base import Moment, Views
from .calls import Calls
from .noise import NoiseSource, fresh
from .states import Noisy, noised

SHELL = 0.25
"""Thickness of a shell in world units."""
SHELLS = 4
"""Shells; what lies beyond the last one shares its texels."""
SAMPLES = 6
"""Points along a pixel's side at which the surface is looked up."""
SOLID = 0.1
"""Opacity from which a pixel shows the object."""
FROZEN = schedules.constant(0.0)
"""No drift."""
STEEPEST = 8.0
"""Depth over width of a square of four depths from which it is an edge, not a surface."""


@dataclass(frozen=True)
class SurfaceNoise(NoiseSource):
    """Noise on the object where a view has cameras and depth, fixed on the screen elsewhere; both may drift.

    Args:
        drift: gamma of `eps <- sqrt(1 - gamma) eps + sqrt(gamma) n` after each step, over the run.
        texels_per_pixel: texels along a pixel's side at the default camera; more are sharper but agree less well
            where the depth is rough. draws: independent textures, one for each draw of the recipe.
        background: "fixed" or "fresh" noise where nothing is seen.

    In memory: "texture" (draws, texels, C) and, once something has drifted, "screen" (views, draws, C, h, w).
    """

    drift: Schedule = FROZEN
    texels_per_pixel: float = 3.0
    draws: int = 1
    background: str = "fixed"
    media: frozenset[str] = frozenset({"depth", "alpha"})

    def sides(self, width: int) -> list[int]:
        """Texels along the square of each shell, for a picture that many pixels wide."""
        texel = 2.0 / (self.texels_per_pixel * width)
        return [math.ceil(math.sqrt(4 * math.pi) * SHELL * (k + 0.5) / texel) for k in range(SHELLS)]

    def init(self, shape: tuple[int, ...], streams: Streams) -> Tree:
        """The texture at step 0."""
        texels = sum(side * side for side in self.sides(shape[-1]))
        made = streams.normal((texels, shape[0]), "surface-noise", ids=range(self.draws))
        return {"texture": made, "shape": list(shape)}

    def make(
        self, views: Views, t: Float[Tensor, " b"], draw: int, now: Moment, calls: Calls, memory: Tree
    ) -> dict[str, Noisy]:
        """{"t": the views at t}.

        Raises:
            ConfigError: there are cameras but no depth.
        """
        eps = self._screen(views, draw, now, memory)
        cameras = views.look.cameras
        if cameras is not None:
            if not self.media <= set(views.media):
                raise ConfigError(
                    "noise on the surface needs the depth of the views, which this representation does not give.",
                    key="guidance.noise",
                    hint="Set guidance.noise to fixed.",
                )
            depth, alpha = (views.media[name].to(views.z.device) for name in ("depth", "alpha"))
            height, width = views.z.shape[-2:]
            sides = self.sides(width)
            texel, distance = surface_texels(cameras.to(views.z.device), depth, alpha, (height, width), sides)
            eps, owned = render_noise(memory["texture"][draw].to(views.z), texel, distance, eps)
            solid = torch.nn.functional.adaptive_avg_pool2d(alpha, (height, width))[:, 0] > 0.5
            calls.notes["bare"] = float((solid & (owned == 0)).sum() / solid.sum().clamp(min=1))
        return {"t": noised(views.z, eps, t, calls.schedule)}

    def advance(self, memory: Tree, now: Moment) -> Tree:
        """Every number drifts; each stays N(0, 1)."""
        gamma = self.drift(now.progress)
        if gamma == 0.0:
            return memory
        texture, shape = memory["texture"], memory["shape"]
        screen = self._slots(memory, shape, len(now.ids), now.streams)
        drifted = {}
        for name, kept in (("texture", texture), ("screen", screen)):
            n = now.streams.normal(
                tuple(kept.shape[1:]), "surface-drift", name, step=now.step, ids=range(len(kept))
            )
            drifted[name] = math.sqrt(1.0 - gamma) * kept + math.sqrt(gamma) * n.to(kept)
        return memory | drifted

    def _screen(self, views: Views, draw: int, now: Moment, memory: Tree) -> Tensor:
        """(B, C, h, w) noise of the view slots, as noise.Fixed has it while nothing has drifted."""
        if self.background == "fresh":
            return fresh(views, draw, now)
        count = len(views.z)
        return self._slots(memory, views.z.shape[1:], count, now.streams)[:count, draw].to(views.z)

    def _slots(self, memory: Tree, shape: tuple[int, ...], count: int, streams: Streams) -> Tensor:
        """(n, draws, C, h, w), n at least `count`: what is in memory, and its beginning for slots never seen."""
        kept: Tensor = memory.get("screen", torch.zeros(0, self.draws, *shape))
        ids = range(len(kept), count)
        if not ids:
            return kept
        new = [streams.normal(tuple(shape), "guidance-noise", d, ids=ids) for d in range(self.draws)]
        return torch.cat([kept, torch.stack(new, dim=1).to(kept)])


def sphere_to_square(direction: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 2"]:
    """Unit vectors to [-1, 1]^2, equal areas to equal areas: |J| = 1 / pi everywhere, continuous but for the rim.

    The octahedral map of Clarberg, "Fast equal-area mapping of the (hemi)sphere using SIMD", 2008.
    """
    x, y, z = direction.unbind(-1)
    radius = (1.0 - z.abs()).clamp(min=0.0).sqrt()
    v = radius * torch.atan2(y.abs(), x.abs()) * (2.0 / math.pi)
    u = radius - v
    below = z < 0.0
    u, v = torch.where(below, 1.0 - v, u), torch.where(below, 1.0 - u, v)
    return torch.stack([torch.copysign(u, x), torch.copysign(v, y)], dim=-1)


def texel_of(points: Float[Tensor, "*n 3"], sides: list[int]) -> Int[Tensor, "*n"]:
    """Index of the texel in which a point lies."""
    radius = points.norm(dim=-1)
    shell = (radius / SHELL).long().clamp(max=len(sides) - 1)
    side = torch.tensor(sides, device=points.device)
    start = torch.cumsum(side * side, 0) - side * side
    square = 0.5 * (sphere_to_square(points / radius.clamp(min=1e-12)[..., None]) + 1.0)
    cell = (square * side[shell][..., None]).long()
    cell = torch.minimum(cell.clamp(min=0), side[shell][..., None] - 1)
    return start[shell] + cell[..., 1] * side[shell] + cell[..., 0]


def surface_texels(
    cameras: Cameras,
    depth: Float[Tensor, "b 1 hh ww"],
    alpha: Float[Tensor, "b 1 hh ww"],
    size: tuple[int, int],
    sides: list[int],
) -> tuple[Int[Tensor, "b h w s"], Float[Tensor, "b h w s"]]:
    """Texels that the sample points of each pixel of a picture of `size` see, and their depth.

    `depth` may be of another size than the picture. Depth between its pixels is interpolated; a point between four
    depths of which one shows no object, or which lie across an edge, sees nothing.

    Returns:
        (B, h, w, SAMPLES^2): texel, -1 for nothing; depth along the view axis.
    """
    (height, width), (rows, columns) = size, depth.shape[-2:]
    fine = (height * SAMPLES, width * SAMPLES)
    origins, directions = rays(cameras, fine)
    y, x = (
        ((torch.arange(n, device=depth.device) + 0.5) * (have / n) - 0.5).clamp(0, have - 1)
        for n, have in zip(fine, (rows, columns), strict=True)
    )
    top, left = y.long().clamp(max=max(rows - 2, 0)), x.long().clamp(max=max(columns - 2, 0))
    fy, fx = (y - top)[:, None], (x - left)[None, :]
    below, right = (top + 1).clamp(max=rows - 1), (left + 1).clamp(max=columns - 1)
    four = torch.stack(
        [depth[:, 0][:, i][:, :, j] for i in (top, below) for j in (left, right)]
    )  # (4, B, fine rows, fine columns)
    seen = _surface(four, depth, alpha, top, below, left, right, cameras)
    upper, lower = four[0] * (1 - fx) + four[1] * fx, four[2] * (1 - fx) + four[3] * fx
    z = upper * (1 - fy) + lower * fy
    ahead = -cameras.c2w[:, None, None, :3, 2]
    points = origins + directions * (z / (directions * ahead).sum(-1))[..., None]
    texel = torch.where(seen, texel_of(points, sides), -1)

    def by_pixel(value: Tensor) -> Tensor:
        split = value.reshape(len(value), height, SAMPLES, width, SAMPLES)
        return split.transpose(2, 3).reshape(len(value), height, width, SAMPLES**2)

    return by_pixel(texel), by_pixel(z)


def _surface(
    four: Tensor,
    depth: Tensor,
    alpha: Tensor,
    top: Tensor,
    below: Tensor,
    left: Tensor,
    right: Tensor,
    cameras: Cameras,
) -> Bool[Tensor, "b h w"]:
    """Whether the four depths around a point are of one surface."""
    solid = (alpha[:, 0] > SOLID) & (depth[:, 0] > 0)
    seen = torch.ones_like(four[0], dtype=torch.bool)
    for i in (top, below):
        for j in (left, right):
            seen = seen & solid[:, i][:, :, j]
    lowest, highest = four.amin(0), four.amax(0)
    pixel = lowest / cameras.focal(depth.shape[-2])[:, None, None]
    return seen & (highest - lowest <= STEEPEST * pixel)


def render_noise(
    texture: Float[Tensor, "n c"],
    texel: Int[Tensor, "b h w s"],
    depth: Float[Tensor, "b h w s"],
    screen: Float[Tensor, "b c h w"],
) -> tuple[Float[Tensor, "b c h w"], Int[Tensor, "b h w"]]:
    """The texels' noise as the pixels show it: sum over the texels that a pixel owns, over the root of their count.

    A texel belongs to the pixel of a view that sees it nearest, of equally near ones to the first. The sums are made
    in one order, so that the same call gives the same bits.

    Returns:
        noise, with `screen` where a pixel owns nothing; how many texels each pixel owns.
    """
    views, _, height, width = screen.shape
    pixels, texels, device = views * height * width, len(texture), texture.device
    pixel = torch.arange(pixels, device=device).reshape(views, height, width, 1).expand_as(texel)
    view = pixel // (height * width)
    hit = texel >= 0
    key, at, z = (view * texels + texel)[hit], pixel[hit], depth[hit]
    nearest = torch.full((views * texels,), math.inf, dtype=z.dtype, device=device)
    nearest = nearest.scatter_reduce(0, key, z, "amin")
    first = z == nearest[key]
    owner = torch.full((views * texels,), pixels, device=device)
    owner = owner.scatter_reduce(0, key[first], at[first], "amin")
    owned = (owner < pixels).nonzero().flatten()
    owned = owned[owner[owned].argsort(stable=True)]
    count = torch.bincount(owner[owned], minlength=pixels)
    total = torch.segment_reduce(texture[owned % texels], "sum", lengths=count, axis=0, initial=0.0)
    shown = (total / count.clamp(min=1).to(total).sqrt()[:, None]).reshape(views, height, width, -1)
    count = count.reshape(views, height, width)
    return torch.where(count[:, None] > 0, shown.permute(0, 3, 1, 2), screen), count
