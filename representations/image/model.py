"""A picture as a representation.

Pixels are plain numbers, projected onto [0, 1] after each step, rather than the sigmoid of something: the render is
then the identity, so that what a guidance says about a pixel is what the pixel does (a plain gradient step of a
consistent flow is the sampler's step, to the bit), pure white is reached and not only approached, and a file that is
loaded is the picture.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from sds3d.assetio.pictures import load_image
from sds3d.core.assets import Asset, Box, Picture
from sds3d.core.errors import AssetError, RunFolderError
from sds3d.core.look import Look, Render
from sds3d.core.resize import resize
from sds3d.core.streams import Streams
from sds3d.core.tree import Tree

from ..base import Canvas, Moments, ParamGroup
from .options import Options


class ImageModel:
    """A Representation (see representations.base) of one picture.

    Args:
        options: see Options. start: makes the first values (1, C, H, W); not asked where a state is loaded.
        canvas: returns the parts of the prior, for latents.
    """

    bounds = Box((-1.0, -1.0, 0.0), (1.0, 1.0, 0.0))

    def __init__(self, options: Options, start: Callable[[], Tensor], canvas: Callable[[], Canvas]):
        self.options, self._start, self._canvas = options, start, canvas
        self.in_pixels = options.space == "pixels"
        self.provides = frozenset({"rgb"} if self.in_pixels else {"z", "rgb"})
        self._values: Tensor | None = None
        self._device = torch.device("cpu")

    @property
    def values(self) -> Float[Tensor, "1 c h w"]:
        """The tensor that is optimised: pixels, or latents."""
        if self._values is None:
            self._values = self._start().to(self._device)
        return self._values

    def to(self, device: torch.device) -> None:
        """Move the picture."""
        self._device = device
        if self._values is not None:
            self._values = self._values.detach().to(device)

    def render(self, look: Look) -> Render:
        """rgb, the same for every view; where gradients are asked for as it is, else at the look's size.

        Latents with gradients give "z" in its place.
        """
        training = torch.is_grad_enabled() and self.values.requires_grad
        if training:  # a copy: what a guidance has seen must not change with the step that it asked for
            return {"rgb" if self.in_pixels else "z": self.values.repeat(len(look), 1, 1, 1)}
        return {"rgb": resize(self.picture()[None], look.size).expand(len(look), -1, -1, -1)}

    def picture(self) -> Float[Tensor, "3 h w"]:
        """RGB in [0, 1]."""
        values = self.values.detach()
        return (values if self.in_pixels else self._canvas().decode(values))[0].clamp(0.0, 1.0)

    def regularise(self, render: Render, progress: float) -> dict[str, Tensor]:
        """Nothing."""
        return {}

    def param_groups(self) -> list[ParamGroup]:
        """One group of one tensor."""
        return [ParamGroup("picture", {"picture": self.values}, self.options.lr)]

    @torch.no_grad()
    def after_step(
        self, step: int, total: int, render: Render, moments: Moments, streams: Streams
    ) -> dict[str, float]:
        """Put pixels back into [0, 1]."""
        if self.in_pixels and self.options.clamp:
            self.values.clamp_(0.0, 1.0)
        return {}

    def state_dict(self) -> Tree:
        """The picture."""
        return {"picture": self.values}

    def load_state_dict(self, state: Tree) -> None:
        """Restore `state_dict`'s value, of whatever size.

        Raises:
            RunFolderError: it is no picture.
        """
        value = state.get("picture")
        if not isinstance(value, Tensor) or value.ndim != 4:
            raise RunFolderError(
                "the saved state holds no picture; set representation to what the run was made with"
            )
        self._values = value.detach().to(self._device, copy=True)

    def to_asset(self, kind: str) -> Asset:
        """Export as "picture".

        Raises:
            AssetError: another kind is asked for.
        """
        if kind != "picture":
            raise AssetError(f'an image exports as "picture", not as "{kind}"')
        return Picture(self.picture().cpu())


def create(options: Options, streams: Streams, canvas: Callable[[], Canvas]) -> ImageModel:
    """A fresh picture.

    Args:
        canvas: see representations.base.RepresentationOptions.
    """
    return ImageModel(options, lambda: first_values(options, streams, canvas()), canvas)


def first_values(options: Options, streams: Streams, canvas: Canvas) -> Float[Tensor, "1 c h w"]:
    """The start that the options ask for.

    Raises:
        AssetError: the file cannot be read.
    """
    size = canvas.size if options.size is None else (options.size, options.size)
    if options.init not in ("noise", "grey"):
        pixels = resize(middle(_file(options.init), size)[None], size)
        return pixels if options.space == "pixels" else canvas.encode(pixels).detach()
    shape = (3, *size) if options.space == "pixels" else tuple(canvas.latent_shape)
    strength = options.initial_noise if options.init == "noise" else 0.0
    z = strength * streams.normal(shape, "image-init")
    return ((z + 1.0) / 2.0).clamp(0.0, 1.0) if options.space == "pixels" else z


def _file(path: str) -> Float[Tensor, "3 h w"]:
    try:
        return load_image(path)
    except AssetError as error:
        raise AssetError(f"{error} representation.init is noise, grey, or the path of a picture.") from error


def middle(image: Float[Tensor, "3 h w"], size: tuple[int, int]) -> Float[Tensor, "3 hh ww"]:
    """The largest middle part with the proportions of `size`."""
    _, height, width = image.shape
    rows = min(height, max(1, round(width * size[0] / size[1])))
    columns = min(width, max(1, round(height * size[1] / size[0])))
    top, left = (height - rows) // 2, (width - columns) // 2
    return image[:, top : top + rows, left : left + columns]
