"""What the suite of the surfels does not ask of their Warp kernels: extreme scenes, exact slopes, refusals."""

from __future__ import annotations

import math

import pytest
import torch
from gaussian_cases import assert_close
from sds3d.representations.raster.dispatch import RasterError
from sds3d.representations.raster.surfels import rasterize_surfels
from torch import Tensor

from sds3d.core.cameras import orbit
from sds3d.core.errors import NonFiniteError

pytest.importorskip("warp")

CAMERAS = orbit([0.0, 140.0], [0.0, 25.0], 2.0)
SIZE = (35, 42)  # three by three tiles, the last ones cut
PICTURES = ("rgb", "alpha", "depth", "normal", "distortion")
QUARTER = (math.sqrt(0.5), 0.0, math.sqrt(0.5), 0.0)
Scene = list[Tensor]


def scene(*surfels: tuple) -> Scene:
    """Arguments from rows of (mean, scales, quaternion, opacity), each of its own colour."""
    means, scales, turns, opacities = (torch.tensor(list(v)) for v in zip(*surfels, strict=True))
    count = len(surfels)
    sh = torch.linspace(-1.0, 1.0, 12 * count).reshape(count, 4, 3)
    return [means, scales, turns, opacities, sh]


def layers(count: int, opacity: float) -> Scene:
    """Parallel sheets, behind each other as the first camera sees them."""
    return scene(
        *(((0.01 * k, 0.0, -0.02 * k), (0.4, 0.3), (1.0, 0.0, 0.0, 0.0), opacity) for k in range(count))
    )


EXTREMES = {
    "none": [torch.zeros(0, *shape) for shape in ((3,), (2,), (4,), (), (4, 3))],
    "points": scene(
        ((0.1, 0.0, 0.0), (0.0, 0.0), (1.0, 0.0, 0.0, 0.0), 0.9), ((0.0,) * 3, (0.0, 0.3), QUARTER, 0.7)
    ),
    "edge on": scene(
        ((0.0, 0.0, 0.0), (0.3, 0.2), QUARTER, 0.8), ((0.0, 0.2, 0.1), (0.5, 0.1), QUARTER, 0.6)
    ),
    "no direction": scene(((0.0, 0.0, 0.0), (0.3, 0.2), (0.0, 0.0, 0.0, 0.0), 0.8)),
    "unseen": scene(
        ((0.0, 0.0, 5.0), (0.3, 0.2), QUARTER, 0.8),
        ((0.0, 0.0, 2.0), (0.3, 0.2), QUARTER, 0.8),
        ((0.0, 0.0, 0.0), (0.3, 0.2), QUARTER, 0.0),
        ((90.0, 0.0, 0.0), (0.3, 0.2), QUARTER, 1.0),
    ),
    "beside and behind": scene(((0.0, 0.0, 0.4), (0.4, 1.5), (0.9, 0.3, 0.1, 0.0), 0.9)),
    "closed by full ones": layers(9, 1.0),
    "closed by many": layers(40, 0.5),
    "one place": scene(*[((0.1, 0.1, 0.1), (0.3, 0.3), (1.0, 0.2, 0.0, 0.1), 0.5)] * 4),
    "wide": scene(((0.0, 0.0, -9.0), (9.0, 9.0), (1.0, 0.0, 0.0, 0.0), 0.5)),
}


def drawn(arguments: Scene, implementation: str) -> dict[str, Tensor]:
    """Pictures, and the slopes of a random linear function of them."""
    leaves = [v.clone().requires_grad_() for v in arguments]
    out = rasterize_surfels(*leaves, CAMERAS, SIZE, torch.full((2, 3), 0.4), implementation=implementation)
    pictures = {name: getattr(out, name) for name in PICTURES}
    generator = torch.Generator().manual_seed(4)
    loss = sum((v * torch.randn(v.shape, generator=generator)).sum() for v in pictures.values())
    names = ("means", "scales", "rotations", "opacities", "sh")
    return pictures | dict(zip(names, torch.autograd.grad(loss, leaves), strict=True)) | {"radii": out.radii}


@pytest.mark.parametrize("name", EXTREMES)
def test_extreme_scenes_are_the_twins(name) -> None:
    expected, seen = drawn(EXTREMES[name], "twin"), drawn(EXTREMES[name], "warp")
    assert torch.equal(seen["radii"], expected["radii"])
    for key, value in seen.items():
        assert torch.isfinite(value).all(), key
        assert_close(value, expected[key], 2e-3 if key in PICTURES else 2e-2, key, floor=1e-2)


def test_slopes_are_finite_differences_of_the_definition() -> None:
    """Along random directions; the differences are taken of the twin in float64, where they are exact enough."""
    generator = torch.Generator().manual_seed(11)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    leaves = [
        0.3 * random(12, 3),
        0.1 + 0.2 * random(12, 2).abs(),
        random(12, 4),
        0.2 + 0.6 * random(12).sigmoid(),
    ]
    leaves = [v.requires_grad_() for v in (*leaves, 0.3 * random(12, 4, 3))]
    weights = {name: random(2, 3 if name in ("rgb", "normal") else 1, *SIZE) for name in PICTURES}

    def loss(arguments: Scene, implementation: str) -> Tensor:
        behind = torch.full((2, 3), 0.4, dtype=arguments[0].dtype)
        out = rasterize_surfels(*arguments, CAMERAS, SIZE, behind, implementation=implementation)
        # where little is drawn, depth is the quotient of two small numbers
        return sum((getattr(out, k) * w.to(behind)).sum() for k, w in weights.items() if k != "depth")

    slopes = torch.autograd.grad(loss(leaves, "warp"), leaves)
    step = 1e-8
    for at, leaf in enumerate(leaves):
        direction = random(*leaf.shape).double()
        ends = []
        for sign in (1.0, -1.0):
            moved = [v.detach().double() for v in leaves]
            moved[at] = moved[at] + sign * step * direction
            ends.append(loss(moved, "twin"))
        difference = float(ends[0] - ends[1]) / (2 * step)
        assert float((slopes[at].double() * direction).sum()) == pytest.approx(difference, rel=2e-3, abs=0.02)


def test_what_is_not_finite_is_refused_by_name_before_any_kernel() -> None:
    arguments = [v.clone() for v in EXTREMES["edge on"]]
    arguments[1][1, 0] = math.inf
    with pytest.raises(NonFiniteError, match=r"scales\[1, 0\]"):
        drawn(arguments, "warp")


def test_gsplat_and_float64_are_refused() -> None:
    with pytest.raises(RasterError, match="none of auto, native, twin, warp"):
        drawn(EXTREMES["edge on"], "gsplat")
    with pytest.raises(RasterError, match="the warp kernels have no"):
        rasterize_surfels(
            *(v.double() for v in EXTREMES["edge on"]),
            CAMERAS,
            SIZE,
            torch.zeros(2, 3).double(),
            implementation="warp",
        )
