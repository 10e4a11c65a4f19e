"""What every edit of an asset has in common: what is edited, how it stands, what of it may change.

An edited scene stays in the space of its asset. What moves are differences from the file's own numbers, in our units,
kept for the rows alone that may change: all others are the file's own, to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from pydantic import AfterValidator, Field
from torch import Tensor

from sds3d.config.options import Options
from sds3d.core.cameras import Cameras
from sds3d.core.errors import AssetError, ConfigError, RunFolderError
from sds3d.core.frame import Axis, Frame, fitted_frame, upright

from .base import Representation
from .painted_mask import lifted
from .placed import Placed
from .region import Ballot, Elements, Region, Vote, atoms, is_told, parse_region, views_of, well_formed
from .told_region import unpacked

RADIUS = 0.75
"""How far an asset reaches in our world, as the objects of the embedded prior's training do."""

Keep = Literal["nothing", "shape", "colour"]


class SceneEdit(Options):
    """What is edited, how it stands, and what of it may change."""

    file: str | None = None
    """The file that is edited; by default the one that `source` means. It is never written."""
    sha256: str | None = None
    """What the file's bytes were when the edit began, so that no other file takes their place."""
    keep: Keep = "nothing"
    """shape: only colours change. colour: only the shape changes. nothing: both may."""
    region: tuple[Annotated[str, AfterValidator(well_formed)], ...] = ()
    """Where changes are allowed, in the file's own units and names; everything else stays as it is, to the byte."""
    up: Literal["auto"] | Axis = "auto"
    """Up axis of the file. auto: -y for splats that sds3d did not write (captures, OpenCV's axes), else +y, as glTF."""
    front_deg: float = Field(default=0.0, ge=-360, le=360)
    """Azimuth in degrees from which the object shows its front, as cameras count: counter-clockwise from above."""
    fit: bool = True
    """Centre the cameras on the object and stand as far away as its size asks; false: it lies in sds3d's own world."""
    placed: Placed | None = Field(default=None, exclude_if=lambda value: value is None)
    """Where our world lies in the file, as the fit of a capture says; `up` and `fit` do not matter then. Default: it
    follows from the file."""

    told: Mapping[str, str] = Field(default={}, exclude_if=lambda value: not value)
    """What the parts of `region` came to that pictures tell (mask:, text:, auto), when the edit began: elements by
    number, packed. Written by sds3d; leave it out to have them looked for again."""

    def parsed_region(self, vote: Vote, counts: Mapping[str, int]) -> Region:
        """What may change.

        Args:
            vote: asks views of the file as it is, for painted masks that were not looked for yet.
            counts: how many elements of each name the file has.

        Raises:
            ConfigError: a selector cannot be read, or what it came to is of another file. AssetError: a mask cannot
                be used.
        """

        def told(atom: str) -> Elements | None:
            if atom not in self.told:
                return lifted(views_of(atom), vote) if atom.startswith("mask:") else None
            found = unpacked(self.told[atom])
            if {name: len(which) for name, which in found.items()} != dict(counts):
                raise ValueError(
                    f"what edit.told says of {atom!r} is of another file; leave edit.told out, and it is looked for "
                    "again"
                )
            return found

        try:
            return parse_region(self.region, told)
        except ValueError as error:
            raise ConfigError(str(error), key="edit.region") from error

    def open_questions(self) -> list[str]:
        """The parts of `region` that pictures tell and that were not looked for yet."""
        return [atom for atom in atoms(self.region) if is_told(atom) and atom not in self.told]

    def frame(
        self,
        points: Float[Tensor, "n 3"],
        up: Axis,
        share: float = 1.0,
        weights: Float[Tensor, " n"] | None = None,
    ) -> Frame:
        """Where our world lies among the points of an asset, whose up axis is `up` unless the options say otherwise.

        Args:
            share, weights: as for `fitted_frame`.

        Raises:
            AssetError: the points lie at one place.
        """
        if self.placed is not None:
            said = self.placed.frame(self.front_deg)
            if self.placed.whole:
                return said
            turn = said.turn
        else:
            turn = upright(up if self.up == "auto" else self.up, self.front_deg)
            if not self.fit:
                return Frame(turn=turn)
        try:
            return fitted_frame(points, turn, RADIUS, share, weights)
        except ValueError as error:
            raise AssetError(f"{self.file}: cannot be looked at: {error}.") from error


@runtime_checkable
class Edited(Protocol):
    """A representation of a file that is edited."""

    kind: str
    """Kind of the files that `patched` makes, of assetio.kinds."""
    notes: tuple[str, ...]
    """What a person should know of how the file was taken."""

    def ballots(self, cameras: Cameras, maps: Float[Tensor, "b h w"]) -> Mapping[str, Ballot]:
        """What views of it say of its elements; see region.Ballot."""
        ...

    def original(self) -> Representation:
        """The asset as it was, drawn in the same way; nothing in it moves."""
        ...

    def patched(self) -> bytes:
        """The file with nothing changed but what was edited."""
        ...


class Differences:
    """Named tensors that move, each the difference of some rows of a value of the asset from what the file says.

    Args:
        shapes: name -> shape of one row. rows: name -> (M,) the rows of the value that may change, ascending.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], rows: Mapping[str, Int[Tensor, " m"]]):
        self.rows = dict(rows)
        self.values = {name: torch.zeros(len(rows[name]), *shape) for name, shape in shapes.items()}

    def to(self, device: torch.device) -> None:
        """Move every tensor."""
        self.rows = {name: value.to(device) for name, value in self.rows.items()}
        self.values = {name: value.detach().to(device) for name, value in self.values.items()}

    def added(self, name: str, value: Tensor, scale: float = 1.0) -> Tensor:
        """`value` with the difference times `scale` added to its rows; the value itself where nothing may change."""
        if name not in self.values or not len(self.rows[name]):
            return value
        here = self.rows[name]
        return value.index_put((here,), value[here] + scale * self.values[name])

    @torch.no_grad()
    def limit(self, name: str, value: Tensor, low: float, high: float) -> None:
        """Put differences back so that the sum lies between the ends, or where the file's own value lies beyond."""
        if name in self.values:
            here = value[self.rows[name]]
            most, least = (high - here).clamp_min(0.0), (low - here).clamp_max(0.0)
            self.values[name].copy_(self.values[name].clamp(least, most))

    def state_dict(self) -> dict[str, Tensor]:
        """The differences."""
        return {name: value.detach() for name, value in self.values.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore `state_dict`'s value.

        Raises:
            RunFolderError: other rows were free when it was saved.
        """
        found, wanted = ({n: tuple(v.shape) for n, v in d.items()} for d in (state, self.values))
        if found != wanted:
            raise RunFolderError(
                f"the saved edit changes {found}, the options and the file allow {wanted}; set edit.keep and "
                "edit.region to what the run was made with"
            )
        self.values = {n: state[n].detach().to(v.device, copy=True) for n, v in self.values.items()}
