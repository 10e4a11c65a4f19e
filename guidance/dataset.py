"""Editing a set of pictures one by one while the object is fitted to them (dataset update)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sds3d.core.errors import ConfigError
from sds3d.core.schedules import Schedule
from sds3d.core.tree import Tree
from sds3d.priors.base import Prior

from .base import Moment, Views, places_of
from .extra import source_of


@dataclass(frozen=True)
class Dataset:
    """Every `every` steps the picture of one view becomes what the recipe makes of its render; every step pulls all
    views to their pictures by factor |render - picture|_1, summed over a view.

    A view is known by its id: the cameras are a fixed set. Until it is edited, its picture is the source's. The memory
    holds, by id, the picture (3, H, W), the step that made it, the view's place and its background, which must come
    again with it.
    """

    every: int
    factor: Schedule

    def __post_init__(self):
        if self.every < 1:
            raise ConfigError(
                f"edits a picture every so many steps, at least 1, got {self.every}.", key="every"
            )

    def due(self, now: Moment, memory: Tree) -> int | None:
        """The row of the batch whose picture is made anew at this step: the one that waited longest; None for none."""
        if now.step % self.every:
            return None
        waited = [memory[str(i)]["step"] if str(i) in memory else -1 for i in now.ids]
        return waited.index(min(waited))

    def keep(self, memory: Tree, row: int, z_hat: Tensor, views: Views, prior: Prior, now: Moment) -> Tree:
        """The memory with that row's new picture.

        Args:
            z_hat: (1, C, h, w) what the recipe made of the row's render.
        """
        rgb = views.media["rgb"]
        picture = _sized(prior.decode(z_hat).to(rgb), rgb)[0]
        one = {
            "picture": picture,
            "step": now.step,
            "place": places_of(views)[row],
            "background": views.look.background[row].to(rgb),
        }
        return memory | {str(now.ids[row]): one}

    def fit(self, views: Views, memory: Tree, now: Moment) -> Float[Tensor, "b 3 h w"]:
        """The cotangent of the renders.

        Raises:
            ConfigError: a view came again at another place, or on another background.
        """
        rgb, before = views.media["rgb"], source_of(views).media["rgb"]
        pictures = list(_sized(before.to(rgb), rgb))
        for k, (view, place) in enumerate(zip(now.ids, places_of(views), strict=True)):
            known = memory.get(str(view))
            if known is None:
                continue
            if not torch.equal(known["place"], place):
                raise ConfigError(
                    "edits the pictures of fixed views, but a view came again at another place.",
                    key="guidance.method",
                    hint="Set cameras.places=24, or another number.",
                )
            if not torch.equal(known["background"], views.look.background[k].to(rgb)):
                raise ConfigError(
                    "edits pictures with what is behind the object, but a view came again on another background.",
                    key="guidance.method",
                    hint="Set optimize.white_background=1.",
                )
            pictures[k] = _sized(known["picture"][None], rgb)[0]
        return self.factor(now.progress) * (rgb - torch.stack(pictures)).sign() / len(rgb)


def _sized(pictures: Tensor, like: Tensor) -> Tensor:
    """Pictures (B, 3, h, w) at the renders' size."""
    if pictures.shape[2:] == like.shape[2:]:
        return pictures
    return F.interpolate(pictures, size=like.shape[2:], mode="bilinear", align_corners=False)


def row_of(views: Views, row: int, branches: frozenset[str]) -> Views:
    """One view by itself, with the conditions that may be asked."""
    index = torch.tensor([row])
    some = replace(
        views,
        look=views.look.rows(index),
        media={name: value[row : row + 1] for name, value in views.media.items()},
        z=views.z[row : row + 1],
        cond={name: views.cond[name][row : row + 1] for name in branches},
    )
    return some if views.source is None else replace(some, source=row_of(views.source, row, frozenset()))
