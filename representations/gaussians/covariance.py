"""Products with the Gaussians' covariances."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..raster.gaussians_twin import rotation_matrix
from .parameters import Parameters


def times_root(parameters: Parameters, vectors: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    """(N, 3) R S v: standard normal vectors become samples of each Gaussian around its centre."""
    rotation = rotation_matrix(parameters.rotations.detach())
    return torch.einsum("nij,nj->ni", rotation, parameters.scales.detach() * vectors)


def times_covariance(parameters: Parameters, vectors: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    """(N, 3) R S² Rᵀ v."""
    rotation = rotation_matrix(parameters.rotations.detach())
    local = torch.einsum("nji,nj->ni", rotation, vectors)
    return torch.einsum("nij,nj->ni", rotation, parameters.scales.detach() ** 2 * local)
