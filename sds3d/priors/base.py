"""The one interface of every prior: encode, condition, predict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from jaxtyping import Float
from torch import Tensor

from ..core.look import Look, Render
from .noise_schedule import NoiseSchedule, to_eps_x0


@dataclass(frozen=True)
class PriorInfo:
    """Facts about a prior that others may rely on.

    Args:
        name: short name. media: "image" or "audio".
        size: (height, width) in pixels of the media that `encode` takes.
        latent_shape: (C, h, w) of one z.
        prediction: the network's native output: "epsilon", "v", "x0" or "velocity".
        views_per_group: 1, or n for models that see n views of one object with a shared t.
        branches: names of the conditions it can serve, such as ("y", "null", "neg").
        uses_camera: takes the camera itself, so that view words in the prompt are not needed.
        licence: licence of the weights.
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
"""Branch name -> Cond: y, null, neg …; null keeps camera and background."""


@dataclass(frozen=True)
class Prediction:
    """A denoiser's answer at (z_t, t) in all four forms; each (B, C, h, w), float32.

    Exact conversions (guidance card §1.4); x0 and eps satisfy z_t = alpha x0 + sigma eps. `weight` (B,) is that of
    the condition, where somebody noted it (Perp-Neg).
    """

    eps: Tensor
    x0: Tensor
    v: Tensor
    velocity: Tensor
    weight: Tensor | None = None

    @classmethod
    def of(cls, output: Tensor, z_t: Tensor, alpha: Tensor, sigma: Tensor, prediction: str) -> Prediction:
        """All forms of a native output; alpha and sigma broadcast to z_t, `prediction` names the native form."""
        eps, x0 = to_eps_x0(output, z_t, alpha, sigma, prediction)
        return cls(eps, x0, alpha * eps - sigma * x0, eps - x0)


class Prior(Protocol):
    """A frozen generative model."""

    info: PriorInfo
    schedule: NoiseSchedule

    def prepare(self, prompts: Prompts) -> Embedded:
        """Encode the words once; raises PromptError with advice when the prior cannot serve them."""
        ...

    def condition(self, embedded: Embedded, look: Look, maps: Render) -> Conditioning:
        """The branches for these views. `maps` are detached renders (depth, normal) for priors that take them."""
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


def concatenate(conds: Sequence[Cond]) -> Cond:
    """Stack the views of several conditions into one batch; they must carry the same tensors."""
    import torch

    names = conds[0].tensors.keys()
    return Cond(
        {k: torch.cat([c.tensors[k] for c in conds]) for k in names}, torch.cat([c.weight for c in conds])
    )
