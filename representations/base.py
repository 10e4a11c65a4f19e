"""What every representation offers to the loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from sds3d.config.options import Options
from sds3d.core.assets import Asset, Box
from sds3d.core.cameras import Sampler
from sds3d.core.errors import RunFolderError
from sds3d.core.frame import Frame
from sds3d.core.look import Look, Render
from sds3d.core.schedules import Schedule
from sds3d.core.streams import Streams
from sds3d.core.tree import Tree

from .raster.dispatch import Implementation, RasterError, choose


class RepresentationOptions(Options):
    """What the options of every representation can tell before one is made.

    A module of representations offers `Options`, of this class, and `create(options, streams)`. One whose `create`
    takes a further argument `canvas` is handed a function that returns the Canvas.
    """

    forms: ClassVar[frozenset[str]] = frozenset({"mesh"})
    """What `to_asset` makes: mesh, splats, picture, sound."""
    starts_from: ClassVar[tuple[str, ...]] = ("mesh",)
    """What the module's `from_asset(source, options, streams)` takes, where it has that function: kinds of
    representations, handed over as they are, and forms of assets. Of what there is, the first is taken."""

    def unserved(self, device: torch.device) -> str:
        """Why it cannot be drawn on a device, and what to do; "" where it can."""
        if self.flat:
            return ""
        try:
            wanted: Implementation = getattr(self, "rasterizer", "auto")
            choose("drawing", wanted, device, torch.float32, offers=(*self.kernels, "twin"))
        except RasterError as error:
            return str(error)
        return ""

    @property
    def kernels(self) -> tuple[str, ...]:
        """Implementations of the rasterization core that draw it, see raster.dispatch."""
        return ("native", "warp")

    @property
    def flat(self) -> bool:
        """Whether it is a picture or a sound, which no camera goes around."""
        return not self.forms.isdisjoint({"picture", "sound"})

    def sampler(self, orbit: Sampler) -> Sampler:
        """Where the training views stand, given the cameras that the config asks for."""
        return orbit

    def start_files(self) -> dict[str, str]:
        """Key -> path of every file that the start is read from, so that a missing one is told at once."""
        return {}

    def backdrop(self) -> tuple[float, float, float] | None:
        """The one background that the prior is told of, RGB in [0, 1]; None where each view has its own."""
        return None


class Canvas(Protocol):
    """What a picture is made for: the parts of a prior that tell its size and its latents."""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        ...

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(C, h, w) of one latent."""
        ...

    def encode(self, media: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c hh ww"]:
        """RGB in [0, 1] -> latents."""
        ...

    def decode(self, z: Float[Tensor, "b c hh ww"]) -> Float[Tensor, "b 3 h w"]:
        """Latents -> RGB in [0, 1]; no gradient."""
        ...


@dataclass(frozen=True)
class ParamGroup:
    """Parameters that share a learning rate.

    Args:
        name: unique in the representation.
        params: name -> leaf tensor; the loop sets requires_grad and reads .grad. After `after_step` has
            replaced tensors (densification), `param_groups` must return the new ones under the same names.
        lr: learning rate as a schedule over the stage's progress; the loop multiplies it by its own.
    """

    name: str
    params: Mapping[str, Tensor]
    lr: Schedule


def require_same_shapes(
    saved: Mapping[str, Tensor], own: Mapping[str, Tensor], what: str, options: str
) -> None:
    """Refuse tensors that were saved under other options.

    Args:
        saved: name -> tensor of the state. own: those that the options make. what: what they are.
        options: the keys of the config that decide their shapes.

    Raises:
        RunFolderError: names or shapes differ.
    """
    found, wanted = ({name: tuple(v.shape) for name, v in given.items()} for given in (saved, own))
    if found != wanted:
        raise RunFolderError(
            f"the saved {what} have the shapes {found}, the options ask for {wanted}; set {options} to what the run "
            "was made with"
        )


class Moments(Protocol):
    """How `after_step` edits the optimizer's memory together with the parameters."""

    def rearrange(self, name: str, value: Tensor, rows: Tensor) -> None:
        """Replace parameter `name` by `value`; row i inherits the moments of old row rows[i], or zero for -1."""
        ...

    def forget(self, name: str, rows: Tensor | None = None) -> None:
        """Zero the moments of some rows (all for None) of parameter `name`."""
        ...


@runtime_checkable
class Colored(Protocol):
    """A representation whose colours can be asked for at any point of its surface, as baking a texture does."""

    def surface_colors(self) -> Callable[[Tensor], Tensor]:
        """A function from (P, 3) world points on the surface of `to_asset("mesh")` to (P, 3) sRGB, on the CPU."""
        ...


@runtime_checkable
class Framed(Protocol):
    """A representation that is drawn in our world and exported in the space of somebody else's asset."""

    @property
    def frame(self) -> Frame:
        """Where our world lies in the space of what `to_asset` makes."""
        ...

    @property
    def options(self) -> RepresentationOptions:
        """What it was made with."""
        ...


@runtime_checkable
class Representation(Protocol):
    """A differentiable scene, or a picture.

    `provides` names the outputs of `render`; `bounds` is the box that holds the object.
    """

    provides: frozenset[str]
    bounds: Box

    def to(self, device: torch.device) -> None:
        """Move every tensor to a device, where it renders from then on; states that are loaded later go there too."""
        ...

    def render(self, look: Look) -> Render:
        """Differentiable outputs for one request; see core.look for names and ranges."""
        ...

    def regularise(self, render: Render, progress: float) -> dict[str, Tensor]:
        """Named scalar losses (already weighted) on the parameters and on the last training render."""
        ...

    def param_groups(self) -> list[ParamGroup]:
        """The trainable tensors, grouped by learning rate."""
        ...

    def after_step(
        self, step: int, total: int, render: Render, moments: Moments, streams: Streams
    ) -> dict[str, float]:
        """Changes between steps (densify, prune, opacity reset); returns numbers for the metrics.

        `render` is the training render of this step, whose auxiliary tensors may hold gradients
        (such as "means2d" with .grad).
        """
        ...

    def state_dict(self) -> Tree:
        """Everything that the representation is: parameters and counters. Exact: load(state_dict()) is the same."""
        ...

    def load_state_dict(self, state: Tree) -> None:
        """Restore `state_dict`'s value; shapes may differ from the present ones."""
        ...

    def to_asset(self, kind: str) -> Asset:
        """Export as "mesh", "splats", "picture" or "sound"; raises AssetError where it has no such form."""
        ...
