"""Audio-SDS: decoder-space distillation of sounds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from sds3d.config.options import Scalar
from sds3d.core import schedules

from ..denoised import Denoised
from ..options import GuidedOptions, TimesOptions
from ..predictions import Epsilon, Guided
from ..recipe import Recipe
from ..rules import EPS, of
from ..sounds import SpectrogramLoss


def _windows(value: tuple[int, ...]) -> tuple[int, ...]:
    for window in value:
        if window % 8 or not 16 <= window <= 16_384:
            raise ValueError(f"a window is a multiple of 8 from 16 to 16384 samples, got {window}")
    return value


class Options(GuidedOptions):
    """Score distillation of sounds behind the decoder (Audio-SDS)."""

    method: Literal["audiosds"] = "audiosds"
    """Name of the method."""
    cfg_scale: Scalar = schedules.constant(61.0)
    """Guidance scale s in eps_null + s (eps_y - eps_null); the paper's tau is s - 1."""
    times: TimesOptions = TimesOptions(low=schedules.constant(0.025), high=schedules.constant(0.875))
    """How noisy the states are."""
    moves: int = Field(default=4, ge=1, le=100)
    """DDIM moves, each a prediction, from t to the clean sound."""
    windows: Annotated[tuple[int, ...], AfterValidator(_windows)] = (512, 1024, 2048)
    """Samples of the windows whose magnitudes are compared; () compares samples alone."""
    time: float = Field(default=0.1, ge=0.0)
    """Weight of the samples beside the magnitudes, which do not hear a sign."""
    factor: Scalar = schedules.constant(1.0)
    """Factor on the loss."""


def audiosds(options: Options) -> Recipe:
    """Audio-SDS: towards a sound denoised in several moves, compared behind the decoder in spectrograms.

        x_hat = D( denoise_K( noise( E(x), t, eps ), y ) ),   no gradient
        L = sum_m 1/2 | S_m(x) - sg S_m(x_hat) |^2 + time 1/2 | x - sg x_hat |^2

    Source: "Score Distillation Sampling for Audio: Source Separation, Synthesis, and Beyond", Richter-Powell et al.
    2025, arXiv 2505.04621, its decoder-space update with multi-step denoising and spectrogram emphasis, after the
    project's card of methods §11.2: no official code exists, two expositions by others agree on the equations, and the
    numbers are theirs.

    Defaults: s = 61, K = 4, t from 0.025 to 0.875, windows of 512, 1024 and 2048 samples, time = 0.1.
    Cost: 2 K predictions a view, encoder and decoder without a gradient; nothing is trained.
    Pitfalls: the more moves, the nearer x_hat stays to x and the smaller the gradient; weight and post, which act on
    latents, do nothing; with an identity codec, one move, no windows and time = 1 it is SDS with w = kappa.
    """
    guided = Guided(options.build_combiner(), options.build_transforms())
    return Recipe(
        rule=of(Epsilon("x0")) - EPS,
        noise=Denoised(guided, options.moves, options.times.scale),
        image_loss=SpectrogramLoss(options.factor, options.windows, options.time),
        in_latents=False,
        **options.slots(),
    )
