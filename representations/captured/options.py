"""Options of Gaussians that are fitted to photographs, and of the capture that they are fitted to."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from sds3d.config.options import Options as Base
from sds3d.config.options import Scalar, Unit
from sds3d.core import schedules
from sds3d.core.frame import Axis, Vector

from ..gaussians.options import DensifyOptions, InitOptions, McmcOptions
from ..gaussians.options import Options as GaussianOptions
from ..placed import Placed


class SceneCapture(Base):
    """What is fitted: photographs with their cameras, and how they stand."""

    file: str | None = None
    """The transforms.json or the folder of a COLMAP model; by default the one that `source` means. It is never
    written."""
    sha256: str | None = None
    """Of the camera files, and of the names and sizes of the pictures, so that no other capture takes their place."""
    images: str | None = None
    """Folder of a COLMAP capture's pictures. Default: images/ beside the model or above it."""
    size: int = Field(default=128, ge=16, le=4096)
    """Longest side in pixels of the pictures that are fitted; smaller pictures stay as they are."""
    holdout: int = Field(default=8, ge=0)
    """Every so many pictures, by name, one is not fitted but judged by; 0 keeps none back."""
    up: Literal["auto"] | Axis = "auto"
    """Up axis of the capture. auto: the direction that is up for all cameras, which most people hold level."""
    front_deg: float = Field(default=0.0, ge=-360, le=360)
    """Azimuth in degrees from which the scene shows its front."""
    centre: Vector | None = None
    """What the cameras look at, in the capture's units. Default: the point nearest to their axes."""
    radius: float | None = Field(default=None, gt=0.0, allow_inf_nan=False)
    """How far the scene reaches around the centre, in the capture's units. Default: as far as the cameras see."""
    background: Literal["auto", "none"] | tuple[Unit, Unit, Unit] = "auto"
    """What is behind the scene, RGB; none: the pictures' alpha says where they show nothing. auto: none where pictures
    have alpha, the colour of the borders where they are of one, else black, and the surroundings are part of the
    scene."""
    frame: Placed | None = None
    """Where our world lies in the capture. Default: follows from the cameras."""
    azimuth_deg: tuple[float, float] | None = None
    """From where it was photographed, which an edit looks from. Default: follows from the cameras."""
    elevation_deg: tuple[float, float] | None = None
    """The same of the elevations."""


class Options(GaussianOptions):
    """Gaussians fitted to photographs, exported in the capture's own space and units."""

    forms: ClassVar[frozenset[str]] = frozenset({"splats"})
    starts_from: ClassVar[tuple[str, ...]] = ()

    kind: Literal["captured"] = "captured"  # type: ignore[assignment]
    """Name of the representation."""
    init: InitOptions = Field(default_factory=lambda: InitOptions(count=6000, radius=0.7))
    """The start where the capture has no points; its points otherwise, at most `count`."""
    sh_degree: int = Field(2, ge=0, le=3)
    """Degree of the colours' spherical harmonics; 0 is one colour from all sides."""
    half_extent: float = Field(1.5, gt=0.0)
    """Radius of the ball that holds the centres, world units; centres that leave it are put back on its surface."""
    min_scale: float = Field(0.001, gt=0.0)
    """Smallest standard deviation, world units."""
    strategy: Literal["densify", "mcmc", "fixed"] = "densify"
    """How the number of Gaussians changes."""
    densify: DensifyOptions = Field(
        default_factory=lambda: DensifyOptions(every=100, prune_opacity=0.01, cap=20_000)
    )
    """Clone, split, prune."""
    mcmc: McmcOptions = Field(default_factory=lambda: McmcOptions(cap=20_000))
    """Relocation, growth, noise."""
    alpha: Scalar = schedules.constant(0.0)
    """Weight of sqrt(alpha) summed over the pixels of a view."""
    entropy: Scalar = schedules.constant(0.0)
    """Weight of the binary entropy of alpha summed over the pixels of a view."""
    opacity: Scalar = schedules.constant(0.001)
    """Weight of the sum of the opacities: drives Gaussians that nobody needs to nothing."""
    scale: Scalar = schedules.constant(0.0)
    """Weight of the squared excess of each standard deviation over max_scale, in units of max_scale."""
    anisotropy: Scalar = schedules.constant(0.0)
    """Weight of the squared excess of log(longest / middle axis) over log(max_anisotropy)."""
