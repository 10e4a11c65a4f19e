"""Options of a fit."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sds3d.representations.captured.options import SceneCapture


class CaptureOptions(SceneCapture):
    """A run that fits Gaussians to photographs; no prior and no guidance has a say in it."""

    source: Annotated[str, Field(min_length=1)]
    """The capture: a folder with a transforms.json or a COLMAP model, or that file or model itself."""
