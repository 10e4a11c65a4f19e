"""Drawing mesh files, for priors that judge by renders of known assets."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from jaxtyping import Float
from torch import Tensor

from ..assetio.kinds import read
from ..core.assets import Mesh
from ..core.errors import AssetError, ConfigError
from ..core.look import Look
from ..evaluate.mesh_render import render_mesh

_SAMPLES = 2


def file_renderer() -> Callable[[str, Look], Float[Tensor, "b 3 h w"]]:
    """A function (path of a mesh file, look) -> (B, 3, H, W) sRGB over the look's background.

    Files are read once. The function raises ConfigError where a file cannot be read or holds no mesh, and where
    there is no camera.
    """

    @cache
    def mesh(path: str) -> Mesh:
        try:
            found = read(path).mesh
        except AssetError as error:
            raise ConfigError(str(error), key="prior.assets") from error
        if found is None:
            raise ConfigError(f"{path} holds no mesh to draw.", key="prior.assets")
        return found

    def draw(path: str, look: Look) -> Float[Tensor, "b 3 h w"]:
        if look.cameras is None:
            raise ConfigError(
                "a mesh file is drawn from a camera, and this medium has none.", key="prior.kind"
            )
        try:
            rgb = render_mesh(mesh(path), look.cameras, look.size, look.background, _SAMPLES)["rgb"]
            return rgb.to(look.background.device)
        except ValueError as error:
            raise ConfigError(f"{path} cannot be drawn: {error}.", key="prior.assets") from error

    return draw
