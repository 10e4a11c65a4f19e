"""Sources that add up to a mixture m (guidance card §11.3 c, in its consistent form).

Masks: x_k = istft(softmax_k(l)_k · stft(m)), so that sum_k x_k = m whatever l is. Waveforms: x_k are free, and
`regularise` gives

    L_rec = weight ( sum_windows 1/2 |S(m) - S(sum_k x_k)|^2 / window + 1/2 |m - sum_k x_k|^2 )

Its gradient is the same for every source: only what the prior says of each (a term of the guidance with the source's
number as `part` and its words as `prompt`) tells them apart.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from sds3d.core.assets import Asset, Sound
from sds3d.core.errors import AssetError, ConfigError
from sds3d.core.look import Look, Render
from sds3d.core.sound_pictures import sound_picture
from sds3d.core.spectra import istft, magnitudes, stft
from sds3d.core.streams import Streams
from sds3d.core.tree import Tree

from ..audio import SoundCanvas, SoundModel, within_full_scale
from ..base import ParamGroup
from ..sound_files import fitted
from .options import Options


class Separation(SoundModel):
    """See the module docstring and representations.audio. Parts are numbered from 0.

    Args:
        mixture: (T,) in place of the options' file.
    """

    options: Options

    def __init__(
        self,
        options: Options,
        canvas: Callable[[], SoundCanvas],
        streams: Streams,
        mixture: Float[Tensor, " t"] | None = None,
    ):
        super().__init__(options, canvas, streams)
        self._mixture = mixture

    @property
    def mixture(self) -> Float[Tensor, " t"]:
        """The recording, at the prior's rate and length."""
        if self._mixture is None:
            count, rate = self.form
            self._mixture = fitted(self.options.mixture, count, rate, "representation.mixture")
        self._mixture = self._mixture.to(self._device)
        return self._mixture

    def first_values(self) -> dict[str, Tensor]:
        """Equal shares, told apart by a little noise."""
        o, count = self.options, len(self.mixture)
        if o.space == "waveforms":
            noise = self.streams.normal((o.sources, count), "separation-init")[0]
            return {"samples": self.mixture.cpu() / o.sources + 1e-3 * noise}
        shape = (o.sources, o.window // 2 + 1, 4 * count // o.window)
        return {"logits": 0.01 * self.streams.normal(shape, "separation-init")[0]}

    def sources(self) -> Float[Tensor, "k t"]:
        """Every source."""
        if "samples" in self.values:
            return self.values["samples"].clone()
        window = self.options.window
        return istft(
            self.values["logits"].softmax(0) * stft(self.mixture, window, window // 4), window, window // 4
        )

    def waveform(self, part: int = 0) -> Float[Tensor, " t"]:
        """One source.

        Raises:
            ConfigError: there is no such part.
        """
        if not 0 <= part < self.options.sources:
            raise ConfigError(
                f"part {part} is asked for, but there are {self.options.sources} sources, numbered from 0.",
                key="guidance.terms",
            )
        return self.sources()[part]

    def regularise(self, render: Render, progress: float) -> dict[str, Tensor]:
        """L_rec, of free samples."""
        o = self.options
        if "samples" not in self.values or not o.reconstruction:
            return {}
        total, m = self.sources().sum(0), self.mixture
        loss = 0.5 * (m - total).square().sum()
        for window in o.windows:
            away = magnitudes(m, window, window // 4) - magnitudes(total, window, window // 4)
            loss = loss + 0.5 * away.square().sum() / window
        return {"reconstruction": o.reconstruction * loss}

    def param_groups(self) -> list[ParamGroup]:
        """Masks, or samples."""
        if "logits" in self.values:
            return [ParamGroup("masks", self.values, self.options.lr)]
        return [ParamGroup("samples", self.values, self.options.samples_lr)]

    def state_dict(self) -> Tree:
        """Values, form and recording."""
        return super().state_dict() | {"mixture": self.mixture}

    def load_state_dict(self, state: Tree) -> None:
        """Restore `state_dict`'s value."""
        if isinstance(state.get("mixture"), Tensor):
            self._mixture = state["mixture"].detach().to(self._device, copy=True)
        super().load_state_dict(state)

    @property
    def members(self) -> tuple[Source, ...]:
        """The sources one by one, as export and pictures ask for them."""
        return tuple(Source(self, k) for k in range(self.options.sources))


class Source:
    """One source of a separation, as far as it is shown and written."""

    def __init__(self, whole: Separation, part: int):
        self.whole, self.part = whole, part

    @torch.no_grad()
    def render(self, look: Look) -> Render:
        """audio, and its picture."""
        wave = self.whole.waveform(self.part)[None]
        picture = sound_picture(wave, self.whole.form[1], look.size)
        return {"audio": wave.expand(len(look), 1, -1), "rgb": picture.expand(len(look), -1, -1, -1)}

    @torch.no_grad()
    def to_asset(self, kind: str) -> Asset:
        """Export as "sound".

        Raises:
            AssetError: another kind is asked for.
        """
        if kind != "sound":
            raise AssetError(f'a source exports as "sound", not as "{kind}"')
        return Sound(within_full_scale(self.whole.waveform(self.part)[None].cpu()), self.whole.form[1])


def create(options: Options, streams: Streams, canvas: Callable[[], SoundCanvas]) -> Separation:
    """A recording in equal shares.

    Raises:
        ConfigError: no recording is given.
    """
    if not options.mixture:
        raise ConfigError(
            "needs a recording to take apart.",
            key="representation.mixture",
            hint='Give a WAV or FLAC file, or use: sds3d separate mix.wav --sources "a drum" "a bell"',
        )
    return Separation(options, canvas, streams)
