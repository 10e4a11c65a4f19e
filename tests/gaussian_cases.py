"""Random Gaussians, cameras and comparisons for the tests of the Gaussian rasterizer."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from raster_cases import select
from sds3d.representations.raster import gaussians_native, gaussians_twin
from sds3d.representations.raster.gaussians import GaussianRender, opencv_view, rasterize_gaussians
from torch import Tensor

from sds3d.core.cameras import Cameras, orbit

NAMES = ("means", "scales", "rotations", "opacities", "sh")


@dataclass
class Case:
    """Everything that one call takes, of one dtype."""

    arrays: dict[str, Tensor]
    cameras: Cameras
    size: tuple[int, int]
    background: Tensor

    def to(self, dtype: torch.dtype) -> Case:
        """The same numbers in another dtype, detached."""
        cameras = replace(
            self.cameras, c2w=self.cameras.c2w.to(dtype), fov_y_deg=self.cameras.fov_y_deg.to(dtype)
        )
        arrays = {name: value.detach().to(dtype) for name, value in self.arrays.items()}
        return Case(arrays, cameras, self.size, self.background.to(dtype))

    def draw(self, implementation: str, **options) -> GaussianRender:
        """One call."""
        return rasterize_gaussians(
            **self.arrays,
            cameras=self.cameras,
            size=self.size,
            background=self.background,
            implementation=implementation,
            **options,
        )


def use(patch: pytest.MonkeyPatch, name: str) -> str:
    """Select an entry of `implementations`; returns the value for the argument `implementation`."""
    return select(patch, gaussians_native, name)


def random_case(
    seed: int, count: int = 40, sh_count: int = 4, size: tuple[int, int] = (24, 37), views: int = 1
) -> Case:
    """Gaussians of all shapes and opacities around the origin, a few of them behind or beside the camera."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    arrays = {
        "means": normal(count, 3) * 0.6,
        "scales": torch.exp(normal(count, 3) * 0.9 - 2.7),
        "rotations": normal(count, 4),
        "opacities": torch.rand(count, generator=generator),
        "sh": normal(count, sh_count, 3) * 0.4,
    }
    angle = torch.rand(views, 4, generator=generator)
    cameras = orbit(360 * angle[:, 0], 120 * angle[:, 1] - 60, 1.2 + angle[:, 2], 30 + 40 * angle[:, 3])
    return Case(arrays, cameras, size, torch.rand(views, 3, generator=generator))


def single(
    opacity: float = 0.8,
    scale: float = 0.1,
    position: tuple[float, float, float] = (0.0, 0.0, 0.0),
    size: tuple[int, int] = (31, 47),
) -> Case:
    """One round grey Gaussian before a camera in front, black background."""
    arrays = {
        "means": torch.tensor([position]),
        "scales": torch.full((1, 3), scale),
        "rotations": torch.tensor([[1.0, 0.0, 0.0, 0.0]]),
        "opacities": torch.tensor([opacity]),
        "sh": torch.zeros(1, 1, 3),
    }
    return Case(arrays, orbit([0.0], 0.0), size, torch.zeros(1, 3))


def joined(*cases: Case) -> Case:
    """The Gaussians of several cases in the first one's picture."""
    arrays = {name: torch.cat([c.arrays[name] for c in cases]) for name in NAMES}
    return replace(cases[0], arrays=arrays)


def with_gradients(
    case: Case, draw, seed: int = 0, depth_weight: float = 0.3
) -> tuple[GaussianRender, dict[str, Tensor]]:
    """`draw(case, probe)` and the gradients of a random linear function of its pictures."""
    leaves = {name: value.clone().requires_grad_() for name, value in case.arrays.items()}
    cameras = replace(
        case.cameras,
        c2w=case.cameras.c2w.clone().requires_grad_(),
        fov_y_deg=case.cameras.fov_y_deg.clone().requires_grad_(),
    )
    background = case.background.clone().requires_grad_()
    probe = torch.zeros(len(cameras), len(leaves["means"]), 2, dtype=background.dtype, requires_grad=True)
    render = draw(Case(leaves, cameras, case.size, background), probe)
    generator = torch.Generator().manual_seed(seed)
    loss = torch.zeros((), dtype=background.dtype)
    for picture, weight in ((render.rgb, 1.0), (render.alpha, 1.0), (render.depth, depth_weight)):
        loss = loss + weight * (picture * torch.randn(picture.shape, generator=generator)).sum()
    loss.backward()
    leaves |= {"c2w": cameras.c2w, "fov_y_deg": cameras.fov_y_deg, "background": background, "probe": probe}
    return render, {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}


def is_decided(case: Case, margin: float = 2e-5) -> bool:
    """Whether rounding cannot flip a decision of this case: which contributions are skipped (alpha against
    1/255), limited (0.999) or cut off (transmittance 1e-4), colours cut at 0, order by depth, field margin."""
    exact = case.to(torch.float64)
    covariance = gaussians_twin.covariance_matrix(exact.arrays["scales"], exact.arrays["rotations"])
    view, focal = opencv_view(exact.cameras), exact.cameras.focal(case.size[0])
    height, width = case.size
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    means, opacities, sh = (exact.arrays[name] for name in ("means", "opacities", "sh"))
    for b in range(len(view)):
        splats = gaussians_twin.project(
            means,
            covariance,
            opacities,
            sh,
            view[b],
            exact.cameras.position[b],
            focal[b],
            None,
            case.size,
            0.01,
        )
        splats = splats.take(torch.argsort(splats.depth))
        if len(splats.depth) == 0:
            continue
        dx, dy = x[..., None] - splats.mean[:, 0], y[..., None] - splats.mean[:, 1]
        xx, xy, yy = splats.conic.unbind(1)
        raw = splats.opacity * torch.exp(-0.5 * (xx * dx * dx + yy * dy * dy) - xy * dx * dy)
        alpha = torch.where(raw >= 1 / 255, raw.clamp_max(0.999), 0)
        through = torch.cumprod(1 - alpha, dim=2)
        local = means[splats.index] @ view[b, :, :3].T + view[b, :, 3]
        slope = (local[:, :2] / local[:, 2:]).abs() * focal[b] / (1.3 * 0.5)
        near = [
            (raw * 255 - 1).abs().min(),
            (raw / 0.999 - 1).abs().min(),
            (through / 1e-4 - 1).abs().min(),
            torch.where(splats.colour > 0, splats.colour, 1.0).min(),
            (slope / torch.tensor([width, height]) - 1).abs().min(),
            splats.depth.diff().min() if len(splats.depth) > 1 else torch.tensor(1.0),
        ]
        if min(float(v) for v in near) < margin:
            return False
    return True


def assert_close(
    actual: Tensor, expected: Tensor, relative: float, name: str = "", floor: float = 1e-6
) -> None:
    """Largest difference at most `relative` times the largest expected value (or `floor`)."""
    actual, expected = actual.detach().double(), expected.detach().double()
    scale = max(float(expected.abs().max()) if expected.numel() else 0.0, floor)
    error = float((actual - expected).abs().max()) if expected.numel() else 0.0
    assert error <= relative * scale, f"{name}: off by {error:.3g}, scale {scale:.3g}"
