"""Multi-resolution hash grid: points to features, and to the features' slopes.

Formulas and the reference implementation are in `hash_grid_twin`, the table's rows in `hash_grid_layout`.
"""

from __future__ import annotations

from types import ModuleType

import torch
from jaxtyping import Float
from torch import Tensor

from . import hash_grid_native, hash_grid_twin
from .dispatch import Implementation, RasterError, choose
from .finite import require_finite
from .hash_grid_layout import HashGrid


def encode(
    points: Float[Tensor, "n 3"],
    table: Float[Tensor, "t f"],
    grid: HashGrid,
    active: int | None = None,
    *,
    implementation: Implementation = "auto",
) -> Float[Tensor, "n w"]:
    """Features of points; differentiable in the table and in the points.

    Args:
        points: (N, 3) x, y, z in [0, 1]. table: (grid.rows, grid.features).
        active: how many levels count, coarse to fine; the others give zeros. None: all.
        implementation: "auto" takes the fastest that is there, see raster.dispatch; "tcnn" is tiny-cuda-nn.

    Returns:
        (N, levels * features), level after level.

    Raises:
        RasterError: shapes, types or devices that do not fit, points outside the cube, or no implementation
            for the device.
        NonFiniteError: an input holds NaN or infinity; the text gives its index.
    """
    active = grid.levels if active is None else active
    return _kernels("encode", implementation, points, table, grid, active).encode(points, table, grid, active)


def encode_slopes(
    points: Float[Tensor, "n 3"],
    table: Float[Tensor, "t f"],
    grid: HashGrid,
    active: int | None = None,
    *,
    implementation: Implementation = "auto",
) -> tuple[Float[Tensor, "n w"], Float[Tensor, "n 3 w"]]:
    """Features and their derivatives by x, y, z; differentiable in the table alone.

    Both are linear in the table, so that normals made of the slopes have plain first-order gradients.
    Arguments and errors as for `encode`; further

    Raises:
        RasterError: the points require a gradient, or the implementation is "tcnn", which has no slopes.
    """
    active = grid.levels if active is None else active
    if points.requires_grad:
        raise RasterError("encode_slopes: the slopes have no gradient by the points: detach them")
    if implementation == "tcnn":
        raise RasterError("encode_slopes: tiny-cuda-nn has no slopes; ask for 'auto'")
    kernels = _kernels("encode_slopes", implementation, points, table, grid, active)
    return kernels.encode_slopes(points, table, grid, active)


def _kernels(
    function: str, implementation: Implementation, points: Tensor, table: Tensor, grid: HashGrid, active: int
) -> ModuleType:
    """The module that serves, after the arguments were checked."""
    if points.ndim != 2 or points.shape[1] != 3:
        raise RasterError(f"{function}: points must be (N, 3), got {tuple(points.shape)}")
    if tuple(table.shape) != (grid.rows, grid.features):
        raise RasterError(
            f"{function}: table must be {(grid.rows, grid.features)} for this grid, got {tuple(table.shape)}"
        )
    if points.dtype != table.dtype or points.device != table.device:
        raise RasterError(
            f"{function}: points are {points.dtype} on {points.device}, "
            f"the table {table.dtype} on {table.device}"
        )
    if not 1 <= active <= grid.levels:
        raise RasterError(f"{function}: active must lie in 1 to {grid.levels} levels, got {active}")
    offers = ("native", "twin", "warp", "tcnn") if function == "encode" else ("native", "twin", "warp")
    choice = choose(function, implementation, points.device, points.dtype, offers=offers)
    require_finite(function, "points", points)
    require_finite(function, "table", table)
    if len(points) and points.device.type != "meta":
        low, high = torch.aminmax(points.detach())
        if float(low) < 0 or float(high) > 1:
            raise RasterError(
                f"{function}: points must lie in [0, 1], they reach from {float(low):g} to {float(high):g}"
            )
    if choice == "warp":
        from .warp import hash_grid as hash_grid_warp

        return hash_grid_warp
    if choice == "tcnn":
        from . import hash_grid_tcnn

        return hash_grid_tcnn
    return hash_grid_native if choice == "native" else hash_grid_twin
