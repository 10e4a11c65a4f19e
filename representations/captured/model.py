"""Gaussians that learn in our world from photographs and are exported in the space of the capture."""

from __future__ import annotations

import torch

from sds3d.assetio.capture import Capture, read_again
from sds3d.core.assets import Asset, PointCloud
from sds3d.core.errors import AssetError, ConfigError
from sds3d.core.frame import Frame
from sds3d.core.streams import Streams

from ..gaussians import init
from ..gaussians.model import GaussianModel
from ..gaussians.parameters import Parameters
from .moved import moved_splats
from .options import Options, SceneCapture

FEWEST = 20
"""Points of a capture below which they are no start."""


class CapturedGaussians(GaussianModel):
    """A Representation (see representations.base): Gaussians whose asset lies in the capture's space.

    Args:
        options, parameters: as for GaussianModel, in our world. frame: where our world lies in the capture.
    """

    def __init__(self, options: Options, parameters: Parameters, frame: Frame):
        super().__init__(options, parameters)
        self.frame = frame

    def to_asset(self, kind: str) -> Asset:
        """Export as "splats", in the capture's space and units.

        Raises:
            AssetError: another kind is asked for.
        """
        if kind != "splats":
            raise AssetError(f'Gaussians of a capture export as "splats", not as "{kind}"')
        return moved_splats(self.parameters.to_splats(), self.frame)


def opened(capture: SceneCapture | None) -> tuple[Capture, Frame]:
    """The capture that the options name, and where our world lies in it.

    Raises:
        ConfigError: they name none. AssetError: it cannot be read, or was changed since the fit began.
    """
    if capture is None or capture.file is None or capture.frame is None:
        raise ConfigError(
            "captured fits photographs, and the config names none.",
            key="representation",
            hint="Use `sds3d fit CAPTURE`, or name the capture under capture.source.",
        )
    found = read_again(capture.file, capture.images)
    if capture.sha256 is not None and found.fingerprint() != capture.sha256:
        raise AssetError(
            f"{capture.file}: is not the capture that this fit began with: its cameras or pictures were changed. Put "
            "the old ones back, or begin a new fit."
        )
    return found, capture.frame.frame()


def start(options: Options, points: PointCloud | None, frame: Frame, streams: Streams) -> Parameters:
    """Gaussians on the capture's points inside the ball that holds them, or in a ball where there are too few."""
    if points is not None:
        place = frame.to_world(points.points).float()
        inside = place.norm(dim=1) < options.half_extent
        if int(inside.sum()) >= FEWEST:
            colors = None if points.colors is None else points.colors[inside]
            return init.from_asset(PointCloud(place[inside], colors), options, streams)
    return init.initial(options, streams)


def create(options: Options, streams: Streams, capture: SceneCapture | None = None) -> CapturedGaussians:
    """Gaussians before the first step.

    Raises:
        ConfigError: nothing is fitted. AssetError: the capture cannot be read, or was changed.
    """
    found, frame = opened(capture)
    with torch.no_grad():
        return CapturedGaussians(options, start(options, found.points, frame, streams), frame)
