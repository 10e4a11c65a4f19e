"""What every representation offers to the loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from sds3d.core.assets import Asset, Box
from sds3d.core.look import Look, Render
from sds3d.core.schedules import Schedule
from sds3d.core.streams import Streams
from sds3d.core.tree import Tree


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


class Moments(Protocol):
    """How `after_step` edits the optimizer's memory together with the parameters."""

    def rearrange(self, name: str, value: Tensor, rows: Tensor) -> None:
        """Replace parameter `name` by `value`; row i inherits the moments of old row rows[i], or zero for -1."""
        ...

    def forget(self, name: str, rows: Tensor | None = None) -> None:
        """Zero the moments of some rows (all for None) of parameter `name`."""
        ...


@runtime_checkable
class Representation(Protocol):
    """A differentiable scene.

    `provides` names the outputs of `render`; `bounds` is the box that holds the object.
    """

    provides: frozenset[str]
    bounds: Box

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
        """Export as "mesh" or "splats"; raises AssetError when the representation has no such form."""
        ...
