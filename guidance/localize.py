"""Change only where the edited words act: the residual under a mask from the prior's attention."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from sds3d.core.schedules import Schedule, parse
from sds3d.core.tree import Tree
from sds3d.priors.attention import EDITED
from sds3d.priors.base import Prior

from .base import Log, places_of
from .steps import Seen

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Mask:
    """r <- M r,  M <- beta M + (1 - beta) (LUSD, arXiv 2503.11054; see priors.attention for M itself).

    M is averaged over the steps in which the very same view came, M <- m M_before + (1 - m) M: fixed cameras and flat
    pictures have such steps, cameras that are drawn anew have none and take M as it is.

    Args:
        momentum: m. share: beta, how much of the mask counts; while it is 0 nothing is asked.
    """

    momentum: float = 0.9
    share: Schedule = parse({"linear": [0.0, 1.0]})  # noqa: RUF009 (frozen)
    name: str = "mask"

    def bind(self, prior: Prior) -> Mask | None:
        """This step, or None where the prior offers no attention maps."""
        if prior.info.attention:
            return self
        _log.warning(
            "the prior %s offers no attention maps: the edit is not confined by a mask", prior.info.name
        )
        return None

    def __call__(self, residual: Tensor, seen: Seen, memory: Tree) -> tuple[Tensor, Tree, Log]:
        """See ResidualStep; asks the prior once more a view, at the state "t"."""
        beta = self.share(seen.now.progress)
        if beta == 0.0 or EDITED not in seen.views.cond:
            return residual, memory, {}
        state, prior = seen.states["t"], seen.calls.prior
        found = prior.attention_maps(state.z_t, state.t, seen.views.cond[EDITED])  # type: ignore[attr-defined]
        seen.calls.nfe += 1
        kept, memory = self._averaged(found.to(residual), seen, memory)
        mask = beta * kept + (1.0 - beta)
        return mask * residual, memory, {"map_mask": mask[:, 0]}

    def _averaged(
        self, found: Float[Tensor, "b 1 h w"], seen: Seen, memory: Tree
    ) -> tuple[Float[Tensor, "b 1 h w"], Tree]:
        """The masks of these views with what is remembered of them, and the new memory: by view id."""
        out, rows = dict(memory), []
        for k, (view, place) in enumerate(zip(seen.now.ids, places_of(seen.views), strict=True)):
            known, mask = memory.get(str(view)), found[k]
            if known is not None and torch.equal(known["place"], place) and known["mask"].shape == mask.shape:
                mask = self.momentum * known["mask"].to(mask) + (1.0 - self.momentum) * mask
            out[str(view)] = {"mask": mask, "place": place}
            rows.append(mask)
        return torch.stack(rows), out
