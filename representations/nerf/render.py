"""From a look to pictures: rays, samples in occupied cells, the field's answers, sums along rays."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from sds3d.core.cameras import axis_cosine, rays
from sds3d.core.look import Look

from ..raster.sampled_rays import RaySamples, accumulate, sample, weights
from . import background
from .field import Field
from .occupancy import Occupancy

RAYS = 1 << 15
"""Rays that are followed together where no gradient has to go back; bounds the memory."""

FAINT = 0.02
"""Alpha below which a pixel has no normal: haze has none."""


def render(
    field: Field, occupancy: Occupancy, behind: dict[str, Tensor], look: Look, facing: bool
) -> dict[str, Tensor]:
    """rgb over the background, alpha, and depth and normal where the look wants them; see core.look.

    Normals are unit vectors in world axes, zero where next to nothing is seen. With gradients there are also the
    samples that the regularisers read: ray_weight, ray_distance, ray_length (P,), ray_starts (N + 1,) and, where
    `facing`, ray_facing (P,), the cosine between normal and ray.
    """
    if look.cameras is None:
        raise ValueError("a radiance field needs cameras in its look")
    options, learning = field.options, torch.is_grad_enabled() and field.table.requires_grad
    origins, directions = (
        v.to(field.table).reshape(-1, 3) for v in rays(look.cameras, look.size, look.jitter)
    )
    offsets = torch.full_like(origins[:, 0], 0.5)
    if look.ray_offset is not None:
        offsets = look.ray_offset.to(origins).reshape(-1)
    chunk = len(origins) if learning else RAYS
    parts: list[Tensor] = []
    extra: dict[str, Tensor] = {}
    for at in range(0, len(origins), chunk):
        part = slice(at, at + chunk)
        samples = sample(
            occupancy.occupied,
            origins[part],
            directions[part],
            offsets[part],
            half=options.half_extent,
            samples=options.samples if learning else options.picture_samples,
            implementation=options.rasterizer,
        )
        sums, extra = follow(field, samples, directions[part], "normal" in look.want, learning, facing)
        parts.append(sums)
    out = pictures(torch.cat(parts), look, directions, behind, field)
    return out | extra if learning else out


def follow(
    field: Field,
    samples: RaySamples,
    directions: Float[Tensor, "n 3"],
    with_normals: bool,
    learning: bool,
    facing: bool,
) -> tuple[Float[Tensor, "n c"], dict[str, Tensor]]:
    """(N, 5 or 8) colour over black, alpha, alpha times distance and the sum of normals; the samples' tensors."""
    o = field.options
    if learning:
        samples = samples.keep(_seen(field, samples))
    density, color = field.density_and_color(samples.points)
    weight = weights(density, samples, o.stop, implementation=o.rasterizer)
    columns = [color, torch.ones_like(color[:, :1]), samples.distance[:, None]]
    extra = {
        "ray_weight": weight,
        "ray_distance": samples.distance,
        "ray_length": samples.length,
        "ray_starts": samples.starts,
    }
    if with_normals or (learning and facing):
        normals = field.normals(samples.points)
        columns += [normals] if with_normals else []
        extra["ray_facing"] = (normals * directions[samples.ray]).sum(1)
    return accumulate(weight, torch.cat(columns, dim=1), samples, implementation=o.rasterizer), extra


@torch.no_grad()
def _seen(field: Field, samples: RaySamples) -> Tensor:
    """Which samples lie in front of where their ray ends: the others have no part in value or gradient."""
    o = field.options
    density = field.density(samples.points)
    return weights(density, samples, o.stop, implementation=o.rasterizer) > 0


def pictures(
    sums: Float[Tensor, "n c"],
    look: Look,
    directions: Float[Tensor, "n 3"],
    behind: dict[str, Tensor],
    field: Field,
) -> dict[str, Tensor]:
    """Sums along rays as pictures."""
    (height, width), views = look.size, len(look)
    planes = sums.reshape(views, height, width, -1).permute(0, 3, 1, 2)
    color, alpha, moment = planes[:, :3], planes[:, 3:4], planes[:, 4:5]
    back = look.background.to(sums)[:, :, None, None]
    if behind:
        learned = background.colors(behind, directions, field.options)
        back = learned.reshape(views, height, width, 3).permute(0, 3, 1, 2)
    out = {"rgb": color + (1 - alpha) * back, "alpha": alpha}
    if "depth" in look.want:
        assert look.cameras is not None
        cosine = axis_cosine(look.cameras, directions.reshape(views, height, width, 3))
        out["depth"] = moment / alpha.clamp_min(1e-8) * cosine
    if "normal" in look.want:
        unit = torch.nn.functional.normalize(planes[:, 5:8], dim=1, eps=1e-6)
        out["normal"] = torch.where(alpha > FAINT, unit, torch.zeros_like(unit))
    return out
