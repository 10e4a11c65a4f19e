"""A physically informed impact sound: x = I_obj * I_reverb (guidance card §11.3).

    I_obj(t) = c delta(t) + sum_n a_n e^(-d_n t) sin(2 pi lambda_n t)
    I_reverb(t) = delta(t) + sum_b r_b e^(-rho_b t) BP_b[white noise](t)

with a click of strength c that lets the filtered noise be heard by itself. Each mode is a two-pole filter's answer to
a click, h[n] = 2 e^(-d / fs) cos(2 pi lambda / fs) h[n-1] - e^(-2 d / fs) h[n-2], and falls by 60 dB in ln(1000) / d
seconds. Frequencies, 60-dB times and levels are kept as logarithms. The landscape of frequencies is rugged: many modes,
evenly spread, of which the fitting ones grow, serve better than few that would have to travel.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from sds3d.core.look import Render
from sds3d.core.spectra import mel_bank
from sds3d.core.streams import Streams
from sds3d.core.tree import Tree

from ..audio import SoundCanvas, SoundModel
from ..base import Moments
from .options import Options

_DB = math.log(10) / 20
_HIGHEST = 0.49
"""Of the rate: above half of it a mode would fold back."""
SIXTY_DB = math.log(1000.0)
"""Decay constant times the time in which a mode falls by 60 dB."""


class ImpactModel(SoundModel):
    """See the module docstring and representations.audio."""

    options: Options
    _bands: Float[Tensor, "b t"] | None = None

    def first_values(self) -> dict[str, Tensor]:
        """Modes evenly spread, high ones dying sooner; faint noise."""
        o, draw = self.options, self.streams.normal
        hz = torch.linspace(math.log(o.low_hz), math.log(o.high_hz), o.modes)
        out = {
            "frequency": hz + 0.02 * draw((o.modes,), "impact-frequency")[0],
            "t60": math.log(0.5) - 0.15 * (hz - math.log(200.0)) + 0.2 * draw((o.modes,), "impact-t60")[0],
            "level": torch.full((o.modes,), _DB * o.initial_db),
        }
        if o.bands:
            out |= {
                "click": torch.tensor(_DB * -6.0),
                "noise_level": torch.full((o.bands,), _DB * (o.initial_db - 12)),
                "noise_t60": torch.full((o.bands,), math.log(0.25)),
            }
        return out

    def first_fixed(self) -> dict[str, Tensor]:
        """White noise, where there are bands of it."""
        return (
            {"noise": self.streams.normal((self.form[0],), "impact-noise")[0]} if self.options.bands else {}
        )

    def waveform(self, part: int = 0) -> Float[Tensor, " t"]:
        """The struck object in its room."""
        p, t = self.values, self.clock()
        thing = modal_bank(p["frequency"].exp(), SIXTY_DB / p["t60"].exp(), p["level"].exp(), t)
        if not self.options.bands:
            return thing
        dying = torch.exp(-SIXTY_DB / p["noise_t60"].exp()[:, None] * t) * p["noise_level"].exp()[:, None]
        room = (dying * self.noise_bands()).sum(0)
        return thing + convolved(thing, room) + p["click"].exp() * room

    def noise_bands(self) -> Float[Tensor, "b t"]:
        """White noise through each band's filter, at a root mean square of 1; the same for the whole run."""
        if self._bands is None or self._bands.device != self._device:
            (count, rate), bands = self.form, self.options.bands
            bank = mel_bank(rate, count, bands, 60.0, 0.48 * rate).to(self._device)
            noise = torch.fft.irfft(bank * torch.fft.rfft(self.fixed["noise"]), n=count)
            self._bands = noise / noise.square().mean(1, keepdim=True).sqrt()
        return self._bands

    @torch.no_grad()
    def after_step(
        self, step: int, total: int, render: Render, moments: Moments, streams: Streams
    ) -> dict[str, float]:
        """Keep modes where a prior hears them: below its lowest band they would only shake the loudspeaker."""
        low, high = math.log(self.options.low_hz), math.log(_HIGHEST * self.form[1])
        self.values["frequency"].clamp_(low, max(low, high))
        return {}

    def load_state_dict(self, state: Tree) -> None:
        """Restore `state_dict`'s value."""
        super().load_state_dict(state)
        self._bands = None


def modal_bank(
    hz: Float[Tensor, " n"],
    damping: Float[Tensor, " n"],
    amplitude: Float[Tensor, " n"],
    t: Float[Tensor, " t"],
) -> Float[Tensor, " t"]:
    """sum_n a_n e^(-d_n t) sin(2 pi lambda_n t); damping in 1 / s."""
    return (
        amplitude[:, None] * torch.exp(-damping[:, None] * t) * torch.sin(2 * math.pi * hz[:, None] * t)
    ).sum(0)


def convolved(a: Float[Tensor, " t"], b: Float[Tensor, " t"]) -> Float[Tensor, " t"]:
    """The first T samples of a * b, by transforms of twice the length."""
    count = len(a)
    return torch.fft.irfft(torch.fft.rfft(a, 2 * count) * torch.fft.rfft(b, 2 * count), 2 * count)[:count]


def create(options: Options, streams: Streams, canvas: Callable[[], SoundCanvas]) -> ImpactModel:
    """A fresh impact."""
    return ImpactModel(options, canvas, streams)
