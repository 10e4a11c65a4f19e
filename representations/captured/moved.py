"""Splats in another frame: places, sizes, rotations and the harmonics of their colours."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from sds3d.core.assets import Splats
from sds3d.core.frame import Frame

from ..gaussians.init import product
from ..raster.gaussians_twin import sh_basis

_DIRECTIONS = 64
_GOLDEN = math.pi * (3 - math.sqrt(5))


def moved_splats(splats: Splats, frame: Frame) -> Splats:
    """Splats of our world, in the space of the frame's asset: they look the same from cameras that moved with them."""
    turn = torch.tensor(frame.turn, dtype=torch.float64)
    means = torch.tensor(frame.centre, dtype=torch.float64) + frame.scale * splats.means.double() @ turn.T
    q = quaternion(turn).expand(len(splats.means), 4)
    return replace(
        splats,
        means=means.float(),
        scales=splats.scales * frame.scale,
        rotations=torch.nn.functional.normalize(product(q, splats.rotations.double()), dim=1).float(),
        sh=turned_harmonics(splats.sh, turn),
    )


def quaternion(turn: Float[Tensor, "3 3"]) -> Float[Tensor, " 4"]:
    """The unit quaternion w, x, y, z of a rotation; of the two, either."""
    from scipy.spatial.transform import Rotation

    x, y, z, w = Rotation.from_matrix(turn.numpy()).as_quat().tolist()
    return turn.new_tensor([w, x, y, z])


def turned_harmonics(sh: Float[Tensor, "n k 3"], turn: Float[Tensor, "3 3"]) -> Float[Tensor, "n k 3"]:
    """Harmonics that show in the direction turn · d what `sh` shows in d.

    Each degree turns by itself; its matrix solves Y(turn · d) M = Y(d) at many directions, exactly, since the
    harmonics of a degree span a space that rotations leave alone.
    """
    degree = math.isqrt(sh.shape[1]) - 1
    k = torch.arange(_DIRECTIONS, dtype=torch.float64)
    height = 1 - (2 * k + 1) / _DIRECTIONS
    around = (1 - height**2).sqrt()
    d = torch.stack([around * (_GOLDEN * k).cos(), around * (_GOLDEN * k).sin(), height], dim=1)
    before, after = sh_basis(d, sh.shape[1]), sh_basis(d @ turn.T, sh.shape[1])
    out = sh.double().clone()
    for l in range(1, degree + 1):
        band = slice(l * l, (l + 1) ** 2)
        matrix = torch.linalg.lstsq(after[:, band], before[:, band]).solution
        out[:, band] = torch.einsum("ij,njc->nic", matrix, out[:, band])
    return out.to(sh.dtype)
