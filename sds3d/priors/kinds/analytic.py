"""Priors whose score is known exactly: a Gaussian or a mixture for each branch of the conditioning.

They speak the same interface as trained models, in any of the four native prediction types, on a
variance-preserving or a rectified-flow schedule, in float32 or float64: what a pipeline must do with them can be
worked out on paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor

from ...config.options import Options as BaseOptions
from ...core.errors import ConfigError
from ...core.look import Look, Render
from ..base import Cond, Conditioning, Embedded, Prediction, PriorInfo, Prompts
from ..mixtures import Mixture, mixture
from ..noise_schedule import PREDICTIONS, NoiseSchedule, from_eps_x0, over, stable_diffusion_schedule
from ..pixels import decode_pixels, encode_pixels

Numbers = float | list[float] | list[list[float]] | list[list[list[float]]]


class Mode(BaseOptions):
    """One Gaussian."""

    mean: Numbers = 0.0
    """Mean of z, which lies in [-1, 1] for pictures: one number, one a channel, or the whole (C, H, W) array."""
    std: Numbers = 1.0
    """Standard deviation of independent elements, in the same forms."""
    covariance: list[list[float]] | None = None
    """Full covariance over the flattened (C, H, W) elements, in place of `std`."""
    weight: float = Field(default=1.0, gt=0.0)
    """Share in the mixture, before normalisation."""


def _listed(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


class Options(BaseOptions):
    """A prior known in closed form."""

    kind: Literal["analytic"] = "analytic"
    """Kind of prior."""
    shape: tuple[int, int, int] = (3, 8, 8)
    """(C, H, W) of z; z = 2 rgb - 1."""
    prediction: Literal["epsilon", "v", "x0", "velocity"] = "epsilon"
    """What the network's output would be; guidance must not depend on it."""
    schedule: Literal["sd", "rf"] = "sd"
    """Stable Diffusion 1.x's variance-preserving schedule, or rectified flow."""
    alpha_bar: tuple[float, ...] | None = None
    """Another variance-preserving schedule: cumulative products in (0, 1), decreasing."""
    conditions: dict[str, Annotated[tuple[Mode, ...], BeforeValidator(_listed)]] = Field(
        default={"y": (Mode(mean=0.5, std=0.5),), "null": (Mode(),)}
    )
    """Branch (y, null, neg …) -> a mode, or a list of modes of a mixture."""

    @model_validator(mode="after")
    def _consistent(self) -> Options:
        if not self.conditions or any(not modes for modes in self.conditions.values()):
            raise ValueError("every branch needs at least one mode")
        if self.alpha_bar is not None and self.schedule == "rf":
            raise ValueError("alpha_bar describes a variance-preserving schedule; leave out schedule: rf")
        if self.alpha_bar is not None and not _decreasing(self.alpha_bar):
            raise ValueError("alpha_bar must decrease strictly, from below 1 to above 0")
        return self


def _decreasing(values: tuple[float, ...]) -> bool:
    bounded = (1.0, *values, 0.0)
    return len(values) > 0 and all(a > b for a, b in pairwise(bounded))


class AnalyticPrior:
    """A mixture for each branch.

    Args:
        table: branch name -> mixture over D = C H W elements.
        shape: (C, H, W). schedule: VP or RF. prediction: the native output that is imitated.
        device: where the conditions are made.
    """

    def __init__(
        self,
        table: Mapping[str, Mixture],
        shape: tuple[int, int, int],
        schedule: NoiseSchedule,
        prediction: str = "epsilon",
        device: str = "cpu",
    ):
        if prediction not in PREDICTIONS:
            raise ConfigError(f"unknown prediction {prediction!r}; there are {', '.join(PREDICTIONS)}.")
        self.table, self.schedule, self.device = dict(table), schedule, device
        self.info = PriorInfo(
            name="analytic",
            media="image",
            size=shape[1:],
            latent_shape=shape,
            prediction=prediction,
            branches=tuple(self.table),
        )

    def prepare(self, prompts: Prompts) -> Embedded:
        """Nothing to encode: the table is what the prompts mean."""
        return Embedded({})

    def condition(self, embedded: Embedded, look: Look, maps: Render) -> Conditioning:
        """Each branch by its place in the table."""
        count, where = len(look.background), self.device
        return {
            name: Cond({"branch": torch.full((count,), k, device=where)}, torch.ones(count, device=where))
            for k, name in enumerate(self.table)
        }

    def encode(self, media: Tensor) -> Tensor:
        """2 x - 1 at the prior's size."""
        return encode_pixels(media, self.info.size)

    def decode(self, z: Tensor) -> Tensor:
        """(z + 1) / 2, clamped."""
        return decode_pixels(z)

    @torch.no_grad()
    def predict(self, z_t: Tensor, t: Float[Tensor, " b"], cond: Cond) -> Prediction:
        """The exact posterior means, passed through the native prediction type and back; in z_t's dtype."""
        alpha, sigma = (v.to(z_t) for v in self.schedule.levels(t))
        branch, flat = cond.tensors["branch"], z_t.flatten(1)
        eps, x0 = torch.empty_like(flat), torch.empty_like(flat)
        for k, law in enumerate(self.table.values()):
            rows = branch == k
            if bool(rows.any()):
                eps[rows], x0[rows] = law.to(z_t).predict(flat[rows], alpha[rows], sigma[rows])
        return through_native(eps.view_as(z_t), x0.view_as(z_t), z_t, alpha, sigma, self.info.prediction)


def through_native(
    eps: Tensor,
    x0: Tensor,
    z_t: Tensor,
    alpha: Float[Tensor, " b"],
    sigma: Float[Tensor, " b"],
    prediction: str,
) -> Prediction:
    """What becomes of (eps, x0), each (B, ...), when a network of that prediction type says it."""
    a, s = over(alpha, z_t), over(sigma, z_t)
    return Prediction.of(from_eps_x0(eps, x0, a, s, prediction), z_t, a, s, prediction)


def create(options: Options, device: str = "cpu") -> AnalyticPrior:
    """The prior that these options describe.

    Raises:
        ConfigError: an array does not fit the shape, or a covariance is none; the key names which.
    """
    table = {}
    for name, modes in options.conditions.items():
        try:
            means = [_array(m.mean, options.shape) for m in modes]
            spreads = [_covariance(m, options.shape) for m in modes]
            weights = torch.tensor([m.weight for m in modes], dtype=torch.float64)
            table[name] = mixture(weights, means, spreads)
        except ValueError as error:
            raise ConfigError(str(error), key=f"prior.conditions.{name}") from error
    return AnalyticPrior(table, options.shape, _schedule(options), options.prediction, device)


def outline(options: Options) -> tuple[PriorInfo, NoiseSchedule]:
    """What the prior tells of itself, and its noise schedule."""
    prior = create(options)
    return prior.info, prior.schedule


def _schedule(options: Options) -> NoiseSchedule:
    if options.alpha_bar is not None:
        return NoiseSchedule("vp", torch.tensor(options.alpha_bar, dtype=torch.float64))
    return NoiseSchedule("rf") if options.schedule == "rf" else stable_diffusion_schedule()


def _array(value: Numbers, shape: tuple[int, int, int]) -> Float[Tensor, " d"]:
    """(D,) float64 from one number, one a channel, or all of them."""
    try:
        given = torch.tensor(value, dtype=torch.float64)
    except (ValueError, TypeError) as error:
        raise ValueError(f"not an array: {error}") from error
    if given.ndim == 1 and len(given) == shape[0]:
        given = given[:, None, None]
    fits = given.ndim == 0 or (given.ndim == 3 and tuple(given.shape[1:]) in ((1, 1), shape[1:]))
    if not fits:
        raise ValueError(f"an array of shape {tuple(given.shape)} does not fit z of shape {shape}")
    return given.expand(shape).reshape(-1)


def _covariance(mode: Mode, shape: tuple[int, int, int]) -> Tensor:
    """(D,) variances or (D, D) covariance."""
    if mode.covariance is None:
        return _array(mode.std, shape) ** 2
    count = shape[0] * shape[1] * shape[2]
    if len(mode.covariance) != count or any(len(row) != count for row in mode.covariance):
        raise ValueError(f"the covariance must be {count} x {count} for z of shape {shape}")
    return torch.tensor(mode.covariance, dtype=torch.float64)
