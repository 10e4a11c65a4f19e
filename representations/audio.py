"""What every sound has in common, whatever makes it: parameters, one waveform, its picture, its state.

A sound renders as "audio", (B, 1, T) mono, the same for every view; where no gradient is asked for there is "rgb" too,
its spectrogram with the waveform below, so that previews and sheets show it. Length and rate are the prior's.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from sds3d.config.options import Scalar
from sds3d.core import schedules
from sds3d.core.assets import Asset, Box, Sound
from sds3d.core.cameras import Sampler, Still
from sds3d.core.errors import AssetError, ConfigError, RunFolderError
from sds3d.core.look import Look, Render
from sds3d.core.sound_pictures import sound_picture
from sds3d.core.streams import Streams
from sds3d.core.tree import Tree

from .base import Moments, ParamGroup, RepresentationOptions, require_same_shapes


class SoundCanvas(Protocol):
    """What a sound is made for: the parts of an audio prior that tell its form."""

    @property
    def size(self) -> tuple[int, int]:
        """(channels, samples)."""
        ...

    @property
    def rate(self) -> int:
        """Samples a second; 0 where the prior hears nothing."""
        ...


class SoundOptions(RepresentationOptions):
    """What the options of every sound share."""

    forms: ClassVar[frozenset[str]] = frozenset({"sound"})
    starts_from: ClassVar[tuple[str, ...]] = ()

    lr: Scalar = schedules.parse({"linear": [0.05, 0.01]})
    """Learning rate of Adam."""

    def sampler(self, orbit: Sampler) -> Sampler:
        """No camera."""
        return Still()

    def backdrop(self) -> tuple[float, float, float] | None:
        """White, which nobody sees."""
        return 1.0, 1.0, 1.0


class SoundModel:
    """A Representation (see representations.base) of one sound; subclasses make the waveform.

    Args:
        options: of the kind. canvas: returns the parts of the prior; asked when the form is first needed.
        streams: for the first values.
    """

    bounds = Box((-1.0, -1.0, 0.0), (1.0, 1.0, 0.0))
    provides = frozenset({"audio", "rgb"})

    def __init__(self, options: SoundOptions, canvas: Callable[[], SoundCanvas], streams: Streams):
        self.options, self._canvas, self.streams = options, canvas, streams
        self._form: tuple[int, int] | None = None
        self._values: dict[str, Tensor] | None = None
        self._fixed: dict[str, Tensor] | None = None
        self._device = torch.device("cpu")

    @property
    def form(self) -> tuple[int, int]:
        """(samples, samples a second).

        Raises:
            ConfigError: the prior is one of pictures.
        """
        if self._form is None:
            canvas = self._canvas()
            if canvas.rate <= 0:
                raise ConfigError(
                    "makes a sound, and this prior judges pictures.",
                    key="representation",
                    hint="Take prior=audio, or another prior that hears.",
                )
            self._form = canvas.size[1], canvas.rate
        return self._form

    @property
    def values(self) -> dict[str, Tensor]:
        """Name -> tensor that is optimised."""
        if self._values is None:
            self._values = {k: v.to(self._device) for k, v in self.first_values().items()}
        return self._values

    @property
    def fixed(self) -> dict[str, Tensor]:
        """Name -> tensor that stays as it is over the run, such as the noise that is filtered."""
        if self._fixed is None:
            self._fixed = {k: v.to(self._device) for k, v in self.first_fixed().items()}
        return self._fixed

    def first_fixed(self) -> dict[str, Tensor]:
        """What is drawn once; nothing."""
        return {}

    @abstractmethod
    def first_values(self) -> dict[str, Tensor]:
        """The start."""

    @abstractmethod
    def waveform(self, part: int = 0) -> Float[Tensor, " t"]:
        """The sound, or one of several; differentiable."""

    def clock(self) -> Float[Tensor, " t"]:
        """Seconds since the start."""
        count, rate = self.form
        return torch.arange(count, device=self._device) / rate

    def to(self, device: torch.device) -> None:
        """Move every tensor."""
        self._device = device
        if self._values is not None:
            self._values = {k: v.detach().to(device) for k, v in self._values.items()}
        if self._fixed is not None:
            self._fixed = {k: v.to(device) for k, v in self._fixed.items()}

    def render(self, look: Look) -> Render:
        """audio, and a picture of it where no gradients are asked for."""
        wave = self.waveform(look.part)
        out: dict[str, Tensor] = {"audio": wave.expand(len(look), 1, -1)}
        if not (torch.is_grad_enabled() and wave.requires_grad):
            picture = sound_picture(wave[None], self.form[1], look.size).to(self._device)
            out["rgb"] = picture.expand(len(look), -1, -1, -1)
        return out

    def regularise(self, render: Render, progress: float) -> dict[str, Tensor]:
        """Nothing."""
        return {}

    def param_groups(self) -> list[ParamGroup]:
        """All values at one rate."""
        return [ParamGroup("sound", self.values, self.options.lr)]

    def after_step(
        self, step: int, total: int, render: Render, moments: Moments, streams: Streams
    ) -> dict[str, float]:
        """Nothing."""
        return {}

    def state_dict(self) -> Tree:
        """Values, what stays fixed, and the form that they were made for."""
        return {"values": dict(self.values), "fixed": dict(self.fixed), "form": torch.tensor(self.form)}

    def load_state_dict(self, state: Tree) -> None:
        """Restore `state_dict`'s value.

        Raises:
            RunFolderError: it is no sound, or one that was made under other options.
        """
        values, form = state.get("values"), state.get("form")
        if not isinstance(values, dict) or not isinstance(form, Tensor):
            raise RunFolderError(
                "the saved state holds no sound; set representation to what the run was made with"
            )
        self._form = int(form[0]), int(form[1])
        options = f"representation.{'/'.join(type(self.options).model_fields)}"
        require_same_shapes(values, self.first_values(), "values", options)
        self._values = {k: v.detach().to(self._device, copy=True) for k, v in values.items()}
        fixed = state.get("fixed", {})
        self._fixed = {k: v.detach().to(self._device, copy=True) for k, v in fixed.items()}

    def to_asset(self, kind: str) -> Asset:
        """Export as "sound".

        Raises:
            AssetError: another kind is asked for.
        """
        if kind != "sound":
            raise AssetError(f'a sound exports as "sound", not as "{kind}"')
        with torch.no_grad():
            return Sound(within_full_scale(self.waveform()[None].cpu()), self.form[1])


def within_full_scale(samples: Float[Tensor, "c t"]) -> Float[Tensor, "c t"]:
    """Samples as they are, or at a peak of 1 where they would be clipped."""
    return samples / samples.abs().max().clamp(min=1.0)
