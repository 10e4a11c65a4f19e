"""What a triangle mesh says of its faces and neighbours, as differentiable functions of its vertices."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def face_normals(vertices: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"]) -> Float[Tensor, "f 3"]:
    """(F, 3) outward normals, as long as twice the face's area."""
    a, b, c = vertices[faces].unbind(1)
    return torch.linalg.cross(b - a, c - a)


def beside_neighbours(values: Float[Tensor, "v c"], faces: Int[Tensor, "f 3"]) -> Float[Tensor, "v c"]:
    """(V, C) each vertex's value less the mean of its neighbours': the Laplacian with uniform weights, negated.

    An edge of one face alone counts half as much as one that two faces share; a vertex without faces keeps its value.
    """
    start, end = faces.reshape(-1), faces.roll(-1, 1).reshape(-1)
    here, there = torch.cat([start, end]), torch.cat([end, start])
    total = torch.zeros_like(values).index_add(0, here, values[there])
    count = torch.bincount(here, minlength=len(values)).clamp_min(1).to(values)
    return values - total / count[:, None]
