"""How views of splats vote about them: each by what lies over its centre, where nothing is in front of it."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sds3d.core.cameras import Cameras
from sds3d.core.look import Look, Render

from ..region import Ballot

SPLATS = "splats"
"""Name of the rows of a splat file."""
BEHIND = 0.04
"""World units behind the depth map, beside its own size, up to which the centre of a splat counts as seen."""


@torch.no_grad()
def ballot(
    points: Float[Tensor, "n 3"],
    sizes: Float[Tensor, " n"],
    render: Callable[[Look], Render],
    cameras: Cameras,
    maps: Float[Tensor, "b h w"],
) -> Ballot:
    """What each view says of every centre: the map there, a share of 1 where it is seen and else 0.

    Args:
        points: centres in our world. sizes: standard deviations along the longest axes, there.
        render: draws the splats. maps: what is asked, in [0, 1].
    """
    size, values, shares = (maps.shape[1], maps.shape[2]), [], []
    to_camera = cameras.world_to_camera().double()
    for view in range(len(cameras)):
        depth = render(Look(cameras[[view]], size, torch.zeros(1, 3)))["depth"].cpu()
        # the outline's own points lie on pixels that may show nothing
        depth = F.max_pool2d(depth, 3, stride=1, padding=1)[0, 0]
        local = points.double() @ to_camera[view, :3, :3].T + to_camera[view, :3, 3]
        ahead, focal = -local[:, 2], float(cameras.focal(1)[view])
        # (x, y) of grid_sample: the picture from -1 to 1, y downwards
        place = 2 * focal * torch.stack([local[:, 0], -local[:, 1]], dim=1) / ahead.clamp_min(1e-6)[:, None]
        seen = ahead <= _at(depth, place, "nearest") + BEHIND + sizes
        shares.append((seen & (ahead > 0) & (place.abs() <= 1).all(1)).float())
        values.append(_at(maps[view].cpu(), place, "bilinear"))
    return Ballot(torch.stack(values), torch.stack(shares))


def _at(image: Float[Tensor, "h w"], place: Float[Tensor, "n 2"], mode: str) -> Float[Tensor, " n"]:
    """Values of a picture at places from -1 to 1."""
    grid = place.to(image)[None, None]
    return F.grid_sample(image[None, None], grid, mode=mode, padding_mode="border", align_corners=False)[
        0, 0, 0
    ]
