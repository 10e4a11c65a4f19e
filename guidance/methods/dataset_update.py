"""Dataset update: InstructNeRF2NeRF and its kin."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from sds3d.config.options import Scalar
from sds3d.core import schedules

from ..dataset import Dataset
from ..denoised import Denoised
from ..edit_options import TripleOptions
from ..predictions import Epsilon, Guided
from ..recipe import Recipe
from ..rules import EPS, of


class Options(TripleOptions):
    """Dataset update: pictures edited one by one, the object fitted to them."""

    method: Literal["dataset_update"] = "dataset_update"
    """Name of the method."""
    cfg_scale: Scalar = schedules.constant(12.0)
    """s in u + s (ti - i) + s_img (i - u)."""
    weight: Literal["kappa"] = "kappa"
    """sigma / alpha, with which z - g is the denoised render; nothing else belongs to this method."""
    every: int = Field(default=10, ge=1)
    """Steps from one edited picture to the next."""
    moves: int = Field(default=20, ge=1, le=1000)
    """DDIM moves, each a prediction, from t to the edited picture."""
    factor: Scalar = schedules.constant(1.0)
    """Factor on |render - picture|_1."""

    def slots(self) -> dict[str, Any]:
        """As every method's, with the dataset."""
        return super().slots() | {"dataset": Dataset(self.every, self.factor)}


def dataset_update(options: Options) -> Recipe:
    """Dataset update: now and then a view's picture is replaced by an edit of its render; the object is fitted to all.

        every k steps, for one view v:  I_v <- D( K moves of DDIM from alpha_t z_v + sigma_t eps ),  t ~ U
        eps_phi = u + s (ti - i) + s_img (i - u),   i: conditioned on the original of v
        every step:  L = sum_v | x_v - I_v |_1

    Source: "Instruct-NeRF2NeRF: Editing 3D Scenes with Instructions", Haque et al. 2023 (ICCV), arXiv 2303.12789;
    numbers read in the authors' code (no § of the paper was checked), which trains on rays of all pictures with a
    perceptual loss beside: here the loss is L1 on whole views. On a prior that reads words alone i is the source's
    prompt.

    Defaults: s = 12, s_img = 1.5, k = 10, K = 20, t in [0.02, 0.98].
    Cost: 3 K predictions of one view every k steps, none between; needs the source's views, fixed places for the views
    (cameras.places) and one background; the pictures are kept with the run; nothing is trained.
    Pitfalls: the pictures agree only slowly, since each is edited by itself: what the noise decides flickers between
    views at large t. The first pictures are the source's, so that early steps change nothing.
    """
    moves = Denoised(Guided(options.triple()), options.moves, options.times.scale)
    return Recipe(rule=of(Epsilon("x0")) - EPS, noise=moves, **options.slots())
