"""Lights for shaded representations: a key light that may follow the camera, ambient light, and an environment.

An environment is light from everywhere as real spherical harmonics up to degree 2: nine coefficients a colour give a
matte surface's light within a few per cent of any environment's (Ramamoorthi and Hanrahan, "An Efficient
Representation for Irradiance Environment Maps", 2001), and have its reflection in a rough surface in closed form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .cameras import Cameras

BANDS = (0, 1, 1, 1, 2, 2, 2, 2, 2)
"""Degree of each harmonic."""
MATTE = (1.0, 2.0 / 3.0, 0.25)
"""What a clamped cosine leaves of each degree, over π (2001, equation 8)."""
FIRST = 0.488603
"""Factor of the harmonics of degree 1."""

STUDIO_KEY = (0.55, 0.70, 0.45)
"""Where the studio's key light comes from, in the world: from above, in front and at the right."""
_AMBIENT, _SKY, _KEY, _FRONT = 0.18, 0.126, 0.504, 0.174


@dataclass(frozen=True)
class Lights:
    """The light of B views.

    Args:
        direction: (B, 3) unit vectors from the object to the key light, in world axes.
        key: (B, 3) key light RGB, linear: what a white matte surface that faces it sends back.
        ambient: (B, 3) RGB, linear: radiance that is the same from everywhere.
        environment: (B, 9, 3) further radiance as spherical harmonics of the direction that it comes from, linear
            RGB; see `harmonics`. None for none.
    """

    direction: Float[Tensor, "b 3"]
    key: Float[Tensor, "b 3"]
    ambient: Float[Tensor, "b 3"]
    environment: Float[Tensor, "b 9 3"] | None = None

    def __getitem__(self, index: Int[Tensor, " n"]) -> Lights:
        """The lights of an index, in its order."""
        return self._map(lambda value: value[index])

    def to(self, device: torch.device) -> Lights:
        """The same on another device."""
        return self._map(lambda value: value.to(device))

    def _map(self, change: Callable[[Tensor], Tensor]) -> Lights:
        environment = None if self.environment is None else change(self.environment)
        return Lights(change(self.direction), change(self.key), change(self.ambient), environment)

    def shade(
        self, albedo: Float[Tensor, "b 3 h w"], normal: Float[Tensor, "b 3 h w"]
    ) -> Float[Tensor, "b 3 h w"]:
        """Linear radiance of a matte surface, albedo * (around(n) + key * max(0, n.l)), (B, 3, H, W)."""
        cosine = torch.einsum("bchw,bc->bhw", normal, self.direction).clamp_min(0.0)
        view = torch.arange(len(normal), device=normal.device)[:, None, None].expand_as(cosine)
        around = self.around(normal.movedim(1, 3).reshape(-1, 3), view.reshape(-1))
        light = around.reshape(*view.shape, 3) + self.key[:, None, None] * cosine[..., None]
        return albedo * light.movedim(3, 1)

    def around(self, normal: Float[Tensor, "n 3"], view: Int[Tensor, " n"]) -> Float[Tensor, "n 3"]:
        """Radiance of a white matte surface with that normal from everything but the key light, linear RGB, at
        least 0. view: which of the B views each row belongs to."""
        return self._filtered(normal, view, normal.new_tensor(MATTE)[list(BANDS)])

    def reflected(
        self, direction: Float[Tensor, "n 3"], roughness: Float[Tensor, " n"], view: Int[Tensor, " n"]
    ) -> Float[Tensor, "n 3"]:
        """Radiance from around a direction as a rough mirror gathers it, without the key light, linear RGB, at
        least 0.

        A microfacet lobe leaves exp(-(σ l)²) of degree l (Ramamoorthi and Hanrahan, "A Signal-Processing Framework
        for Inverse Rendering", 2001, section 4.3), σ the standard deviation of slopes: α² = 2 σ², α = roughness².
        """
        degree = direction.new_tensor(BANDS)
        return self._filtered(direction, view, torch.exp(-0.5 * roughness[:, None] ** 4 * degree**2))

    def _filtered(self, direction: Tensor, view: Tensor, kept: Tensor) -> Tensor:
        if self.environment is None:
            return self.ambient[view]
        return (self.ambient[view] + _sum(harmonics(direction) * kept, self.environment, view)).clamp_min(0.0)


def _sum(basis: Float[Tensor, "n 9"], coefficients: Float[Tensor, "b 9 3"], view: Tensor) -> Tensor:
    return torch.einsum("nk,nkc->nc", basis, coefficients[view])


def harmonics(direction: Float[Tensor, "n 3"]) -> Float[Tensor, "n 9"]:
    """Real spherical harmonics of unit vectors in world axes, orthonormal on the sphere, in the order 1; y, z, x;
    xy, yz, 3 z² - 1, xz, x² - y² (2001, equation 3)."""
    x, y, z = direction.unbind(1)
    first = [torch.full_like(x, 0.282095), FIRST * y, FIRST * z, FIRST * x]
    second = [1.092548 * x * y, 1.092548 * y * z, 0.315392 * (3 * z * z - 1), 1.092548 * x * z]
    return torch.stack([*first, *second, 0.546274 * (x * x - y * y)], dim=1)


def headlight(cameras: Cameras, ambient: float = 0.3) -> Lights:
    """A key light at the camera: what is seen is lit."""
    count, device = len(cameras), cameras.c2w.device
    direction = torch.nn.functional.normalize(cameras.position, dim=-1)
    return Lights(
        direction,
        torch.full((count, 3), 1.0 - ambient, device=device),
        torch.full((count, 3), ambient, device=device),
    )


def studio(cameras: Cameras) -> Lights:
    """The light of the embedded prior's training pictures: a key light that stands in the world, a sky brighter than
    the ground, a little light from the camera.

    Its numbers are fitted to those pictures (white matte surfaces, views of elevation -10 to 60 degrees: off by 0.016
    of sRGB in the mean), which multiply sRGB colours by a shade.
    """
    front = torch.nn.functional.normalize(cameras.position, dim=-1)
    white = torch.ones_like(front)
    key = torch.nn.functional.normalize(front.new_tensor(STUDIO_KEY), dim=0).expand_as(front)
    slope = _FRONT * front + _SKY * front.new_tensor([0.0, 1.0, 0.0])
    environment = front.new_zeros(len(front), 9, 3)
    environment[:, 1:4] = (slope[:, [1, 2, 0]] / (MATTE[1] * FIRST))[:, :, None]
    return Lights(key, _KEY * white, _AMBIENT * white, environment)
