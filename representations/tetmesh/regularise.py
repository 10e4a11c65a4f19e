"""Losses on the surface and on the distances that it is cut from."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from ..faces import beside_neighbours, face_normals
from ..lattice import Lattice, crossed_cubes, crossed_edges, edge_corners


def normal_consistency(
    vertices: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"], partners: Int[Tensor, "f 3"]
) -> Float[Tensor, ""]:
    """Mean of 1 - cos of the angle between two faces that share an edge; faces without area count as turned by 90°.

    Args:
        partners: see raster.triangles_antialias.topology.
    """
    normals = F.normalize(face_normals(vertices, faces), dim=1, eps=1e-20)
    face, side = (partners > torch.arange(partners.numel(), device=faces.device).reshape(-1, 3)).nonzero(
        as_tuple=True
    )
    return (1 - (normals[face] * normals[partners[face, side] // 3]).sum(1)).mean()


def laplacian(vertices: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"]) -> Float[Tensor, ""]:
    """Mean of |v - mean of its neighbours|², uniform weights; world units squared."""
    return beside_neighbours(vertices, faces).square().sum(1).mean()


def sign_change(sdf: Float[Tensor, " v"], lattice: Lattice) -> Float[Tensor, ""]:
    """How far crossed lattice edges are from having both ends on one side: floaters and inner walls shrink.

    "Extracting Triangular 3D Models, Materials, and Lighting From Images", Munkberg et al., CVPR 2022,
    arXiv 2111.12503, equation (2): H(σ(s_i), sign s_j) + H(σ(s_j), sign s_i) with binary cross-entropy H, here with
    distances in cells and the mean over the edges in place of the sum.
    """
    low, high = crossed_edges(sdf, lattice)
    a, b = sdf[low] / lattice.cell, sdf[high] / lattice.cell
    loss = F.binary_cross_entropy_with_logits
    return loss(a, (b.detach() > 0).to(a)) + loss(b, (a.detach() > 0).to(b))


def eikonal(sdf: Float[Tensor, " v"], lattice: Lattice) -> Float[Tensor, ""]:
    """Mean of (|∇s| - 1)² over the crossed cubes, slopes being the mean difference along the four edges of each axis.

    "Implicit Geometric Regularization for Learning Shapes", Gropp et al., ICML 2020, arXiv 2002.10099, the second
    term of equation (2), by finite differences on the lattice at rest.
    """
    cubes, _ = crossed_cubes(sdf, lattice)
    ends = lattice.corners(cubes)[:, torch.tensor(edge_corners(), device=sdf.device)]
    slope = (sdf[ends[..., 1]] - sdf[ends[..., 0]]).reshape(-1, 3, 4).mean(2) / lattice.cell
    # the small number keeps the root's slope finite where the field is flat
    return ((slope.square().sum(1) + 1e-12).sqrt() - 1).square().mean()
