"""The one interface of every prior: encode, condition, predict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from jaxtyping import Float
from torch import Tensor

from ..core.look import Look, Render
from .noise_schedule import NoiseSchedule, from_eps_x0, to_eps, to_x0


@dataclass(frozen=True)
class PriorInfo:
    """Facts about a prior that others may rely on.

    Args:
        name: short name. media: "image" or "audio".
        size: (height, width) in pixels of the media that `encode` takes; of sounds (channels, samples).
        latent_shape: (C, h, w) of one z.
        prediction: the network's native output: "epsilon", "v", "x0" or "velocity".
        views_per_group: 1, or n for models that see n views of one object with a shared t.
        branches: names of the conditions it can serve, such as ("y", "null", "neg").
        uses_camera: takes the camera itself, so that view words in the prompt are not needed.
        licence: licence of the weights.
        attention: can tell where the words of an edit act; see `attention_maps`.
        maps: what of `condition`'s maps it reads: "depth", "normal" of a render, "source" or "region" of an edit.
        rate: of sounds, samples a second.
    """

    name: str
    media: str
    size: tuple[int, int]
    latent_shape: tuple[int, int, int]
    prediction: str
    views_per_group: int = 1
    branches: tuple[str, ...] = ("y", "null", "neg")
    uses_camera: bool = False
    licence: str = ""
    attention: bool = False
    maps: frozenset[str] = frozenset()
    rate: int = 0


@dataclass(frozen=True)
class Prompts:
    """What the user asked for, in words.

    Args:
        text: the prompt. negative: the negative prompt, "" where there is none.
        view_words: append "front view" and the like to the prompt by camera (for priors without a camera).
        source: what an original that is edited shows, "" where nothing is edited: the branch "src".
    """

    text: str
    negative: str = ""
    view_words: bool = False
    source: str = ""

    def texts(self, view_words: tuple[str, ...]) -> dict[str, str]:
        """Text by name: y, null, neg, src where there is a source; with view words also y0, y1 … and src0, src1 …

        Args:
            view_words: the words of the views, such as views.VIEW_WORDS.
        """
        out = {"y": self.text, "null": "", "neg": self.negative}
        out |= {"src": self.source} if self.source else {}
        if self.view_words:
            for name in [name for name in ("y", "src") if name in out]:
                out |= {f"{name}{i}": f"{out[name]}, {words}" for i, words in enumerate(view_words)}
        return out


@dataclass(frozen=True)
class Embedded:
    """Prompts after the text encoders: name -> tensors; opaque to everybody but its prior."""

    tensors: Mapping[str, Tensor]


@dataclass(frozen=True)
class Cond:
    """One branch of the conditioning for B views.

    Args:
        tensors: name -> (B, ...), what the network takes beside z_t and t.
        weight: (B,) per view (Perp-Neg); ones elsewhere.
    """

    tensors: Mapping[str, Tensor]
    weight: Float[Tensor, " b"]

    def __getitem__(self, index: slice | Tensor) -> Cond:
        return Cond({k: v[index] for k, v in self.tensors.items()}, self.weight[index])


Conditioning = Mapping[str, Cond]
"""Branch name -> Cond: y, null, neg …; null keeps the camera and the background that are told."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """A denoiser's answer at (z_t, t) in four forms, each (B, C, h, w) float32 and made when it is first read.

    Exact conversions (guidance card §1.4); x0 and eps satisfy z_t = alpha x0 + sigma eps.

    Args:
        form: name of a form ("eps", "x0", "v", "velocity") -> it.
        weight: (B,) that of the condition, where somebody noted it (Perp-Neg).
    """

    form: Callable[[str], Tensor]
    weight: Tensor | None = None

    @classmethod
    def of(cls, output: Tensor, z_t: Tensor, alpha: Tensor, sigma: Tensor, prediction: str) -> Prediction:
        """The answer behind a native output; alpha and sigma broadcast to z_t, `prediction` names the native form.

        A gradient goes through the output alone.
        """
        native = (output, z_t.detach(), alpha, sigma, prediction)

        def form(name: str) -> Tensor:
            if name == "eps":
                return to_eps(*native)
            if name == "x0":
                return to_x0(*native)
            return from_eps_x0(to_eps(*native), to_x0(*native), alpha, sigma, name)

        return cls(form)

    def __getitem__(self, rows: slice) -> Prediction:
        """The answer for some of the views."""
        return Prediction(
            lambda form: getattr(self, form)[rows], None if self.weight is None else self.weight[rows]
        )

    @cached_property
    def eps(self) -> Tensor:
        """The noise."""
        return self.form("eps")

    @cached_property
    def x0(self) -> Tensor:
        """The clean sample."""
        return self.form("x0")

    @cached_property
    def v(self) -> Tensor:
        """alpha eps - sigma x0."""
        return self.form("v")

    @cached_property
    def velocity(self) -> Tensor:
        """eps - x0."""
        return self.form("velocity")


class Prior(Protocol):
    """A frozen generative model."""

    info: PriorInfo
    schedule: NoiseSchedule

    def prepare(self, prompts: Prompts) -> Embedded:
        """Encode the words once; raises PromptError with advice when the prior cannot serve them."""
        ...

    def condition(self, embedded: Embedded, look: Look, maps: Render) -> Conditioning:
        """The branches for these views.

        Args:
            maps: detached renders, of which it reads those in `info.maps`: depth, normal; of an edit "source", the
                original's picture (B, 3, H, W) in [0, 1], and "region" (B, 1, H, W), 1 where it may change.
        """
        ...

    def encode(self, media: Tensor) -> Tensor:
        """(B, 3, H, W) display-referred RGB in [0, 1] -> z (B, C, h, w); differentiable, posterior mode.

        Resizes to `info.size` if needed.
        """
        ...

    def decode(self, z: Tensor) -> Tensor:
        """z -> (B, 3, H, W) RGB in [0, 1]; no gradient."""
        ...

    def predict(self, z_t: Tensor, t: Float[Tensor, " b"], cond: Cond) -> Prediction:
        """One batched forward without autograd; t in [0, 1]."""
        ...


class Attentive(Protocol):
    """What a prior offers beside `Prior` whose info says `attention`."""

    def attention_maps(self, z_t: Tensor, t: Float[Tensor, " b"], cond: Cond) -> Float[Tensor, "b 1 h w"]:
        """Where the edited words act, in [0, 1]; see priors.attention.

        Args:
            cond: the branch "edited": y, and in "edited" (B, L) which of its words the source has not.
        """
        ...


def concatenate(conds: Sequence[Cond]) -> Cond:
    """Stack the views of several conditions into one batch; they must carry the same tensors."""
    import torch

    names = conds[0].tensors.keys()
    return Cond(
        {k: torch.cat([c.tensors[k] for c in conds]) for k in names}, torch.cat([c.weight for c in conds])
    )
