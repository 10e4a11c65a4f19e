"""An FM synthesiser (Chowning, "The synthesis of complex audio spectra by means of frequency modulation", 1973).

For each voice with note f0 and oscillators i = 1 … I (guidance card §11.3, a reconstruction from the paper's list of
parameters):

    phi_i(t) = 2 pi f0 omega_i g(t) + sum_{j < i} A_ij s_j(t),     g(t) = integral of 2^(glide e^(-t / tau)) from 0 to t
    s_i(t) = env_i(t) sin phi_i(t),     env_i = (1 - e^(-t / alpha_i)) e^(-t / delta_i)
    x(t) = sum over voices and i of m_i shape(t) s_i(t)

Modulation is causal: an oscillator hears those before it, so no sample waits for itself. Frequencies, times and levels
are kept as logarithms.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sds3d.core.streams import Streams

from ..audio import SoundCanvas, SoundModel
from .options import Options

_DB = math.log(10) / 20


class FmModel(SoundModel):
    """See the module docstring and representations.audio."""

    options: Options

    def first_values(self) -> dict[str, Tensor]:
        """Notes evenly spread on a logarithmic axis; ratios near whole numbers, weak modulation."""
        o, draw = self.options, self.streams.normal
        v, i = o.voices, o.operators
        notes = (
            torch.linspace(math.log(o.low_hz), math.log(o.high_hz), v)
            if v > 1
            else torch.tensor([math.log(o.low_hz)])
        )
        ratios = torch.arange(1, i + 1).float().log().expand(v, i)
        out = {
            "note": notes + 0.1 * draw((v,), "fm-note")[0],
            "ratio": ratios + 0.05 * draw((v, i), "fm-ratio")[0],
            "modulation": (0.4 * draw((v, i, i), "fm-modulation")[0]).tril(-1),
            "attack": torch.full((v, i), math.log(0.004)) + 0.2 * draw((v, i), "fm-attack")[0],
            "decay": torch.full((v, i), math.log(0.35)) + 0.2 * draw((v, i), "fm-decay")[0],
            "level": torch.full((v, i), _DB * o.initial_db) - 0.3 * torch.arange(i),
            "glide": torch.zeros(v),
            "glide_time": torch.full((v,), math.log(0.2)),
        }
        if o.points:
            out["points"] = torch.zeros(v, o.points)
        if o.noise:
            out["breath"] = torch.full((v,), _DB * (o.initial_db - 12))
        return out

    def first_fixed(self) -> dict[str, Tensor]:
        """White noise of each voice, where there is breath."""
        shape = (self.options.voices, self.form[0])
        return {"noise": self.streams.normal(shape, "fm-breath")[0]} if self.options.noise else {}

    def waveform(self, part: int = 0) -> Float[Tensor, " t"]:
        """The sum of the voices."""
        p, t = self.values, self.clock()
        signals = oscillators(
            p["note"], p["ratio"], p["modulation"], envelopes(p["attack"], p["decay"], t), glided(p, t)
        )
        loud = (p["level"].exp()[..., None] * signals).sum(1)
        if "points" in p:
            loud = loud * shape(p["points"], len(t))
        if "breath" in p:
            loud = loud + self._breath(p, len(t))
        return loud.sum(0)

    def _breath(self, p: dict[str, Tensor], count: int) -> Float[Tensor, "v t"]:
        """Noise around each voice's note, as loud over time as the voice is shaped."""
        noise = torch.fft.rfft(self.fixed["noise"])
        hz = torch.fft.rfftfreq(count, 1 / self.form[1], device=p["note"].device).clamp(min=1.0)
        octaves = (hz.log() - p["note"][:, None]) / math.log(2)
        coloured = torch.fft.irfft(noise * torch.exp(-0.5 * (octaves / 0.4) ** 2), n=count)
        coloured = coloured / coloured.square().mean(1, keepdim=True).sqrt().clamp(min=1e-9)
        return p["breath"].exp()[:, None] * coloured * (shape(p["points"], count) if "points" in p else 1.0)


def envelopes(
    attack: Float[Tensor, "v i"], decay: Float[Tensor, "v i"], t: Float[Tensor, " t"]
) -> Float[Tensor, "v i t"]:
    """(1 - e^(-t / alpha)) e^(-t / delta); attack and decay are logarithms of seconds."""
    rise = -torch.expm1(-t / attack.exp()[..., None])
    return rise * torch.exp(-t / decay.exp()[..., None])


def glided(p: dict[str, Tensor], t: Float[Tensor, " t"]) -> Float[Tensor, "v t"]:
    """Seconds that a voice's clock has run: faster while its pitch is above the note, slower below."""
    octaves = p["glide"][:, None] * torch.exp(-t / p["glide_time"].exp()[:, None])
    step = float(t[1] - t[0]) if len(t) > 1 else 0.0
    return (torch.exp2(octaves).cumsum(1) - 1.0) * step


def oscillators(
    note: Float[Tensor, " v"],
    ratio: Float[Tensor, "v i"],
    modulation: Float[Tensor, "v i i"],
    envelope: Float[Tensor, "v i t"],
    run: Float[Tensor, "v t"],
) -> Float[Tensor, "v i t"]:
    """Signals of every oscillator in causal order.

    Args:
        note, ratio: logarithms of hertz and of factors. modulation: A, of which only j < i is read, in radians.
        run: seconds of phase at each sample.
    """
    hz = (note[:, None] + ratio).exp()
    signals: list[Tensor] = []
    for i in range(ratio.shape[1]):
        phase = 2 * math.pi * hz[:, i, None] * run
        for j, other in enumerate(signals):
            phase = phase + modulation[:, i, j, None] * other
        signals.append(envelope[:, i] * torch.sin(phase))
    return torch.stack(signals, dim=1)


def shape(points: Float[Tensor, "v p"], count: int) -> Float[Tensor, "v t"]:
    """Factors e^points, interpolated on a straight line between points over the sound."""
    return F.interpolate(points[:, None], size=count, mode="linear", align_corners=True)[:, 0].exp()


def create(options: Options, streams: Streams, canvas: Callable[[], SoundCanvas]) -> FmModel:
    """A fresh synthesiser."""
    return FmModel(options, canvas, streams)
