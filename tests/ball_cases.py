"""A ball of triangles."""

from __future__ import annotations

import torch
import trimesh

from sds3d.core.assets import Mesh


def icosphere(radius: float, centre=(0.0, 0.0, 0.0), detail: int = 3) -> Mesh:
    ball = trimesh.creation.icosphere(detail, radius=radius)
    return Mesh(torch.tensor(ball.vertices).float() + torch.tensor(centre), torch.tensor(ball.faces))
