"""Small pieces that float beside the object: found among the lattice's points, and taken away."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..lattice import Lattice


@torch.no_grad()
def without_crumbs(
    sdf: Float[Tensor, " v"], lattice: Lattice, share: float
) -> tuple[Float[Tensor, " v"], int]:
    """Distances without the pieces whose volume is below a share of the largest one's, and how many these were.

    Pieces are inside points that hang together along lattice edges. Points of a crumb become as far outside as they
    were inside.
    """
    from scipy.ndimage import label, sum_labels

    n = lattice.line
    inside = (sdf < 0).cpu().reshape(n, n, n).numpy()
    piece, count = label(inside)
    if count < 2:
        return sdf, 0
    volume = torch.from_numpy(sum_labels(inside, piece, range(count + 1)))
    small = volume < share * volume.max()
    small[0] = False
    crumb = small[torch.from_numpy(piece).long()].reshape(-1).to(sdf.device)
    return torch.where(crumb, sdf.abs(), sdf), int(small.sum())
