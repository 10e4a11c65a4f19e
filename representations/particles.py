"""Several copies of one representation that are optimised together: the particles of a variational method.

A wrapper that is a representation itself, so that nothing else has to know: the views of a look are dealt to the
particles by their object number (Look.objects), parameters and states carry the particle's name, and what is judged
comes back in the order in which it was asked for. A critic sees the views of all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sds3d.core.assets import Asset
from sds3d.core.errors import RunFolderError
from sds3d.core.look import Look, Render
from sds3d.core.streams import Streams
from sds3d.core.tree import Tree

from .base import Moments, ParamGroup, Representation


def create(count: int, make: Callable[[Streams], Representation], streams: Streams) -> Representation:
    """`count` particles, each made from random streams of its own; a single one is not wrapped."""
    members = [make(streams.particle(k)) for k in range(count)]
    return members[0] if count == 1 else Particles(members)


def members_of(representation: Representation) -> Sequence[Representation]:
    """The particles, or a separation's sources, or the one representation that there is."""
    return getattr(representation, "members", (representation,))


class Particles:
    """See the module docstring and representations.base.Representation.

    Args:
        members: at least one; all of one kind and with the same options.
    """

    def __init__(self, members: Sequence[Representation]):
        self.members = tuple(members)
        self.provides, self.bounds = members[0].provides, members[0].bounds

    def to(self, device: torch.device) -> None:
        """Move every member."""
        for member in self.members:
            member.to(device)

    def render(self, look: Look) -> Render:
        """The members' outputs in the order of the look; what belongs to one only is named "particle3/means2d"."""
        rows, parts = self._rows(look), {}
        for k, index in rows.items():
            parts[k] = self.members[k].render(look.rows(index))
        shared = [name for name in next(iter(parts.values())) if name in self.provides]
        back = torch.cat(list(rows.values())).argsort()
        out = {name: torch.cat([part[name] for part in parts.values()]) for name in shared}
        out = {name: value[back.to(value.device)] for name, value in out.items()}
        for k, part in parts.items():
            out |= {f"{_name(k)}/{name}": value for name, value in part.items() if name not in shared}
        return out | {"particle": look.objects}

    def _rows(self, look: Look) -> dict[int, Tensor]:
        """Particle -> the views that show it; a look without object numbers is of the first."""
        objects = look.objects
        return {k: (objects == k).nonzero()[:, 0] for k in objects.unique().tolist()}

    def _parts(self, render: Render) -> dict[int, Render]:
        """The render of each particle that was seen, as it gave it."""
        objects, parts = render["particle"], dict[int, Render]()
        for k in objects.unique().tolist():
            index, prefix = (objects == k).nonzero()[:, 0], f"{_name(k)}/"
            shared = {n: v[index.to(v.device)] for n, v in render.items() if n in self.provides}
            own = {n.removeprefix(prefix): v for n, v in render.items() if n.startswith(prefix)}
            parts[k] = shared | own
        return parts

    def regularise(self, render: Render, progress: float) -> dict[str, Tensor]:
        """The mean of the members' losses, as the guidance's gradient is a mean over views."""
        totals: dict[str, Tensor] = {}
        parts = self._parts(render)
        for k, part in parts.items():
            for name, loss in self.members[k].regularise(part, progress).items():
                totals[name] = totals.get(name, torch.zeros_like(loss)) + loss / len(parts)
        return totals

    def param_groups(self) -> list[ParamGroup]:
        """The members' groups under names of their own."""
        return [
            ParamGroup(
                f"{_name(k)}/{group.name}",
                {f"{_name(k)}/{name}": value for name, value in group.params.items()},
                group.lr,
            )
            for k, member in enumerate(self.members)
            for group in member.param_groups()
        ]

    def after_step(
        self, step: int, total: int, render: Render, moments: Moments, streams: Streams
    ) -> dict[str, float]:
        """What each member does; their numbers are averaged."""
        numbers: dict[str, list[float]] = {}
        for k, part in self._parts(render).items():
            own = _Prefixed(f"{_name(k)}/", moments)
            for name, value in (
                self.members[k].after_step(step, total, part, own, streams.particle(k)).items()
            ):
                numbers.setdefault(name, []).append(value)
        return {name: sum(values) / len(values) for name, values in numbers.items()}

    def state_dict(self) -> Tree:
        """The members' states by name."""
        return {_name(k): member.state_dict() for k, member in enumerate(self.members)}

    def load_state_dict(self, state: Tree) -> None:
        """Restore `state_dict`'s value.

        Raises:
            RunFolderError: it holds another number of particles.
        """
        names = [_name(k) for k in range(len(self.members))]
        if sorted(state) != sorted(names):
            raise RunFolderError(
                f"the saved state does not hold {len(names)} particles; set particles to what the run was made with"
            )
        for name, member in zip(names, self.members, strict=True):
            member.load_state_dict(state[name])

    def to_asset(self, kind: str) -> Asset:
        """The first particle's; `members` hold the others."""
        return self.members[0].to_asset(kind)


@dataclass(frozen=True)
class _Prefixed:
    """The optimizer's memory as one particle names its parameters."""

    prefix: str
    moments: Moments

    def rearrange(self, name: str, value: Tensor, rows: Tensor) -> None:
        """See Moments."""
        self.moments.rearrange(self.prefix + name, value, rows)

    def forget(self, name: str, rows: Tensor | None = None) -> None:
        """See Moments."""
        self.moments.forget(self.prefix + name, rows)


def _name(index: int) -> str:
    return f"particle{index}"
