"""What fits a scene to photographs in the place of a guidance: the difference from the picture itself."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from sds3d.core.streams import Streams

from .base import Cotangents, Log, Needs, State, Views
from .post import ImagePost

EDGE = 0.1
"""Difference of a channel above which it counts by its size and no longer by its square (Huber)."""


@dataclass(eq=False)
class Reconstruction:
    """A Guidance that asks no prior: the id of a view is the number of its photograph.

    The loss of a view is Σ ω h(x - y) over channels and pixels, h(d) = ½ d² up to EDGE and EDGE (|d| - ½ EDGE) above,
    y the photograph over the view's background, ω its weight; the mean of the views is pulled back.

    Args:
        rgb: (N, 3, H, W) sRGB. alpha: (N, 1, H, W), how much of a pixel is the scene. weight: (N, 1, H, W), 0 where a
            photograph says nothing.
    """

    rgb: UInt8[Tensor, "n 3 h w"]
    alpha: UInt8[Tensor, "n 1 h w"]
    weight: UInt8[Tensor, "n 1 h w"]

    needs = Needs(branches=frozenset())
    image_post: tuple[ImagePost, ...] = ()

    def init(self, streams: Streams) -> State:
        """Nothing to remember."""
        return {}

    def guide(self, views: Views, step: int, streams: Streams, state: State) -> tuple[Cotangents, State, Log]:
        """See Guidance; the log has the PSNR of the views in dB, over the pixels that count."""
        assert views.look.cameras is not None, "photographs are of cameras"
        shown, ids = views.media["rgb"], views.look.cameras.ids.cpu()
        wanted, weight = (v.to(shown.device) for v in self.wanted(ids, views.look.background))
        away = weight * (shown - wanted)
        error = float(away.square().sum() / (3 * weight.sum()).clamp_min(1.0))
        log: Log = {"psnr": float(-10 * torch.tensor(max(error, 1e-12)).log10()), "nfe": 0.0, "rows": 0.0}
        return {"rgb": away.clamp(-EDGE, EDGE) / len(away)}, state, log

    def wanted(
        self, ids: Tensor, background: Float[Tensor, "b 3"]
    ) -> tuple[Float[Tensor, "b 3 h w"], Float[Tensor, "b 1 h w"]]:
        """The photographs of those numbers over a background, and their weights, in [0, 1]."""
        rgb, alpha, weight = (v[ids].float() / 255 for v in (self.rgb, self.alpha, self.weight))
        return rgb * alpha + (1 - alpha) * background.cpu()[:, :, None, None], weight

    def learn(self, views: Views, step: int, streams: Streams, state: State) -> State:
        """Nothing learns."""
        return state
